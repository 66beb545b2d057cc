//! A plane coded with ANS: what is stored, and how long it is.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | split |
//! | 1 | log2 of the buckets: 7 or 8 |
//! | 1 | number of frequency tables, 1 to 16 |
//! | 1 | log2 of the groups in a segment |
//! | 1 | reserved, zero |
//! | 2 | number of exceptions |
//! | 2 | length of the tables |
//! | 4 | length of the words |
//! | .. | tables, then for each segment which one it uses, as one bit string |
//! | .. | the states of the lanes |
//! | .. | words |
//! | .. | run of low bytes |
//! | .. | bit string of the other raw bits |
//! | 6 each | exceptions |
//!
//! If the last of the two raw parts that is not empty has 256 bytes or more, its last 256 bytes are
//! missing: the decoder finds them in the low halves of its states when it is done.

use super::carried::{CARRIED_BYTES, STATES_BYTES};
use super::frequencies::{self, Frequencies};

pub(super) const HEADER_BYTES: usize = 16;
pub(super) const MAX_TABLES: usize = 16;
/// Most groups a segment may have, as log2: those of the largest block.
pub(super) const MAX_SEGMENT_BITS: u8 = 16;

/// Tables that a plane is coded with, and where each is used.
#[derive(Debug, Clone)]
pub(in crate::codec) struct Tables {
    pub frequencies: Vec<Frequencies>,
    /// For each segment the number of its table.
    pub choice: Vec<u8>,
    /// log2 of the groups in a segment.
    pub segment_bits: u8,
}

/// Bits to name one of so many tables.
pub(super) fn choice_bits(tables: usize) -> u8 {
    let [bits, ..] = tables.next_power_of_two().trailing_zeros().to_le_bytes();
    bits
}

/// Bytes of a plane beside its tables, words, raw bits and exceptions: what the states carry is not
/// stored elsewhere.
const FIXED_BYTES: usize = HEADER_BYTES + STATES_BYTES - CARRIED_BYTES;

/// Length of all that is stored beside words, raw bits and exceptions.
pub(in crate::codec) fn overhead_bytes(tables: &Tables) -> usize {
    FIXED_BYTES + tables_bytes(tables)
}

/// Length in bits of a plane with one table for ids that occur as often as `counts` says, its raw
/// bits aside.
pub(in crate::codec) fn coded_bits(counts: &[u32; 256]) -> u64 {
    let table = frequencies::normalize(counts);
    let bits = (8 * FIXED_BYTES + frequencies::stored_bits(&table)) as f64
        + frequencies::coded_bits(counts, &table);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, positive and far below 2^53"
    )]
    let bits = bits as u64;
    bits
}

pub(super) fn tables_bytes(tables: &Tables) -> usize {
    let bits: usize = tables
        .frequencies
        .iter()
        .map(frequencies::stored_bits)
        .sum();
    let choice = usize::from(choice_bits(tables.frequencies.len())) * tables.choice.len();
    (bits + choice).div_ceil(8)
}
