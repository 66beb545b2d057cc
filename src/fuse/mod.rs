//! The binding to the kernel: a thin wrapper that turns FUSE requests into calls of the tree, and
//! the mounting and unmounting.

mod connection;
mod mount;
mod mountinfo;
mod notify;
mod server;
mod watchdog;

pub use mount::{MountOptions, Mounted, Push, Unmount, Unmounter, mount, unmount};
pub use notify::{Supervisor, supervisor};
