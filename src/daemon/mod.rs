//! All that makes a mount a running service: processes beside it, its supervisor, its messages, its
//! metrics; and `packer/`, which packs what is written to it.

mod answer;
mod background;
pub(crate) mod guard;
mod logging;
pub(crate) mod metrics;
mod metrics_server;
mod mount_process;
mod packer;
pub(crate) mod process;
mod service;
mod supervisor;
mod watchdog;

pub(crate) use answer::{Answer, ask, ask_within};
pub(crate) use background::Background;
pub(crate) use logging::log_to_stderr;
pub(crate) use metrics_server::{MetricsServer, parse_address};
pub(crate) use mount_process::{MountCommand, MountProcess, Stay, last_complaint};
pub(crate) use packer::{PackAnswer, Packer};
pub(crate) use service::{Served, Service};
