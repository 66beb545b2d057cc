//! Reading single pieces at random, each once.
//!
//! Only so many of a file that few have a neighbour that was read before: where there is one, the kernel
//! takes the two for a sequential reader, and reads ahead of it.

use std::time::{Duration, Instant};

use super::read::{Buffer, Reader};
use crate::error::Result;
use crate::os::read_full_at;

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
    let mut buffer = Buffer::new(bytes);
    each(reader, bytes, seconds, seed, |at| {
        read_full_at(reader.file, buffer.bytes(), at)
            .map(|_| ())
            .map_err(|e| reader.cannot(e))
    })
}

/// Out of a map.
pub(super) fn map(reader: &Reader<'_>, bytes: usize, seconds: f64, seed: u64) -> Result<Latencies> {
    let mut buffer = Buffer::new(bytes);
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
    let most = order.count.div_ceil(ONE_OF);
    for place in (0..most).map(|index| order.at(index)) {
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

/// The numbers below `count` in an order that looks random, without a list of them: a Feistel
/// network permutes a power of four of numbers, and steps on where it leads beyond `count`.
pub(super) struct Shuffled {
    pub(super) count: u64,
    half_bits: u32,
    seed: u64,
}

const FEISTEL_ROUNDS: u64 = 4;

impl Shuffled {
    pub(super) fn new(count: u64, seed: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self {
            count,
            half_bits: bits.div_ceil(2).max(1),
            seed,
        }
    }

    /// The number at an index, both below `count`.
    pub(super) fn at(&self, mut index: u64) -> u64 {
        loop {
            index = self.permute(index);
            if index < self.count {
                return index;
            }
        }
    }

    fn permute(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut high, mut low) = (number >> self.half_bits, number & mask);
        for round in 0..FEISTEL_ROUNDS {
            let key = (self.seed * FEISTEL_ROUNDS + round) << 40;
            (high, low) = (low, high ^ (scramble(low ^ key) & mask));
        }
        high << self.half_bits | low
    }
}

/// The finalizer of SplitMix64.
const fn scramble(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffled_numbers_come_once_each_and_not_in_order() {
        for count in [0, 1, 2, 3, 4, 5, 63, 64, 65, 1000, 4097] {
            let order = Shuffled::new(count, 7);
            let found: Vec<_> = (0..count).map(|index| order.at(index)).collect();
            let mut sorted = found.clone();
            sorted.sort_unstable();
            assert!(sorted.iter().copied().eq(0..count), "{count}");
            let next = found.windows(2).filter(|pair| pair[0] + 1 == pair[1]);
            assert!(count < 50 || next.count() < 10, "{count}");
        }
        let first = |seed| Shuffled::new(1 << 30, seed).at(0);
        assert_ne!(first(1), first(2));
    }

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
