//! Decodes several streams side by side, so that the look-ups of one are waited for while the
//! others work.
//!
//! Each stream keeps the bits that come next at the top of a word of 64 bits; one set bit below
//! them marks how many have been taken:
//!
//! ```text
//! repeat as often as no stream can leave its bounds:
//!     STEPS times, for each stream:
//!         entry = table[top bits]
//!         write the ids of the entry before those decoded so far
//!         shift its bits out
//!     for each stream: go on by the whole bytes taken; read 8 bytes, highest first; set the lowest
//!         bit as mark; shift out what is taken of the first byte
//! ```
//!
//! Invariant: nothing outside of `input` is read and nothing outside of `ids` written, whatever the
//! bits are. Knows nothing of where a stream has to end.
#![expect(
    unsafe_code,
    reason = "with a bounds check at each look-up, decoding is a third slower"
)]

use super::code::MAX_LENGTH;
use super::entry_table::{self, EntryTable, MAX_IDS};

/// Look-ups that the bits of one read last for: 64, less those of a byte taken in part and the
/// mark.
const STEPS: usize = 56 / MAX_LENGTH as usize;
/// Most ids that these yield.
const MAX_STEPS_IDS: usize = STEPS * MAX_IDS;
/// Bytes read, and bytes written, at once.
const WORD_BYTES: usize = size_of::<u64>();

/// Bytes before the ids of each part that may be overwritten.
pub(super) const ROOM_BYTES: usize = WORD_BYTES;

/// What is left to decode of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lane {
    /// Place of the next bit in the input.
    pub bit: usize,
    /// Where the ids belong that are not decoded yet. Before `start` there are `ROOM_BYTES` that
    /// belong to nobody.
    pub start: usize,
    pub end: usize,
}

impl Lane {
    /// How often all steps can be done with this stream.
    fn rounds(&self, at: usize, input: &[u8], ids: &[u8]) -> usize {
        if self.start < ROOM_BYTES || self.end > ids.len() {
            return 0;
        }
        let ids_left = self.end.saturating_sub(self.start);
        let input_left = input.len().saturating_sub(at + WORD_BYTES);
        (ids_left / MAX_STEPS_IDS).min(input_left / WORD_BYTES)
    }
}

/// Decodes all lanes until one of them is nearly done.
pub(super) fn run<const LANES: usize>(
    table: &EntryTable,
    input: &[u8],
    ids: &mut [u8],
    lanes: &mut [Lane; LANES],
) {
    let entries = table.entries();
    // Place of the byte that the highest of `bits` is in.
    let mut at = lanes.map(|lane| lane.bit / 8);
    let mut bits = [0; LANES];
    for ((bits, lane), &at) in bits.iter_mut().zip(&*lanes).zip(&at) {
        let Some(word) = input.get(at..).and_then(<[u8]>::first_chunk) else {
            return;
        };
        *bits = marked(*word) << (lane.bit % 8);
    }
    let mut end = lanes.map(|lane| lane.end);
    loop {
        let each = lanes.iter().zip(&at);
        let rounds = each.map(|(lane, &at)| lane.rounds(at, input, ids)).min();
        let rounds = rounds.unwrap_or(0);
        if rounds == 0 {
            return;
        }
        for _ in 0..rounds {
            for _ in 0..STEPS {
                for i in 0..LANES {
                    let entry = entries[(bits[i] >> (64 - MAX_LENGTH)) as usize];
                    bits[i] <<= entry_table::length(entry);
                    // SAFETY: `rounds` said that `end[i] <= ids.len()` and that `end[i]` is at
                    // least `start + MAX_STEPS_IDS` for each round to come, and an entry of a
                    // `EntryTable` has at most `MAX_IDS` ids, so here `start <= end[i]`. With
                    // `start >= ROOM_BYTES` the 8 bytes before `end[i]` are in `ids`.
                    unsafe {
                        let to = ids.as_mut_ptr().add(end[i] - WORD_BYTES);
                        to.cast::<[u8; WORD_BYTES]>().write(entry.to_le_bytes());
                    }
                    end[i] -= entry_table::count(entry);
                }
            }
            for i in 0..LANES {
                // At most 62, as the shifts were at most 7 + STEPS * MAX_LENGTH; 64 in any case.
                let taken = bits[i].trailing_zeros();
                at[i] += taken as usize / 8;
                // SAFETY: `rounds` said that from `at[i]` on there are WORD_BYTES for each round to
                // come and WORD_BYTES more, and a round moves `at[i]` by 64 / 8 = WORD_BYTES at
                // most.
                let word = unsafe { input.as_ptr().add(at[i]).cast::<[u8; WORD_BYTES]>().read() };
                bits[i] = marked(word) << (taken % 8);
            }
        }
        for (i, lane) in lanes.iter_mut().enumerate() {
            lane.end = end[i];
            lane.bit = 8 * at[i] + bits[i].trailing_zeros() as usize;
        }
    }
}

fn marked(word: [u8; WORD_BYTES]) -> u64 {
    u64::from_be_bytes(word) | 1
}
