//! What the blocks of an archive share: frequency tables, and the column scales of each matrix.
//!
//! The tables are eight, one a phase, as `ans::table` stores them, as one bit string. The record of
//! a matrix:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | number of columns |
//! | 2 | a scale near the middle, signed |
//! | 1 | log2 of the step between scales |
//! | 1 | Rice parameter |
//! | .. | a Rice code for each column, as one bit string: steps from the middle, 0, -1, 1, -2, ... |

use super::{PHASES, PhaseFrequencies};
use crate::codec::ans::table;
use crate::error::{Error, Result};
use crate::format::Profiles;
use crate::plane::{BitReader, BitWriter};

const RECORD_HEADER_BYTES: usize = 8;
/// Most columns a reader accepts: what it takes to keep them is bounded by this.
const MAX_COLUMNS: usize = 1 << 20;
/// More ones than this in a Rice code are no code.
const MAX_UNARY: u32 = 1 << 12;

/// The shared part, as the encoder sees it.
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) frequencies: PhaseFrequencies,
    pub(super) columns: Vec<Vec<i16>>,
}

/// Collects a model: first all matrices, then the tables.
#[derive(Debug)]
pub struct ModelBuilder {
    columns: Vec<Vec<i16>>,
    total_columns: usize,
    records: Vec<Vec<u8>>,
    counts: Box<[[u32; 256]; PHASES]>,
}

impl Default for ModelBuilder {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            total_columns: 0,
            records: Vec::new(),
            counts: Box::new([[0; 256]; PHASES]),
        }
    }
}

impl ModelBuilder {
    /// Adds a matrix and says the number of its profile.
    pub(super) fn push(
        &mut self,
        columns: Vec<i16>,
        step_bits: u8,
        counts: &[[u32; 256]; PHASES],
    ) -> u32 {
        self.records.push(record(&columns, step_bits));
        self.total_columns += columns.len();
        self.columns.push(columns);
        for (all, new) in self.counts.iter_mut().zip(counts) {
            for (all, new) in all.iter_mut().zip(new) {
                *all = all.saturating_add(*new);
            }
        }
        u32::try_from(self.records.len() - 1).expect("invariant: fewer matrices than tensors")
    }

    /// Columns of all matrices so far.
    pub const fn total_columns(&self) -> usize {
        self.total_columns
    }

    /// The model, and the form that is stored. `None` if there is no matrix.
    pub fn finish(self) -> Option<(Model, Vec<u8>)> {
        if self.records.is_empty() {
            return None;
        }
        let frequencies = std::array::from_fn(|phase| phase_table(&self.counts[phase]));
        let model = Model {
            frequencies,
            columns: self.columns,
        };
        let bits: usize = model.frequencies.iter().map(table::stored_bits).sum();
        let mut tables = vec![0; bits.div_ceil(8)];
        let mut writer = BitWriter::new(&mut tables);
        for frequencies in &model.frequencies {
            table::put(frequencies, &mut writer);
        }
        writer.finish();
        let section = Profiles::encode(&tables, &self.records);
        Some((model, section))
    }
}

/// The table of a phase: ids too rare for a slot of their own are left to the escape.
fn phase_table(counts: &[u32; 256]) -> table::Frequencies {
    let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    let mut kept = *counts;
    let mut escapes = u64::from(kept[0]);
    for count in &mut kept[1..] {
        // Less than a slot: escaped, it costs 8 bits more than the escape itself.
        if u64::from(*count) * (table::SLOTS as u64) < total {
            escapes += u64::from(*count);
            *count = 0;
        }
    }
    kept[0] = u32::try_from(escapes.max(1)).unwrap_or(u32::MAX);
    table::normalize(&kept)
}

pub(super) const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

pub(super) const fn unzigzag(code: u32) -> i32 {
    (code >> 1).cast_signed() ^ -((code & 1).cast_signed())
}

/// The Rice parameter that suits codes of this sum.
pub(super) fn rice_bits(codes: impl Iterator<Item = u32> + Clone) -> u8 {
    (0..16u8)
        .min_by_key(|&bits| {
            codes
                .clone()
                .map(|code| u64::from(code >> bits) + 1 + u64::from(bits))
                .sum::<u64>()
        })
        .unwrap_or(0)
}

