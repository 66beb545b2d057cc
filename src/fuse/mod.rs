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
pub(crate) use mount::{clear_mountpoint, serve};
pub(crate) use progress::Progress;
pub(crate) use server::{file_attr, open_flags, set_up};
