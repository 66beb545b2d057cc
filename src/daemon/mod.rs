//! All that makes a mount a running service: processes beside it, its supervisor, its metrics.

pub(crate) mod background;
pub(crate) mod guard;
pub(crate) mod metrics;
pub(crate) mod metrics_server;
mod mount_process;
pub(crate) mod process;
mod supervisor;
mod watchdog;

pub(crate) use mount_process::{MountCommand, MountProcess, Stay};
pub use supervisor::{Supervisor, supervisor};
pub(crate) use watchdog::watch;
