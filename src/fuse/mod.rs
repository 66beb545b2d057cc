//! The binding to the kernel: a thin wrapper that turns FUSE requests into calls of the tree, and
//! the mounting and unmounting.

mod abort;
mod connection;
mod guard;
mod mount;
mod mountinfo;
mod options;
mod progress;
mod readahead;
mod server;
mod source_watch;
mod unmount;

pub use abort::{AbortControl, abort};
pub use guard::{Guard, stand_by};
pub use mount::{Mounted, mount};
pub use mountinfo::is_in_mount;
pub use options::{MountOptions, Push};
pub use progress::Progress;
pub use unmount::{Unmount, Unmounter, is_mounted, mounted_with, unmount};

// For a server that is measured beside this one.
#[cfg(all(feature = "cli", feature = "comparison"))]
pub(crate) use mount::serve;
#[cfg(all(feature = "cli", feature = "comparison"))]
pub(crate) use server::{file_attr, open_flags, set_up};
#[cfg(all(feature = "cli", feature = "comparison"))]
pub(crate) use unmount::clear_mountpoint;
