//! Comparing ways to compress one file: who competes, one measured run, what the figures say.
//!
//! Invariant: a figure exists only for a contender that gave back the original, all of it. Knows
//! nothing of processes: that each run has one of its own is the caller's business, and so is what
//! is run how often.

mod args;
pub(crate) mod child;
mod command;
mod contender;
mod figures;
mod plot;
mod report;
mod run;
mod stream;

pub(crate) use args::{BenchArgs, BenchOneArgs};
pub(crate) use child::bench_one;
pub(crate) use command::bench;
pub use contender::{Contender, Family, Tool};
pub use figures::{Figures, Times, mark_front, median, sort_by_ratio};
pub use run::{Measured, Original, decode, encode};
