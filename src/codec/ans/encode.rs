//! Encoding planes. What is stored is described in `layout`.

use super::carried::{Carried, put_states};
use super::encode_groups::encode_groups;
use super::frequencies::{Buckets, Frequencies, id_count, likeliest, put_frequencies};
use super::lanes::LANES;
use super::layout::{Tables, choice_bits, tables_bytes};
use super::step_table::StepTable;
use crate::codec::symbol::{Parts, Split, put_exceptions};
use crate::plane::BitWriter;
use crate::simd::Simd;

/// Encodes planes, with buffers that are used again.
pub(in crate::codec) struct Encoder {
    simd: Simd,
    tables: Vec<StepTable>,
    ids: Vec<u8>,
    words: Vec<u8>,
}

impl Encoder {
    pub fn new(simd: Simd) -> Self {
        Self {
            simd,
            tables: Vec::new(),
            ids: Vec::new(),
            words: Vec::new(),
        }
    }

    /// Appends a plane that was cut to `parts`, with tables that have a frequency for each id that
    /// occurs in their segments.
    pub fn encode(&mut self, split: Split, parts: &Parts, tables: &Tables, out: &mut Vec<u8>) {
        let count = parts.ids.len();
        let ids = tables.frequencies.iter().map(id_count).max();
        let bucket_bits: u8 = if ids.unwrap_or(0) <= 128 { 7 } else { 8 };
        self.tables.resize_with(
            tables.frequencies.len().max(self.tables.len()),
            StepTable::new,
        );
        for (table, frequencies) in self.tables.iter_mut().zip(&tables.frequencies) {
            table.prepare(frequencies, &Buckets::new(frequencies, bucket_bits.into()));
        }
        let choice = |group: usize| usize::from(tables.choice[group >> tables.segment_bits]);
        self.pad(&parts.ids, &tables.frequencies[choice((count - 1) / LANES)]);

        let carried = Carried::new(split, count);
        let (low, packed, payload) = carried.lend(parts);
        self.words.resize(2 * self.ids.len(), 0);
        let prepared = &self.tables;
        let (start, states) = encode_groups(
            self.simd,
            &self.ids,
            |group| &prepared[choice(group)],
            &payload,
            &mut self.words,
        );
        let words = &self.words[start..];

        let short = |len: usize| u16::try_from(len).expect("invariant: bounded by the block");
        let tables_len = tables_bytes(tables);
        out.extend(split.to_bytes());
        out.extend([
            bucket_bits,
            tables.frequencies.len().to_le_bytes()[0],
            tables.segment_bits,
            0,
        ]);
        out.extend(short(parts.exceptions.len()).to_le_bytes());
        out.extend(short(tables_len).to_le_bytes());
        out.extend(
            u32::try_from(words.len())
                .expect("invariant: bounded by the block")
                .to_le_bytes(),
        );
        let at = out.len();
        out.resize(at + tables_len, 0);
        let mut writer = BitWriter::new(&mut out[at..]);
        for frequencies in &tables.frequencies {
            put_frequencies(frequencies, &mut writer);
        }
        for &choice in &tables.choice {
            writer.put(choice.into(), choice_bits(tables.frequencies.len()));
        }
        writer.finish();
        put_states(&states, out);
        out.extend(words);
        out.extend(low);
        out.extend(packed);
        put_exceptions(&parts.exceptions, out);
    }

    /// Takes over the ids and fills the last group with the one that costs least.
    fn pad(&mut self, ids: &[u8], frequencies: &Frequencies) {
        self.ids.clear();
        self.ids.extend_from_slice(ids);
        self.ids
            .resize(ids.len().next_multiple_of(LANES), likeliest(frequencies));
    }
}
