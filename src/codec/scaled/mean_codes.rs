//! How means are coded: as half octaves from one in the middle, with a sign where there is one.

use super::mean;
use crate::codec::rice::{middle, put_rice, rice_bits, rice_length, scale, take_rice, zigzag};
use crate::plane::{BitReader, BitWriter};

/// In place of a Rice parameter: there are no means.
pub(super) const NO_MEANS: u8 = u8::MAX;

/// How means are coded.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeanCodes {
    bits: u8,
    middle: i8,
}

impl MeanCodes {
    /// For these means.
    pub fn new(means: &[i16]) -> Self {
        let halves: Vec<i16> = means.iter().map(|&mean| mean::stored(mean)).collect();
        // Few half octaves are as good as the one in the middle.
        let [low, _] = middle(&halves).to_le_bytes();
        let mut codes = Self {
            bits: 0,
            middle: i8::from_le_bytes([low]),
        };
        codes.bits = rice_bits(means.iter().map(|&mean| codes.code(mean)));
        codes
    }

    /// Reads what `to_bytes` wrote.
    pub const fn parse([bits, middle]: [u8; 2]) -> Option<Self> {
        let middle = i8::from_le_bytes([middle]);
        if bits > 15 {
            return None;
        }
        Some(Self { bits, middle })
    }

    /// The Rice parameter and the middle.
    pub const fn to_bytes(self) -> [u8; 2] {
        [self.bits, self.middle.to_le_bytes()[0]]
    }

    fn code(self, mean: i16) -> u32 {
        zigzag(i32::from(mean::stored(mean)) - i32::from(self.middle))
    }

    /// Bits that `put` takes.
    pub fn length(self, mean: i16) -> usize {
        rice_length(self.code(mean), self.bits) + usize::from(mean::has_sign(mean))
    }

    pub fn put(self, mean: i16, out: &mut BitWriter<'_>) {
        put_rice(self.code(mean), self.bits, out);
        if mean::has_sign(mean) {
            out.put(u64::from(mean & 1 == 1), 1);
        }
    }

    pub fn take(self, from: &mut BitReader<'_>) -> Option<i16> {
        let halves = scale(take_rice(from, self.bits)?, self.middle.into(), 0);
        Some(mean::from_stored(halves, || from.take(1) == 1))
    }
}
