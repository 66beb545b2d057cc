//! Encoding ids with the tables that were made for them.

use super::carried::starting_with;
#[cfg(target_arch = "x86_64")]
use super::encode_avx512;
use super::frequencies::{SLOT_BITS, SLOTS};
use super::lanes::{GROUP_WORD_BYTES, LANES, States};
use super::step_table::StepTable;
use crate::simd::Simd;

/// Encodes `ids`, whole groups, from the last to the first. `table_of` gives the table of a group.
/// The states start at `STATE_MIN` plus `payload`. Words go to the end of `words`, which has room
/// for two bytes an id; returns where they start, and the states.
pub(super) fn encode_groups<'t>(
    simd: Simd,
    ids: &[u8],
    table_of: impl Fn(usize) -> &'t StepTable,
    payload: &[u16; LANES],
    words: &mut [u8],
) -> (usize, States) {
    let mut states = starting_with(payload);
    #[cfg(target_arch = "x86_64")]
    if simd.avx512() {
        let at = encode_avx512::encode(simd, ids, table_of, &mut states, words);
        return (at, states);
    }
    let _ = simd;
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
    table: &StepTable,
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
        let slot = table.slots[step.first_slot.wrapping_add(rank) as usize % (2 * SLOTS)];
        *state = (quotient << SLOT_BITS) + step.carry + u32::from(slot);
    }
    free
}
