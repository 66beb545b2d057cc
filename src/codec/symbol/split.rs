//! How the fields of a plane are cut, and the raw bits that come of it.

use crate::error::{Error, Result};
use crate::simd::prefetch;

/// Bytes of a `Split` in front of a coded plane.
const SPLIT_BYTES: usize = 4;
/// Elements that kernels work on at once: pieces of a plane start at multiples of this.
pub(in crate::codec) const LANES: usize = 64;

/// How fields are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::codec) struct Split {
    /// Bits of a field: 8 or 16.
    pub width: u8,
    /// Bits a field is rotated left by: 0 or 1.
    pub rotate: u8,
    /// Low bits that are not coded, less than the width.
    pub raw_bits: u8,
    /// Symbol of id 0, were it not symbol 0.
    pub base: u16,
}

impl Split {
    /// Reads what `to_bytes` wrote for a plane of this width.
    ///
    /// # Errors
    /// `Corrupt` if there is no such split.
    pub fn parse(bytes: [u8; SPLIT_BYTES], width: u8) -> Result<Self> {
        let [raw_bits, rotate, low, high] = bytes;
        let split = Self {
            width,
            rotate,
            raw_bits,
            base: u16::from_le_bytes([low, high]),
        };
        if !matches!(width, 8 | 16) || rotate > 1 || raw_bits >= width {
            return Err(Error::corrupt(
                "a plane has an impossible split of its bits",
            ));
        }
        Ok(split)
    }

    /// The form that is stored.
    pub fn to_bytes(self) -> [u8; SPLIT_BYTES] {
        let [low, high] = self.base.to_le_bytes();
        [self.raw_bits, self.rotate, low, high]
    }

    /// Whether fields are bytes whose ids are what is above the raw bits, of which there are 4 at most.
    pub(super) const fn is_of_bytes(self) -> bool {
        self.width == 8 && self.rotate == 0 && self.base == 0 && self.raw_bits <= 4
    }

    /// Raw bits of an element that are stored beside the run of bytes.
    pub const fn packed_bits(self) -> u8 {
        self.raw_bits % 8
    }

    /// Length of the run of low bytes for `count` elements.
    pub const fn low_bytes(self, count: usize) -> usize {
        if self.raw_bits >= 8 { count } else { 0 }
    }

    /// Length of the bit string for `count` elements.
    pub const fn packed_bytes(self, count: usize) -> usize {
        (count * self.packed_bits() as usize).div_ceil(8)
    }

    /// The symbol that an id stands for.
    pub(super) const fn symbol(self, id: u8) -> u16 {
        if id == 0 {
            0
        } else {
            self.base.wrapping_add(id as u16)
        }
    }

    /// A field from its rotated form.
    pub(super) const fn rotate_back(self, rotated: u16) -> u16 {
        if self.rotate == 0 {
            rotated
        } else if self.width == 16 {
            rotated.rotate_right(1)
        } else {
            let [low, _] = rotated.to_le_bytes();
            low.rotate_right(1) as u16
        }
    }

    /// The rotated form of a field.
    pub const fn rotate(self, field: u16) -> u16 {
        if self.rotate == 0 {
            field
        } else if self.width == 16 {
            field.rotate_left(1)
        } else {
            let [low, _] = field.to_le_bytes();
            low.rotate_left(1) as u16
        }
    }
}

/// Raw bits of a run of elements that starts at a multiple of `LANES`. Both slices may be longer
/// than the run needs, which lets kernels load whole vectors.
#[derive(Debug, Clone, Copy)]
pub(in crate::codec) struct Raw<'a> {
    /// Low bytes, from the first element on.
    pub low: &'a [u8],
    /// Bit string, from the first element on.
    pub packed: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Asks for the raw bits of the first elements to be brought near.
    pub fn prefetch(self, split: Split, count: usize) {
        for (bytes, len) in [
            (self.low, split.low_bytes(count)),
            (self.packed, split.packed_bytes(count)),
        ] {
            prefetch(&bytes[..len.min(bytes.len())]);
        }
    }

    /// What is left behind `count` elements, a multiple of 8.
    pub fn skip(self, split: Split, count: usize) -> Self {
        Self {
            low: self.low.get(split.low_bytes(count)..).unwrap_or_default(),
            packed: self
                .packed
                .get(split.packed_bytes(count)..)
                .unwrap_or_default(),
        }
    }
}
