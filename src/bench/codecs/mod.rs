//! `bench`: ways to compress one file compared, so that people can choose.
//!
//! Invariant: the file is only read, and a figure exists only for a contender that gave back the
//! original, all of it, out of processes of its own.

mod args;
mod bench_base;
mod child;
mod codec_report;
mod command;
mod comparison;
mod contender;
mod expected_time;
mod figures;
mod framed;
mod measured;
mod original;
mod plot;
mod records;
mod stream;
mod xor;
mod zstd_frame;

pub(crate) use args::{BenchArgs, BenchOneArgs};
pub(crate) use child::bench_one;
pub(crate) use command::bench;
