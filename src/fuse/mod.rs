//! The binding to the kernel: a thin wrapper that turns FUSE requests into calls of the tree, and
//! the mounting and unmounting.

mod abort;
#[cfg(feature = "cli")]
mod access;
mod attributes;
mod backings;
mod cached_listings;
mod connection;
mod guard;
mod listing;
mod messages;
mod mount;
mod mountinfo;
#[cfg(feature = "cli")]
mod null;
#[cfg(feature = "cli")]
mod offer;
mod options;
mod progress;
mod readahead;
mod server;
mod source_watch;
mod unmount;
mod writing;

pub use abort::{AbortControl, abort};
pub use guard::{Guard, stand_by};
#[cfg(feature = "cli")]
pub(crate) use mount::ENOUGH_READAHEAD_BYTES;
pub use mount::{Mounted, mount};
pub use mountinfo::{is_in_mount, mount_above};
#[cfg(feature = "cli")]
pub(crate) use options::{ENOUGH_CACHE_BYTES, MEMORY_PART};
pub use options::{MountOptions, Push};
pub use progress::Progress;
pub use unmount::{Unmount, Unmounter, is_mounted, mount_line, unmount};

#[cfg(feature = "cli")]
pub(crate) use access::FuseAccess;
#[cfg(all(feature = "cli", test))]
pub(crate) use access::Helper;
#[cfg(feature = "cli")]
pub(crate) use null::{NULL_FILE_NAME, OFFER_XATTR, mount_null};
#[cfg(feature = "cli")]
pub(crate) use offer::KernelOffer;
#[cfg(feature = "cli")]
pub(crate) use readahead::readahead;
