//! The same coder with a table for each element instead of each group.

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::frequencies::{Buckets, Frequencies, SLOT_BITS, SLOTS, likeliest};
use super::kernel::to_the_end;
use super::lanes::{Course, LANES, STATE_MIN, States, TABLES};
use super::portable;
use super::slot_table::fill_slots;
use crate::error::Result;
use crate::simd::Simd;

/// Ids may be any byte.
const BUCKET_BITS: u32 = 8;

/// Encodes ids that each have a table of their own, with buffers that are used again.
pub(in crate::codec) struct EachEncoder {
    tables: Vec<Table>,
    ids: Vec<u8>,
    choice: Vec<u8>,
    words: Vec<u8>,
}

struct Table {
    frequencies: Frequencies,
    steps: [Step; 256],
    /// The slots of each id by rank, one id behind the other.
    slots: Vec<u16>,
}

/// What encoding an id needs.
#[derive(Clone, Copy, Default)]
struct Step {
    /// `ceil(2^64 / frequency)`: the high half of its product with a state is their quotient; of a frequency of 1 it is
    /// one less.
    reciprocal: u64,
    frequency: u32,
    first_slot: u32,
}

impl Step {
    fn new(frequency: u16, first_slot: u32) -> Self {
        let reciprocal = match frequency {
            0 => 0,
            1 => u64::MAX,
            _ => u64::MAX / u64::from(frequency) + 1,
        };
        Self {
            reciprocal,
            frequency: frequency.into(),
            first_slot,
        }
    }

    /// The quotient of a state and the frequency, and what is left.
    #[inline(always)]
    const fn divide(&self, state: u32) -> (u32, u32) {
        let [.., a, b, c, d, _, _, _, _] = (self.reciprocal as u128 * state as u128).to_le_bytes();
        let quotient = u32::from_le_bytes([a, b, c, d]);
        let rest = state.wrapping_sub(quotient.wrapping_mul(self.frequency));
        let more = (rest >= self.frequency) as u32;
        (quotient + more, rest - more * self.frequency)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            frequencies: [0; 256],
            steps: [Step::default(); 256],
            slots: Vec::new(),
        }
    }
}

impl Table {
    fn new(frequencies: &Frequencies) -> Self {
        let mut next = 0;
        let steps = frequencies.map(|frequency| {
            let first_slot = next;
            next += u32::from(frequency);
            Step::new(frequency, first_slot)
        });
        let mut slots = vec![0; SLOTS];
        for (slot, id, rank) in Buckets::new(frequencies, BUCKET_BITS).slots() {
            let first = steps[usize::from(id)].first_slot as usize;
            slots[first + usize::from(rank)] = u16::try_from(slot).unwrap_or(0);
        }
        Self {
            frequencies: *frequencies,
            steps,
            slots,
        }
    }
}

impl EachEncoder {
    pub fn new(frequencies: &[Frequencies]) -> Self {
        Self {
            tables: frequencies.iter().map(Table::new).collect(),
            ids: Vec::new(),
            choice: Vec::new(),
            words: Vec::new(),
        }
    }

    /// Replaces one of `TABLES` tables.
    pub fn set(&mut self, table: u8, frequencies: &Frequencies) {
        let table = usize::from(table);
        if self.tables.len() <= table {
            self.tables.resize_with(table + 1, Table::default);
        }
        self.tables[table] = Table::new(frequencies);
    }

    /// Whether a table has a frequency for an id.
    pub fn knows(&self, table: u8, id: u8) -> bool {
        self.tables[usize::from(table)].frequencies[usize::from(id)] > 0
    }

    /// Encodes ids that their tables know; decoders take the table `last` behind the end. The states start at
    /// `STATE_MIN` plus `payload`.
    pub fn encode(
        &mut self,
        ids: &[u8],
        choice: &[u8],
        last: u8,
        payload: &[u16; LANES],
    ) -> (&[u8], States) {
        let whole = ids.len().next_multiple_of(LANES);
        self.ids.clear();
        self.ids.extend_from_slice(ids);
        self.choice.clear();
        self.choice.extend_from_slice(&choice[..ids.len()]);
        let likeliest = likeliest(&self.tables[usize::from(last)].frequencies);
        self.ids.resize(whole, likeliest);
        self.choice.resize(whole, last);
        self.words.resize(2 * whole, 0);
        let mut states = payload.map(|bits| STATE_MIN | u32::from(bits));
        let mut at = self.words.len();
        let groups = self
            .ids
            .chunks_exact(LANES)
            .zip(self.choice.chunks_exact(LANES));
        for (ids, choice) in groups.rev() {
            for ((state, &id), &choice) in states.iter_mut().zip(ids).zip(choice).rev() {
                let table = &self.tables[usize::from(choice)];
                let step = &table.steps[usize::from(id)];
                let frequency = step.frequency;
                if *state >> 20 >= frequency {
                    at -= 2;
                    self.words[at..at + 2].copy_from_slice(&state.to_le_bytes()[..2]);
                    *state >>= 16;
                }
                let (quotient, rest) = step.divide(*state);
                let slot = table.slots[(step.first_slot + rest) as usize];
                *state = (quotient << SLOT_BITS) + u32::from(slot);
            }
        }
        (&self.words[at..], states)
    }
}

/// Tables prepared for decoding.
pub(in crate::codec) struct EachTables {
    /// For each table, for each slot: id (8 bits), frequency (12), rank (12), from the lowest bit on.
    slots: Box<[u32; TABLES * SLOTS]>,
}

impl Default for EachTables {
    fn default() -> Self {
        Self {
            slots: vec![0; TABLES * SLOTS]
                .into_boxed_slice()
                .try_into()
                .expect("invariant: it was made with that length"),
        }
    }
}

impl EachTables {
    /// Prepares tables, at most `TABLES`. Elements that choose others get arbitrary ids.
    pub fn prepare(&mut self, frequencies: &[Frequencies]) {
        for (frequencies, slots) in frequencies.iter().zip(self.slots.as_chunks_mut().0) {
            fill_slots(frequencies, &Buckets::new(frequencies, BUCKET_BITS), slots);
        }
    }

    /// Prepares one of the tables.
    pub fn prepare_one(&mut self, table: u8, frequencies: &Frequencies) {
        if let Some(slots) = self.slots.as_chunks_mut().0.get_mut(usize::from(table)) {
            fill_slots(frequencies, &Buckets::new(frequencies, BUCKET_BITS), slots);
        }
    }

    /// Decodes `ids`, whole groups; `choice` has the table of each, below `TABLES`.
    ///
    /// # Errors
    /// `Corrupt` if the words end too early.
    pub fn decode(
        &self,
        simd: Simd,
        choice: &[u8],
        course: &mut Course<'_>,
        ids: &mut [u8],
    ) -> Result<()> {
        let (words, at, states) = (course.words, &mut course.at, &mut course.states);
        to_the_end(words, at, ids, |first, words, at, ids| {
            let choice = &choice[first..first + ids.len()];
            self.run(simd, choice, states, words, at, ids)
        })
    }

    fn run(
        &self,
        simd: Simd,
        choice: &[u8],
        states: &mut States,
        words: &[u8],
        at: &mut usize,
        ids: &mut [u8],
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        {
            if simd.avx512() {
                return avx512::decode_each(simd, &self.slots, choice, states, words, at, ids);
            }
            if simd.avx2() {
                return avx2::decode_each(simd, &self.slots, choice, states, words, at, ids);
            }
        }
        let _ = simd;
        portable::decode_each(&self.slots, choice, states, words, at, ids)
    }
}
