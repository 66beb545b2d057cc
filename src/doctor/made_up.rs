//! Made-up numbers with the statistics of trained weights: nearly Gaussian, each row with its own scale.

/// Numbers of a row.
const ROW: usize = 2048;

/// So many bytes of weights as BF16, always the same.
pub(super) fn weights(bytes: usize) -> Vec<u8> {
    let mut random = Random(7);
    let mut weights = Vec::with_capacity(bytes);
    while weights.len() < bytes {
        let scale = row_scale(&mut random);
        let row = ROW.min((bytes - weights.len()).div_ceil(2));
        weights.extend((0..row).flat_map(|_| bf16(scale * random.normal())));
    }
    weights.truncate(bytes);
    weights
}

/// The scale of a row of weights.
pub(crate) fn row_scale(random: &mut Random) -> f32 {
    0.02 * (0.25 * random.normal()).exp()
}

/// The upper half of the number, rounded to nearest, ties to even.
pub(crate) fn bf16(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    let [_, _, low, high] = rounded.to_le_bytes();
    [low, high]
}

/// SplitMix64 (Steele, Lea, Flood 2014), written out: the ratio that README.md tells is of these very
/// numbers, and no crate of random numbers promises the same ones for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
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
