//! `bench-mount`: how fast mounts are read.

mod args;
mod command;
mod compare;
mod in_order;
mod medians;
mod mount_report;
mod mount_tables;
mod opened;
mod processes;
mod random;
mod reader;
mod rounds;
mod server;
mod setup;
mod shuffled;
mod targets;
mod watch;
mod ways;
mod workload;

pub(crate) use args::{BenchMountArgs, ReadStripeArgs};
pub(crate) use command::bench_mount;
pub(crate) use processes::read_stripe;
