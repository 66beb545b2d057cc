//! What bytes are like by their place: numbers of several bytes have a top byte of few values, and so
//! repeat a pattern of entropies.

use crate::block::entropy_bits;

/// Places that are told apart: the bytes of the longest numbers.
pub(super) const PLACES: usize = 8;
/// Bits a byte that a longer period must take less: what chance makes of a sample.
const LESS_BITS: f64 = 0.15;
/// Bytes that take less than this are all the same, and may be of any type.
const EMPTY_BITS: f64 = 0.05;
/// Bytes that take more than this are noise, whatever they are.
const NOISE_BITS: f64 = 7.93;
/// A place that takes less than this is the same in all numbers.
const CONSTANT_BITS: f64 = 0.02;

/// What a stretch of a file looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Hardly anything is in it.
    #[default]
    Empty,
    /// Nothing is to be gained.
    Noise,
    /// Bytes of which each is like the others.
    Bytes,
    /// Numbers of so many bytes.
    Numbers {
        bytes: u8,
        /// Which of their bytes, by place in the file, has the least entropy of those that have some.
        least: u8,
    },
}

/// How often each byte stands at each place.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    places: Box<[[u32; 256]; PLACES]>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            places: Box::new([[0; 256]; PLACES]),
        }
    }
}

impl Counts {
    /// Counts bytes that stand at `offset` of a file.
    pub fn add(&mut self, bytes: &[u8], offset: u64) {
        let first = place_of(offset);
        for (at, &byte) in bytes.iter().enumerate() {
            self.places[(first + at) % PLACES][usize::from(byte)] += 1;
        }
    }

    /// Adds up both.
    pub fn merge(&mut self, other: &Self) {
        for (counts, others) in self.places.iter_mut().zip(other.places.iter()) {
            for (count, &other) in counts.iter_mut().zip(others) {
                *count = count.saturating_add(other);
            }
        }
    }

    pub fn pattern(&self) -> Pattern {
        let total: u32 = self.places.iter().flatten().sum();
        if total == 0 {
            return Pattern::Empty;
        }
        let bits = |period: usize| -> f64 {
            let places =
                (0..period).map(|first| corrected_entropy_bits(&self.of_period(first, period)));
            places.sum::<f64>() / f64::from(total)
        };
        let alike = bits(1);
        let mut best = (1, alike);
        for period in [2, 4, 8] {
            let bits = bits(period);
            if bits < best.1 - LESS_BITS {
                best = (period, bits);
            }
        }
        match best {
            _ if alike < EMPTY_BITS => Pattern::Empty,
            (1, bits) if bits > NOISE_BITS => Pattern::Noise,
            (1, _) => Pattern::Bytes,
            (period, _) => {
                let mean_bits = |place: usize| {
                    let counts = self.of_period(place, period);
                    corrected_entropy_bits(&counts) / f64::from(counts.iter().sum::<u32>().max(1))
                };
                let least = (0..period)
                    .map(|place| (mean_bits(place), place))
                    .filter(|(bits, _)| *bits > CONSTANT_BITS)
                    .min_by(|(one, _), (other, _)| one.total_cmp(other))
                    .map_or(0, |(_, place)| place);
                let [bytes, ..] = period.to_le_bytes();
                let [least, ..] = least.to_le_bytes();
                Pattern::Numbers { bytes, least }
            }
        }
    }

    fn of_period(&self, first: usize, period: usize) -> [u32; 256] {
        let mut sum = [0u32; 256];
        for counts in self.places.iter().skip(first).step_by(period) {
            for (sum, &count) in sum.iter_mut().zip(counts) {
                *sum = sum.saturating_add(count);
            }
        }
        sum
    }

    /// For each place and byte the bits it takes by these counts.
    pub fn costs(&self) -> Box<[[f32; 256]; PLACES]> {
        let mut costs = Box::new([[0.0; 256]; PLACES]);
        for (costs, counts) in costs.iter_mut().zip(self.places.iter()) {
            // A byte that was not seen may come all the same.
            let all = (counts.iter().sum::<u32>() as f32 + 128.0).log2();
            for (cost, &count) in costs.iter_mut().zip(counts) {
                *cost = all - (count as f32 + 0.5).log2();
            }
        }
        costs
    }
}

/// The place of the byte at an offset.
pub(super) fn place_of(offset: u64) -> usize {
    usize::try_from(offset % PLACES as u64).unwrap_or(0)
}

/// The entropy of so many bytes, in bits of all of them: of few bytes more than it looks like (Miller and Madow).
fn corrected_entropy_bits(counts: &[u32; 256]) -> f64 {
    let occupied = counts.iter().filter(|&&count| count > 0).count();
    let missing = (occupied as f64 - 1.0).max(0.0) / (2.0 * std::f64::consts::LN_2);
    entropy_bits(counts) + missing
}
