//! A whole archive: where its tables and blocks lie, written once and read many times.
//!
//! ```text
//! superblock | extents, index | blocks ... | extents, index (copy) | superblock (copy)
//! ```
//!
//! The tables stand in front so that a truncated archive still gives what is left of it, and once
//! more at the end so that damage to the front does not make the rest unreadable.

mod bases;
mod index;
mod modified;
mod profiles;
mod read_at;
mod reader;
mod writer;

pub use bases::{Base, Hindrances, MissingBase};
pub use modified::{modified_since, set_modified};
pub use read_at::ArchivedFile;
pub use reader::ArchiveReader;
pub use writer::{ArchiveWriter, LossyOriginal, Original, WrittenBeside};

#[cfg(test)]
mod tests;
