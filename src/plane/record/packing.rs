//! How wide the fields of a stream are: what a reader of values has to know, and a codec of bytes need not.

use super::layout::{Meaning, Stream};
use super::layouts::RecordLayout;

/// The fields in a byte of a stream, or in two bytes for floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// How many there are, the first in the lowest bits.
    pub fields: u8,
    /// Bits of each.
    pub bits: u8,
}

impl RecordLayout {
    /// Weights of a record.
    pub const fn weights(self) -> usize {
        match self {
            Self::Q4_0
            | Self::Q4_1
            | Self::Q5_0
            | Self::Q5_1
            | Self::Q8_0
            | Self::Q8_1
            | Self::Mxfp4 => 32,
            _ => 256,
        }
    }

    /// The packing of each stream. Its width is that of the bits that a record can set; levels are as many in
    /// a byte as there are weights for it. What is packed otherwise (five levels of three values) is one field.
    pub fn packings(self) -> Vec<Packing> {
        let mut planes = Vec::new();
        self.take(&vec![0xFF; self.bytes()], &mut planes);
        let levels = |stream: &&Stream| stream.meaning == Meaning::Levels;
        let level_bytes: usize = self
            .streams()
            .iter()
            .filter(levels)
            .map(Stream::bytes)
            .sum();
        let in_byte = self.weights().checked_div(level_bytes).unwrap_or(1).max(1);
        let is_even = level_bytes * in_byte == self.weights();
        let packing = |(stream, plane): (&Stream, &Vec<u8>)| {
            let set = plane.iter().fold(0, |all, byte| all | byte);
            let width = if stream.field_bytes == 2 {
                16
            } else {
                8 - set.leading_zeros() as usize
            };
            let fields = match stream.meaning {
                Meaning::Levels if is_even && width.is_multiple_of(in_byte) => in_byte,
                _ => 1,
            };
            let small = |n| u8::try_from(n).unwrap_or(u8::MAX);
            Packing {
                fields: small(fields),
                bits: small(width / fields),
            }
        };
        self.streams().iter().zip(&planes).map(packing).collect()
    }
}
