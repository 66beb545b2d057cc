//! The tree that a mount shows, without a kernel: names, attributes, links, open files.
//!
//! Every archive `NAME.wfz` of the source directory is shown as `NAME`; everything else as it is.
//! Nothing of the source is kept but what is open: each look goes to the source, so that what
//! changes there is seen. Knows nothing of FUSE.

mod attr;
mod links;
mod nodes;
mod source;
mod tree;
mod view;
mod xattr;

pub use attr::{Attr, Kind};
pub use nodes::{Inode, ROOT_INODE};
pub use source::Source;
pub use tree::{DirEntry, Handle, ModelTree, MountStats, OpenFile};
pub use xattr::STATS_XATTR;

#[cfg(test)]
mod tests;
