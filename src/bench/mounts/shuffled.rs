//! An order that looks random.

use crate::made_up::scramble;

/// The numbers below `count` in an order that looks random, without a list of them: a Feistel
/// network permutes a power of four of numbers, and steps on where it leads beyond `count`. It is the same
/// in every version, so that two of them that are compared read the same places.
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
}
