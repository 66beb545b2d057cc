//! What a mount shows: a directory of archives and other files, or one archive.

pub(super) mod attributes;
mod changes;
mod devices;
mod directory;
mod lasting;
pub(super) mod local;
mod outside;
mod reached;
mod stat;

pub use directory::Source;
