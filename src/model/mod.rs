//! The containers of weights that people have: from a file's header to its tensors, and to the extents
//! that its blocks are cut from.

pub mod extents;
mod read;
pub mod safetensors;

pub use read::ReadAt;
