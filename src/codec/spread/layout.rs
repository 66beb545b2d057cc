//! A plane of levels with row and column scales: what is stored.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | raw bits: 0 of fields of 8 bits, at most 8 of others |
//! | 1 | log2 of the step between row scales |
//! | 1 | Rice parameter of the row scales |
//! | 1 | Rice parameter of the escapes |
//! | 1 | number of segments, not zero |
//! | 1 | reserved, zero |
//! | 2 | the row scale in the middle, signed |
//! | 2 | the lowest scale that there is a table for, signed |
//! | 4 | number of the shape's record in the profiles |
//! | 4 | length of the row scales |
//! | 4 | length of the words |
//! | 4 | length of the escapes |
//! | 16 each | segments, as in `scaled` |
//! | .. | for each part of a row the Rice code of its scale, as one bit string |
//! | .. | the states of the lanes, words, run of low bytes, other raw bits, as in `ans` |
//! | .. | for each escape a Rice code, as one bit string |
//!
//! Where there are no raw bits that states can carry, they carry the last bytes of the escapes.

use crate::codec::ans::{CARRIED_BYTES, Carried};
use crate::codec::symbol::Split;

pub(super) const HEADER_BYTES: usize = 26;
/// Most raw bits: more would leave ids without symbols.
pub(super) const MAX_RAW_BITS: u8 = 8;
/// The scales that there are tables for.
pub(super) const SCALES: std::ops::RangeInclusive<i16> = -64..=200;

/// One element in so many may be an escape.
pub(super) const FEW_ESCAPES: usize = 8;

/// Bytes of the escapes that the states carry.
pub(super) fn carried_escapes(split: Split, count: usize, escapes_len: usize) -> usize {
    let carried = Carried::new(split, count);
    if carried.low + carried.packed == 0 && escapes_len >= CARRIED_BYTES {
        CARRIED_BYTES
    } else {
        0
    }
}

/// How fields of a width are cut: level 0 is at the middle of all fields, and has id 128.
pub(super) fn split(width: u8, raw_bits: u8) -> Split {
    Split {
        width,
        rotate: 0,
        raw_bits,
        base: middle_symbol(width, raw_bits).wrapping_sub(128),
    }
}

/// The symbol of level 0.
pub(super) fn middle_symbol(width: u8, raw_bits: u8) -> u16 {
    1 << (width - 1 - raw_bits)
}
