//! weightfs: a file system that shows compressed model archives as ordinary files.
//!
//! The modules form ranks; each imports only those before it. Reading them in this order follows the
//! bytes from the disk to the reader.

pub mod archive;
pub mod block;
pub mod cache;
pub mod cli;
pub mod codec;
pub mod error;
pub mod file;
pub mod format;
pub mod fs;
pub mod fuse;
pub mod io;
pub mod job;
pub mod layout;
pub mod pipeline;
pub mod plane;
pub mod safetensors;
pub mod sync;

pub use error::{Error, Result};
