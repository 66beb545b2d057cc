//! What is stored of a plane, and how long it is.
//!
//! The ids of a plane are divided into `STREAMS` parts of equal length, a multiple of 64, of which
//! the last ones may be shorter or empty. Each part has its own stream. All streams share one code.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | split |
//! | 2 | number of exceptions |
//! | 1 | highest id that has a code word, `m` |
//! | m / 2 + 1 | lengths of the words of ids 0 to m, 4 bits each, first one lowest; 0 = no word |
//! | 15 | lengths of all streams but the last, 3 bytes each; that one takes what is left |
//! | .. | streams |
//! | .. | run of low bytes |
//! | .. | bit string of the other raw bits |
//! | 6 each | exceptions |
//!
//! Invariant: what decodes has exactly these parts, a code without gaps, and streams of which each
//! ends with the byte that its last word ends in, filled up with zeros.

use super::code::{IDS, Lengths};
use crate::codec::symbol::LANES;

/// Streams of a plane: with 4, look-ups are still waited for (-15 %); with 8, there are too few
/// registers (-23 %).
pub(super) const STREAMS: usize = 6;
/// Bytes of the length of a stream.
pub(super) const LENGTH_BYTES: usize = 3;
/// Bytes of the lengths of all streams but the last.
pub(super) const STREAM_LENGTHS_BYTES: usize = (STREAMS - 1) * LENGTH_BYTES;

/// Ids of each part but the last ones.
pub(super) const fn part_len(count: usize) -> usize {
    count.div_ceil(LANES).div_ceil(STREAMS) * LANES
}

/// Size of code and streams in bits, for ids of these frequencies, up to the padding of the
/// streams.
pub(in crate::codec) fn coded_bits(counts: &[u32; IDS]) -> u64 {
    let lengths = Lengths::best(counts);
    8 * (lengths.stored_bytes() + STREAM_LENGTHS_BYTES) as u64 + lengths.bits(counts)
}
