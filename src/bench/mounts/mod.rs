//! `bench-mount`: how fast mounts are read.

mod args;
mod command;
mod null;
mod processes;
mod random;
mod read;
mod report;
mod run;
mod server;
mod targets;
mod watch;

pub(crate) use args::{BenchMountArgs, NullMountArgs, ReadStripeArgs};
pub(crate) use command::bench_mount;
pub(crate) use null::mount_null;
pub(crate) use processes::read_stripe;
