//! Each way to read a file, and what is seen of it.

use super::reader::Reader;
use super::workload::Way;
use super::{in_order, processes, random};
use crate::error::Result;

/// What a run showed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    /// All of the file was read in this time.
    Seconds(f64),
    /// How long single reads took.
    Latencies(random::Latencies),
}

/// Reads a file. Reading at random takes `seconds` at most, in an order that `seed` decides.
///
/// # Errors
/// `Io` if a byte cannot be had, `Interrupted`.
pub(super) fn run(reader: &Reader<'_>, way: Way, seconds: f64, seed: u64) -> Result<Seen> {
    Ok(match way {
        Way::Read => Seen::Seconds(in_order::read(reader)?),
        Way::Map { ask_for_all } => Seen::Seconds(in_order::map(reader, ask_for_all)?),
        Way::Threads { count, share } => Seen::Seconds(in_order::threads(reader, count, share)?),
        Way::Processes { count } => Seen::Seconds(processes::run(reader, count)?),
        Way::Random { bytes } => Seen::Latencies(random::read(reader, bytes, seconds, seed)?),
        Way::RandomMap { bytes } => Seen::Latencies(random::map(reader, bytes, seconds, seed)?),
    })
}
