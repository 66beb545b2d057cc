//! What a mount shows: a directory of archives and other files, or one archive.

pub(super) mod attributes;
mod changes;
mod devices;
mod directory;
pub(super) mod local;
mod outside;

pub use directory::Source;
