//! The binding to the kernel: a thin wrapper that turns FUSE requests into calls of the tree, and
//! the mounting and unmounting.

mod abort;
mod connection;
mod mount;
mod mountinfo;
mod progress;
mod server;

pub use abort::{AbortControl, abort};
pub use mount::{MountOptions, Mounted, Push, Unmount, Unmounter, is_mounted, mount, unmount};
pub use progress::Progress;

// For a server that is measured beside this one.
#[cfg(all(feature = "cli", feature = "comparison"))]
pub(crate) use mount::{clear_mountpoint, serve};
#[cfg(all(feature = "cli", feature = "comparison"))]
pub(crate) use server::{file_attr, open_flags, set_up};
