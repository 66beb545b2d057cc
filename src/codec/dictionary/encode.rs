//! Encoding: the values there are, and the place of each field among them.

use super::layout::{MAX_VALUES, place_bits};
use crate::codec::rice::{put_rice, rice_bits, rice_length};
use crate::format::CodecId;
use crate::plane::BitWriter;

/// The different values of a plane of 16-bit fields, ascending; `None` if there are none, or too many.
pub(in crate::codec) fn distinct(plane: &[u8]) -> Option<Vec<u16>> {
    let mut seen = vec![0u64; 1 << 10];
    let mut count = 0;
    for field in plane.as_chunks::<2>().0 {
        let value = u16::from_le_bytes(*field);
        let (word, bit) = (&mut seen[usize::from(value >> 6)], 1 << (value & 63));
        if *word & bit == 0 {
            *word |= bit;
            count += 1;
            if count > MAX_VALUES {
                return None;
            }
        }
    }
    if count == 0 {
        return None;
    }
    let values =
        (0..=u16::MAX).filter(|&value| seen[usize::from(value >> 6)] >> (value & 63) & 1 == 1);
    Some(values.collect())
}

/// Encodes planes, with buffers that are used again.
#[derive(Default)]
pub(in crate::codec) struct Encoder {
    ranks: Vec<u16>,
    places: Vec<u8>,
}

impl Encoder {
    /// The places of all fields among these values, which are all there are, as a plane; and how many bits
    /// each has.
    pub(in crate::codec) fn places(&mut self, plane: &[u8], values: &[u16]) -> (&[u8], u8) {
        self.ranks.resize(1 << 16, 0);
        for (rank, &value) in (0..).zip(values) {
            self.ranks[usize::from(value)] = rank;
        }
        let ranks = plane
            .as_chunks::<2>()
            .0
            .iter()
            .map(|field| self.ranks[usize::from(u16::from_le_bytes(*field))].to_le_bytes());
        let bits = place_bits(values.len());
        self.places.clear();
        if bits == 8 {
            self.places.extend(ranks.map(|[low, _]| low));
        } else {
            self.places.extend(ranks.flatten());
        }
        (&self.places, bits)
    }
}

/// Appends the list of values, of which there are some, and the codec of the places that are to follow.
pub(in crate::codec) fn put_values(values: &[u16], places: CodecId, out: &mut Vec<u8>) {
    let codes = values
        .windows(2)
        .map(|pair| u32::from(pair[1] - pair[0] - 1));
    let parameter = rice_bits(codes.clone());
    let [low, high, ..] = (values.len() - 1).to_le_bytes();
    out.extend_from_slice(&[low, high, places.code(), parameter]);
    let bits = 16
        + codes
            .clone()
            .map(|code| rice_length(code, parameter))
            .sum::<usize>();
    let at = out.len();
    out.resize(at + bits.div_ceil(8), 0);
    let mut writer = BitWriter::new(&mut out[at..]);
    writer.put(u64::from(values[0]), 16);
    for code in codes {
        put_rice(code, parameter, &mut writer);
    }
    writer.finish();
}
