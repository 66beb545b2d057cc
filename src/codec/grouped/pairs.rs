//! Tables of pairs of levels that have one distribution and nothing else in common.

use crate::codec::ans::frequencies::{Frequencies, SLOT_BITS};

/// What a pair weighs at least, if both levels occur: so that it gets a slot. All weights of one table together
/// are `2^24`, and at most 256 are raised, so the least is more than the share of a slot.
const LEAST: u64 = 5 << 10;

/// The frequency of pair `a | b << bits`: `LEAST` or the product of those of `a` and `b`, whichever is more, as a
/// share of the sum of all, rounded so that sums of the first ones are rounded down.
pub(super) fn multiply(of_levels: &Frequencies, bits: u8) -> Frequencies {
    let levels = 1usize << bits;
    let weight = |pair: usize| match (of_levels[pair % levels], of_levels[pair >> bits]) {
        (0, _) | (_, 0) => 0,
        (a, b) => (u64::from(a) * u64::from(b)).max(LEAST),
    };
    let all: u64 = (0..levels * levels).map(weight).sum();
    let mut frequencies = [0; 256];
    let (mut sum, mut slots) = (0, 0);
    for (pair, frequency) in frequencies[..levels * levels].iter_mut().enumerate() {
        sum += weight(pair);
        let end = (sum << SLOT_BITS) / all.max(1);
        *frequency = u16::try_from(end - slots).unwrap_or(0);
        slots = end;
    }
    frequencies
}
