//! What commands share that talk to a person: progress, sizes, printing, charts.

pub(crate) mod chart;
mod outcome;
mod print;
pub(crate) mod progress;
pub(crate) mod serving;
pub(crate) mod size;

pub(crate) use outcome::Outcome;
pub(crate) use print::{is_broken_pipe, print};