pub(super) fn rice_length(code: u32, bits: u8) -> usize {
    (code >> bits) as usize + 1 + usize::from(bits)
}

pub(super) fn put_rice(code: u32, bits: u8, out: &mut BitWriter<'_>) {
    for _ in 0..code >> bits {
        out.put(1, 1);
    }
    out.put(0, 1);
    if bits > 0 {
        out.put(u64::from(code) & ((1 << bits) - 1), bits);
    }
}

pub(super) fn take_rice(from: &mut BitReader<'_>, bits: u8) -> Option<u32> {
    let high = from.take_unary(MAX_UNARY)?;
    let low = if bits > 0 { from.take(bits) } else { 0 };
    u32::try_from(u64::from(high) << bits | low).ok()
}

/// Codes of scales around a middle.
pub(super) fn codes(
    scales: &[i16],
    middle: i16,
    step_bits: u8,
) -> impl Iterator<Item = u32> + Clone {
    scales
        .iter()
        .map(move |&scale| zigzag((i32::from(scale) - i32::from(middle)) >> step_bits))
}

/// The scale of a code.
pub(super) fn scale(code: u32, middle: i16, step_bits: u8) -> i16 {
    let steps = i64::from(unzigzag(code)) << step_bits;
    let [low, high, ..] = (i64::from(middle) + steps).to_le_bytes();
    i16::from_le_bytes([low, high])
}

/// The scale in the middle of some.
pub(super) fn middle(scales: &[i16]) -> i16 {
    let mut sorted = scales.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

fn record(columns: &[i16], step_bits: u8) -> Vec<u8> {
    let middle = middle(columns);
    let codes = codes(columns, middle, step_bits);
    let bits = rice_bits(codes.clone());
    let len: usize = codes.clone().map(|code| rice_length(code, bits)).sum();
    let count = u32::try_from(columns.len()).expect("invariant: at most MAX_COLUMNS");
    let mut record = Vec::new();
    record.extend(count.to_le_bytes());
    record.extend(middle.to_le_bytes());
    record.extend([step_bits, bits]);
    record.resize(RECORD_HEADER_BYTES + len.div_ceil(8), 0);
    let mut writer = BitWriter::new(&mut record[RECORD_HEADER_BYTES..]);
    for code in codes {
        put_rice(code, bits, &mut writer);
    }
    writer.finish();
    record
}

/// Reads the column scales of a record, replacing what `columns` held.
///
/// # Errors
/// `Corrupt` if it is none.
pub(super) fn take_columns(record: &[u8], columns: &mut Vec<i16>) -> Result<()> {
    let wrong = || Error::corrupt("a profile is malformed");
    let (header, coded) = record
        .split_first_chunk::<RECORD_HEADER_BYTES>()
        .ok_or_else(wrong)?;
    let [a, b, c, d, low, high, step_bits, bits] = *header;
    let count = u32::from_le_bytes([a, b, c, d]) as usize;
    // Every code has at least one bit.
    if count > MAX_COLUMNS || count > coded.len() * 8 || step_bits > 8 || bits > 15 {
        return Err(wrong());
    }
    let middle = i16::from_le_bytes([low, high]);
    let mut from = BitReader::new(coded);
    columns.clear();
    for _ in 0..count {
        let code = take_rice(&mut from, bits).ok_or_else(wrong)?;
        columns.push(scale(code, middle, step_bits));
    }
    if from.taken_bytes() != coded.len() {
        return Err(wrong());
    }
    Ok(())
}

/// Reads the tables of all phases.
///
/// # Errors
/// `Corrupt` if they are malformed.
pub(super) fn take_tables(tables: &[u8]) -> Result<Box<PhaseFrequencies>> {
    let mut from = BitReader::new(tables);
    let mut all = Box::new([[0; 256]; PHASES]);
    for frequencies in all.iter_mut() {
        *frequencies = table::take(&mut from)?;
        if table::id_count(frequencies) > 128 {
            return Err(Error::corrupt("a frequency table has too many ids"));
        }
    }
    if from.taken_bytes() != tables.len() {
        return Err(Error::corrupt("the shared tables have the wrong length"));
    }
    Ok(all)
}
