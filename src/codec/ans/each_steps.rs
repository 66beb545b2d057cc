//! Tables prepared for encoding elements that each have a table of their own.

use super::frequencies::{Buckets, Frequencies, SLOT_BITS, SLOTS};
use super::lanes::{LANES, States};

/// Ids may be any byte.
pub(super) const BUCKET_BITS: u32 = 8;

/// What encoding needs of each table.
#[derive(Default)]
pub(super) struct EachSteps {
    /// For each id its frequency (16 bits), and which of the slots is its first.
    pub steps: Vec<[u32; 256]>,
    /// `ceil(2^64 / frequency)`: the high half of its product with a state is their quotient; of a frequency of 1 it
    /// is one less. AVX-512 does without.
    reciprocals: Vec<[u64; 256]>,
    /// The slots of each id by rank, one id behind the other, and one more for who reads two at once.
    pub slots: Vec<u16>,
}

const fn reciprocal(frequency: u16) -> u64 {
    match frequency {
        0 => 0,
        1 => u64::MAX,
        _ => u64::MAX / frequency as u64 + 1,
    }
}

impl EachSteps {
    /// Replaces a table whose slots are dealt as the alias method does.
    pub fn set(&mut self, table: usize, frequencies: &Frequencies, has_reciprocals: bool) {
        self.set_steps(table, frequencies, has_reciprocals);
        let steps = &self.steps[table];
        let slots = &mut self.slots[table * SLOTS..];
        for (slot, id, rank) in Buckets::new(frequencies, BUCKET_BITS).slots() {
            let first = (steps[usize::from(id)] >> 16) as usize;
            slots[first + usize::from(rank)] = u16::try_from(slot).unwrap_or(0);
        }
    }

    /// The same, where the slots of each id are behind those of the ids before it.
    pub fn set_in_order(&mut self, table: usize, frequencies: &Frequencies, has_reciprocals: bool) {
        self.set_steps(table, frequencies, has_reciprocals);
        for (slot, place) in (0..).zip(&mut self.slots[table * SLOTS..][..SLOTS]) {
            *place = slot;
        }
    }

    fn set_steps(&mut self, table: usize, frequencies: &Frequencies, has_reciprocals: bool) {
        let count = self.steps.len().max(table + 1);
        self.steps.resize(count, [0; 256]);
        self.slots.resize(count * SLOTS + 1, 0);
        if has_reciprocals {
            self.reciprocals.resize(count, [0; 256]);
            self.reciprocals[table] = frequencies.map(reciprocal);
        }
        let mut next = 0;
        self.steps[table] = frequencies.map(|frequency| {
            let first_slot = next;
            next += u32::from(frequency);
            first_slot << 16 | u32::from(frequency)
        });
    }

    pub fn frequencies(&self, table: u8) -> Frequencies {
        self.steps[usize::from(table)].map(|step| {
            let [low, high, ..] = step.to_le_bytes();
            u16::from_le_bytes([low, high])
        })
    }

    /// Encodes whole groups, from the last to the first. Words go to the end of `words`, which has room for two bytes
    /// an id; returns where they start.
    pub fn encode(
        &self,
        ids: &[u8],
        choice: &[u8],
        states: &mut States,
        words: &mut [u8],
    ) -> usize {
        let mut at = words.len();
        let groups = ids.chunks_exact(LANES).zip(choice.chunks_exact(LANES));
        for (ids, choice) in groups.rev() {
            for ((state, &id), &choice) in states.iter_mut().zip(ids).zip(choice).rev() {
                let (table, id) = (usize::from(choice), usize::from(id));
                let step = self.steps[table][id];
                let frequency = step & 0xFFFF;
                if *state >> 20 >= frequency {
                    at -= 2;
                    words[at..at + 2].copy_from_slice(&state.to_le_bytes()[..2]);
                    *state >>= 16;
                }
                let reciprocal = u128::from(self.reciprocals[table][id]);
                let [.., a, b, c, d] = ((reciprocal * u128::from(*state)) >> 64).to_be_bytes();
                let quotient = u32::from_be_bytes([a, b, c, d]);
                let rest = state.wrapping_sub(quotient.wrapping_mul(frequency));
                let more = u32::from(rest >= frequency);
                let place = (step >> 16) + rest - more * frequency;
                let slot = self.slots[table * SLOTS + place as usize];
                *state = ((quotient + more) << SLOT_BITS) + u32::from(slot);
            }
        }
        at
    }
}
