//! Differences to a base: what is stored.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | number of classes, 1 to 32; or 0: nothing is changed but in the tail |
//! | 1 | log2 of the elements in a run, 6 to 13, or 0: there are no scales; from bit 4 on log2 of the keys in an octave, 0 to 2 |
//! | 1 | Rice parameter of the gaps in the tail, at most 15 |
//! | 2 | the lowest key, signed |
//! | 2 | elements in the tail |
//! | 2 | length of the tables |
//! | 4 | length of the words |
//! | 4 | length of the low bits and the tail |
//! | .. | the tables, as one bit string |
//! | .. | the states of the lanes |
//! | .. | words |
//! | .. | bit string of the low bits, then of the tail |
//!
//! The words hold a scale for each run, then for each element whether it is changed, then the id of each that is. Each of the
//! three is whole groups of lanes: what is coded behind the end means nothing, and has a table with which it takes next to
//! nothing.
//!
//! The key of an element is the exponent of the base's number, times the keys in an octave, less the scale of its run. Keys
//! are counted from the lowest one and are 0 to 62; those beyond count as the last. How likely it is that an element is changed
//! follows from its key, and what table its id has from the class of the key.
//!
//! The tables are, one after the other:
//! - the chances (see `chances`) of each key to be changed;
//! - the table of the scales, if there are any, as `ans` stores it;
//! - 6 bits for each class but the first: its lowest key, ascending;
//! - the tables of all classes, as `ans` stores them.
//!
//! Of a change one is taken off, as none is 0: ids are of what is left of the difference in places, zigzag (-1, 1, -2, .. are
//! 0, 1, 2, ..). An id below 16 is just that. Others have what is
//! left of it below its highest three bits in the bit string: id `16 + 4 * n + m` is `4 + m`, then `n + 2` bits.
//!
//! The last elements may be in the tail, and are not in the words. It says how many of them are equal to the base, as a Rice code, then
//! the difference of the next one, as an Elias gamma code (so many ones as it has bits below the highest, a zero, and those
//! bits), and so on until what are equal end where the elements do.
//!
//! The last 256 bytes of the bit string, or all if there are fewer, are missing: the states carry them, which carry
//! zeros beside. That is what the tail is for: without it they would carry next to nothing.

use crate::codec::ans::frequencies::{Frequencies, SLOTS};
use crate::codec::ans::{CARRIED_BYTES, TABLES};
use crate::codec::symbol::Split;

pub(super) const HEADER_BYTES: usize = 17;
/// Keys that are told apart.
pub(super) const KEYS: usize = 63;
/// The key of what is behind the end.
pub(super) const NO_KEY: u8 = KEYS.to_le_bytes()[0];
/// The table of scales: no class has as high a number.
pub(super) const SCALES_TABLE: u8 = TABLES.to_le_bytes()[0] - 1;
/// That of what is behind the end of scales and ids.
pub(super) const NO_TABLE: u8 = SCALES_TABLE - 1;
/// What it says: it is an id of 0.
pub(super) const NOTHING: Frequencies = {
    let mut frequencies = [0; 256];
    let most = (SLOTS - 1).to_le_bytes();
    frequencies[0] = u16::from_le_bytes([most[0], most[1]]);
    frequencies[1] = 1;
    frequencies
};
/// Bits of a key.
pub(super) const KEY_BITS: u8 = 6;
/// Runs that there may be: pieces of a plane hold whole ones.
pub(super) const RUN_BITS: std::ops::RangeInclusive<u8> = 6..=13;
pub(super) const MAX_STEP_BITS: u8 = 2;

/// There is nothing in fields beside what the words hold.
pub(super) const SPLIT: Split = Split {
    width: 8,
    rotate: 0,
    raw_bits: 0,
    base: 0,
};

/// Ids that are a difference.
pub(super) const DIRECT: u8 = 16;
const DIRECT_BITS: u32 = 4;
/// Bits of a difference that an id tells behind the highest.
const PART_BITS: u32 = 2;

/// What stands for what is left of a difference, if that is at least `DIRECT`: the id, the low bits, and how many these are.
pub(super) const fn parts(difference: u32) -> (u8, u32, u8) {
    let [low_bits, ..] = (difference.ilog2() - PART_BITS).to_le_bytes();
    let top = difference >> low_bits;
    let octave = low_bits as u32 + PART_BITS - DIRECT_BITS;
    let [id, ..] = (octave << PART_BITS | top & ((1 << PART_BITS) - 1)).to_le_bytes();
    (id + DIRECT, difference & ((1 << low_bits) - 1), low_bits)
}

/// What an id from `DIRECT` on stands for: the highest bits, and how many low ones follow.
pub(super) const fn top(id: u8) -> (u64, u8) {
    let code = (id - DIRECT) as u64;
    let [octave, ..] = (code >> PART_BITS).to_le_bytes();
    let top = code & ((1 << PART_BITS) - 1) | 1 << PART_BITS;
    (top, octave + (DIRECT_BITS - PART_BITS).to_le_bytes()[0])
}

/// Bits below the highest of a difference in the tail.
pub(super) const MAX_TAIL_BITS: u32 = 31;
pub(super) const MAX_GAP_BITS: u8 = 15;

/// Bytes of the bit string that the states carry.
pub(super) fn carried(low_len: usize) -> usize {
    low_len.min(CARRIED_BYTES)
}
