//! Made-up numbers with the statistics of trained weights: nearly Gaussian, each row with its own scale. The same in
//! every version, so that what is measured by them can be compared.

use crate::grid::to_bf16;

/// Numbers of a row.
const ROW: usize = 2048;

/// So many bytes of weights as BF16, always the same.
pub(crate) fn weights(bytes: usize) -> Vec<u8> {
    let mut random = Random(7);
    let mut weights = Vec::with_capacity(bytes);
    while weights.len() < bytes {
        let scale = row_scale(&mut random);
        let row = ROW.min((bytes - weights.len()).div_ceil(2));
        weights.extend((0..row).flat_map(|_| next_weight(&mut random, scale)));
    }
    weights.truncate(bytes);
    weights
}

/// The scale of a row of weights.
pub(crate) fn row_scale(random: &mut Random) -> f32 {
    0.02 * (0.25 * random.normal()).exp()
}

/// A weight of a row of such a scale, as BF16.
pub(crate) fn next_weight(random: &mut Random, scale: f32) -> [u8; 2] {
    to_bf16(scale * random.normal()).to_le_bytes()
}

/// From one state of SplitMix64 to the next.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// What SplitMix64 makes of a state: also a hash.
pub(crate) const fn scramble(state: u64) -> u64 {
    let z = state.wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// SplitMix64 (Steele, Lea, Flood 2014), written out: the ratio that README.md tells is of these very
/// numbers, and no crate of random numbers promises the same ones for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        let number = scramble(self.0);
        self.0 = self.0.wrapping_add(STEP);
        number
    }

    /// Nearly normal, with mean 0 and variance 1: the sum of four uniform numbers (Irwin-Hall).
    pub(crate) fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: f32 = (0..4)
            .map(|i| {
                let [low, high, ..] = (bits >> (16 * i)).to_le_bytes();
                f32::from(u16::from_le_bytes([low, high]))
            })
            .sum();
        // Four uniform numbers from 0 to 2^16 have mean 2^17 and variance 2^32 / 3.
        (sum - 131_072.0) * (3f32.sqrt() / 65_536.0)
    }
}
