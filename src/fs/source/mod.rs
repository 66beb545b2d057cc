//! What a mount shows: a directory of archives and other files, or one archive.

mod directory;

pub use directory::Source;
