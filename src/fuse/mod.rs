//! The binding to the kernel: a thin wrapper that turns FUSE requests into calls of the tree, and
//! the mounting and unmounting.

mod abort;
mod connection;
mod mount;
mod mountinfo;
mod notify;
mod null;
mod server;
mod watchdog;

pub use abort::{AbortControl, abort};
pub use mount::{
    MountOptions, Mounted, Push, Unmount, Unmounter, is_mounted, mount, mount_null, unmount,
};
pub use notify::{Supervisor, supervisor};
pub use null::NULL_FILE_NAME;
