//! The same coder with a table for each element instead of each group.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::carried::starting_with;
use super::each_steps::{BUCKET_BITS, EachSteps};
#[cfg(target_arch = "x86_64")]
use super::encode_avx512;
use super::frequencies::{Buckets, Frequencies, SLOTS, likeliest};
use super::kernel::to_the_end;
use super::lanes::{Course, LANES, States, TABLES};
use super::portable;
use super::slot_table::{fill_slots, fill_slots_in_order};
use crate::error::Result;
use crate::simd::Simd;

/// Encodes ids that each have a table of their own, with buffers that are used again.
pub(in crate::codec) struct EachEncoder {
    simd: Simd,
    tables: EachSteps,
    ids: Vec<u8>,
    choice: Vec<u8>,
    words: Vec<u8>,
}

impl EachEncoder {
    pub fn new(simd: Simd, frequencies: &[Frequencies]) -> Self {
        let mut encoder = Self {
            simd,
            tables: EachSteps::default(),
            ids: Vec::new(),
            choice: Vec::new(),
            words: Vec::new(),
        };
        for (table, frequencies) in (0..).zip(frequencies) {
            encoder.set(table, frequencies);
        }
        encoder
    }

    /// Replaces one of `TABLES` tables.
    pub fn set(&mut self, table: u8, frequencies: &Frequencies) {
        let has_reciprocals = !self.simd.avx512();
        self.tables
            .set(usize::from(table), frequencies, has_reciprocals);
    }

    /// The same, where slots are in the order of ids: such tables are made faster.
    pub fn set_in_order(&mut self, table: u8, frequencies: &Frequencies) {
        let has_reciprocals = !self.simd.avx512();
        self.tables
            .set_in_order(usize::from(table), frequencies, has_reciprocals);
    }

    /// Whether a table has a frequency for an id.
    pub fn knows(&self, table: u8, id: u8) -> bool {
        self.tables.steps[usize::from(table)][usize::from(id)] & 0xFFFF > 0
    }

    /// Encodes ids of whole groups in front of words that were written before, with the states as those left them.
    /// Returns where words start now.
    pub fn encode_groups(
        &self,
        ids: &[u8],
        choice: &[u8],
        states: &mut States,
        words: &mut [u8],
    ) -> usize {
        run(self.simd, &self.tables, (ids, choice), states, words)
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
        self.ids
            .resize(whole, likeliest(&self.tables.frequencies(last)));
        self.choice.resize(whole, last);
        self.words.resize(2 * whole, 0);
        let mut states = starting_with(payload);
        let (ids, choice, words) = (&self.ids, &self.choice, &mut self.words);
        let at = run(self.simd, &self.tables, (ids, choice), &mut states, words);
        (&self.words[at..], states)
    }
}

/// As `EachSteps::encode`, with what the processor has.
fn run(
    simd: Simd,
    tables: &EachSteps,
    (ids, choice): (&[u8], &[u8]),
    states: &mut States,
    words: &mut [u8],
) -> usize {
    #[cfg(target_arch = "x86_64")]
    if simd.avx512() {
        return encode_avx512::encode_each(simd, tables, ids, choice, states, words);
    }
    let _ = simd;
    tables.encode(ids, choice, states, words)
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

    /// The same, where slots are in the order of ids.
    pub fn prepare_in_order(&mut self, simd: Simd, table: u8, frequencies: &Frequencies) {
        if let Some(slots) = self.slots.as_chunks_mut().0.get_mut(usize::from(table)) {
            simd.vectorized(
                #[inline(always)]
                || fill_slots_in_order(frequencies, slots),
            );
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
        to_the_end::<_, LANES>(words, at, ids, |first, words, at, ids| {
            let choice = &choice[first..first + ids.len()];
            self.run(simd, choice, states, words, at, ids)
        })
    }

    /// Decodes the ids of some elements to the start of a buffer, which is as long as their groups at least then;
    /// `choice` has the table of each element of a plane, and of whole groups behind it.
    ///
    /// # Errors
    /// As `decode`.
    pub fn decode_some(
        &self,
        simd: Simd,
        choice: &[u8],
        elements: &Range<usize>,
        course: &mut Course<'_>,
        ids: &mut Vec<u8>,
    ) -> Result<()> {
        let whole = elements.len().next_multiple_of(LANES);
        if ids.len() < whole {
            ids.resize(whole, 0);
        }
        let choice = &choice[elements.start..elements.start + whole];
        self.decode(simd, choice, course, &mut ids[..whole])
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
