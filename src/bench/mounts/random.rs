//! Reading single pieces at random, each once.
//!
//! Only so many of a file that few have a neighbour that was read before: where there is one, the kernel
//! takes the two for a sequential reader, and reads ahead of it.

use std::time::{Duration, Instant};

use super::reader::Reader;
use super::shuffled::Shuffled;
use crate::error::Result;
use crate::os::{PageBuffer, read_full_at};

/// One of so many pieces is read, at most.
const ONE_OF: u64 = 8;

/// How long single reads took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Latencies {
    /// How many there were.
    pub(super) reads: usize,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) max_us: f64,
}

impl Latencies {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let last = all.len().saturating_sub(1);
        let at = |index: usize| {
            let time = all.get(index).copied().unwrap_or_default();
            time.as_secs_f64() * 1e6
        };
        Self {
            reads: all.len(),
            p50_us: at(last / 2),
            p99_us: at(last * 99 / 100),
            max_us: at(last),
        }
    }
}

/// With pread().
pub(super) fn read(
    reader: &Reader<'_>,
    bytes: usize,
    seconds: f64,
    seed: u64,
) -> Result<Latencies> {
    let mut buffer = PageBuffer::new(bytes);
    each(reader, bytes, seconds, seed, |at| {
        read_full_at(reader.file, buffer.bytes(), at)
            .map(|_| ())
            .map_err(|e| reader.cannot(e))
    })
}

/// Out of a map.
pub(super) fn map(reader: &Reader<'_>, bytes: usize, seconds: f64, seed: u64) -> Result<Latencies> {
    let mut buffer = PageBuffer::new(bytes);
    let map = reader.mapped()?;
    each(reader, bytes, seconds, seed, |at| {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let piece = map.as_slice().get(at..).and_then(|rest| rest.get(..bytes));
        reader.copy(&map, piece.unwrap_or_default(), buffer.bytes())
    })
}

fn each(
    reader: &Reader<'_>,
    bytes: usize,
    seconds: f64,
    seed: u64,
    mut read: impl FnMut(u64) -> Result<()>,
) -> Result<Latencies> {
    let order = Shuffled::new(reader.bytes / bytes as u64, seed);
    let mut all = Vec::new();
    let start = Instant::now();
    let mut now = start;
    let enough = order.count.div_ceil(ONE_OF);
    for place in (0..enough).map(|index| order.at(index)) {
        if (now - start).as_secs_f64() > seconds {
            break;
        }
        reader.watch.beat()?;
        let before = Instant::now();
        read(place * bytes as u64)?;
        now = Instant::now();
        all.push(now - before);
    }
    Ok(Latencies::of(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times = (1..=101).rev().map(Duration::from_micros).collect();
        let found = Latencies::of(times);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert_eq!(found.reads, 101);
        assert!(close(found.p50_us, 51.0), "{found:?}");
        assert!(close(found.p99_us, 100.0), "{found:?}");
        assert!(close(found.max_us, 101.0), "{found:?}");
        assert_eq!(Latencies::of(Vec::new()).reads, 0);
    }
}
