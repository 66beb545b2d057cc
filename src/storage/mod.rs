//! Where the bytes of an archive lie.
//!
//! Invariant: the bytes of a range come all or not at all, and what cannot be had is an error, never
//! zeros. Knows nothing of the archive format.

mod access;
mod local;
mod mapped;
mod memory;
mod positional;
mod sigbus;

pub use access::{Hints, Storage};
pub use local::open;
pub use mapped::MappedFile;
pub use memory::Memory;
pub use positional::PositionalFile;
