//! The kernel without vector instructions.

use super::frequencies::{SLOT_BITS, SLOTS};
use super::lanes::{GROUP_WORD_BYTES, LANES, STATE_MIN, States, TABLES};

pub(super) fn decode(
    slots: &[u32; SLOTS],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    let mut done = 0;
    for ids in ids.chunks_exact_mut(LANES) {
        let Some(group) = words[*at..].first_chunk() else {
            break;
        };
        let mut taken = 0;
        for (state, id) in states.iter_mut().zip(ids) {
            let slot = slots[*state as usize % SLOTS];
            *id = slot.to_le_bytes()[0];
            *state = advance(*state, slot, group, &mut taken);
        }
        *at += taken;
        done += LANES;
    }
    done
}

pub(super) fn decode_each(
    slots: &[u32; TABLES * SLOTS],
    choice: &[u8],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    let mut done = 0;
    let groups = ids.chunks_exact_mut(LANES).zip(choice.chunks_exact(LANES));
    for (ids, choice) in groups {
        let Some(group) = words[*at..].first_chunk() else {
            break;
        };
        let mut taken = 0;
        for ((state, id), &choice) in states.iter_mut().zip(ids).zip(choice) {
            let table = usize::from(choice) % TABLES;
            let slot = slots[table * SLOTS + *state as usize % SLOTS];
            *id = slot.to_le_bytes()[0];
            *state = advance(*state, slot, group, &mut taken);
        }
        *at += taken;
        done += LANES;
    }
    done
}

/// The state after a step.
#[inline(always)]
fn advance(state: u32, slot: u32, group: &[u8; GROUP_WORD_BYTES], taken: &mut usize) -> u32 {
    let frequency = slot >> 8 & ((1 << SLOT_BITS) - 1);
    let rank = slot >> (8 + SLOT_BITS);
    let next = frequency
        .wrapping_mul(state >> SLOT_BITS)
        .wrapping_add(rank);
    // Each lane takes at most one word, so the place is inside; the remainder tells the compiler.
    let place = *taken % GROUP_WORD_BYTES;
    let word = u16::from_le_bytes([group[place], group[(place + 1) % GROUP_WORD_BYTES]]);
    // No branch, which would be mispredicted every few lanes: a state that is not low is shifted by
    // nothing and gets nothing.
    let low = u32::from(next < STATE_MIN);
    *taken += 2 * low as usize;
    next << (16 * low) | u32::from(word) & low.wrapping_neg()
}
