//! Encoding ids with the tables that were made for them.

use super::table::{Buckets, Frequencies, SLOT_BITS, SLOTS};
use super::{GROUP_WORD_BYTES, LANES, STATE_MIN, States};

/// What encoding an id needs.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    /// `ceil(2^64 / frequency)`: the high half of its product with a state is their quotient, for
    /// every state below 2^32 and every frequency below 2^12. For a frequency of 1 it is 2^64 - 1
    /// and the quotient comes out one too small, which the other fields make up for.
    reciprocal: u64,
    frequency: u32,
    /// Of the id's slots in `Table::slots`.
    first_slot: u32,
    /// Added to the new state.
    carry: u32,
}

/// A frequency table prepared for encoding.
pub(super) struct Table {
    steps: [Step; 256],
    /// The slots of each id by rank, one id behind the other. Twice as many as are used, so that a
    /// mask shows the compiler that no index is out of range.
    slots: [u16; 2 * SLOTS],
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            steps: [Step::default(); 256],
            slots: [0; 2 * SLOTS],
        }
    }

    pub(super) fn prepare(&mut self, frequencies: &Frequencies, buckets: &Buckets) {
        // From 1 on, because an id of frequency 1 counts from one place before its own.
        let mut first = 1u32;
        for (step, &frequency) in self.steps.iter_mut().zip(frequencies) {
            *step = match frequency {
                0 => Step::default(),
                1 => Step {
                    reciprocal: u64::MAX,
                    frequency: 1,
                    first_slot: first - 1,
                    carry: 1 << SLOT_BITS,
                },
                _ => Step {
                    reciprocal: (u64::MAX / u64::from(frequency)) + 1,
                    frequency: u32::from(frequency),
                    first_slot: first,
                    carry: 0,
                },
            };
            first += u32::from(frequency);
        }
        let first_slots: [usize; 256] = {
            let mut at = 1;
            frequencies.map(|frequency| {
                let first = at;
                at += usize::from(frequency);
                first
            })
        };
        for (slot, id, rank) in buckets.slots() {
            self.slots[first_slots[usize::from(id)] + usize::from(rank)] =
                u16::try_from(slot).unwrap_or(0);
        }
    }
}

/// Encodes `ids`, whole groups, from the last to the first. `table_of` gives the table of a group.
/// The states start at `STATE_MIN` plus `payload`. Words go to the end of `words`, which has room
/// for two bytes an id; returns where they start, and the states.
pub(super) fn encode<'t>(
    ids: &[u8],
    table_of: impl Fn(usize) -> &'t Table,
    payload: &[u16; LANES],
    words: &mut [u8],
) -> (usize, States) {
    let mut states = payload.map(|bits| STATE_MIN | u32::from(bits));
    let mut at = words.len();
    for (group, ids) in ids.chunks_exact(LANES).enumerate().rev() {
        let table = table_of(group);
        let start = at - GROUP_WORD_BYTES;
        let room: &mut [u8; GROUP_WORD_BYTES] = words[start..at]
            .first_chunk_mut()
            .expect("invariant: two bytes an id");
        at = start + encode_group(ids, table, &mut states, room);
    }
    (at, states)
}

/// Returns where in `room` the words start.
fn encode_group(
    ids: &[u8],
    table: &Table,
    states: &mut States,
    room: &mut [u8; GROUP_WORD_BYTES],
) -> usize {
    let mut free = GROUP_WORD_BYTES;
    for (state, &id) in states.iter_mut().zip(ids).rev() {
        let step = &table.steps[usize::from(id)];
        let full = *state >> 20 >= step.frequency;
        let word = (*state & 0xFFFF).to_le_bytes();
        // Written in any case, kept only if the state is full: no branch to mispredict.
        let place = (free - 2) % GROUP_WORD_BYTES;
        room[place] = word[0];
        room[place + 1] = word[1];
        free -= 2 * usize::from(full);
        let state_now = if full { *state >> 16 } else { *state };
        let [.., a, b, c, d] =
            ((u128::from(state_now) * u128::from(step.reciprocal)) >> 64).to_be_bytes();
        let quotient = u32::from_be_bytes([a, b, c, d]);
        let rank = state_now - quotient * step.frequency;
        let slot = table.slots[(step.first_slot + rank) as usize % (2 * SLOTS)];
        *state = (quotient << SLOT_BITS) + step.carry + u32::from(slot);
    }
    free
}
