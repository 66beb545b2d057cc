//! The tree that a mount shows, without a kernel: names, attributes, links, open files.
//!
//! Every archive `NAME.wfz` of the source directory is shown as `NAME`; everything else as it is.
//! Nothing of the source is kept but what is open: each look goes to the source, so that what
//! changes there is seen. Knows nothing of FUSE.

mod access;
mod archives;
mod attr;
mod bases;
mod change;
mod directories;
mod errno;
mod facts;
mod in_vain;
mod inode;
mod known_names;
mod lately;
mod links;
mod model_tree;
mod nodes;
mod open_archive;
mod open_files;
mod place;
mod replaced;
mod rights;
mod search;
mod source;
mod statistics;
mod successors;
mod view;
mod writing;
mod xattr;
mod xattrs;

pub use attr::Attr;
pub use change::{
    Access, LEAST_PACKED_BYTES, New, NewAttr, NewTime, Packed, Packing, starts_as_model,
};
pub use directories::DirEntry;
#[cfg(feature = "cli")]
pub(crate) use errno::is_gone;
pub use facts::{Identity, Kind, Listed, Listing};
pub use inode::{Inode, ROOT_INODE};
pub use model_tree::ModelTree;
pub use open_files::{Handle, OpenFile};
pub use source::Source;
pub use statistics::{MountStats, PackingStats};
pub use xattr::{ARCHIVE_XATTR, SOURCE_XATTR, STATS_XATTR};

#[cfg(test)]
mod tests;
