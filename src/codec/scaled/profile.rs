//! What the blocks of an archive share: frequency tables, and what is known of the columns of each
//! matrix.
//!
//! The tables:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | number of bins: 1 if no matrix has means, or all 8 |
//! | .. | eight for each bin, one a phase, as `ans::table` stores them, as one bit string |
//!
//! The record of a matrix:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | number of columns |
//! | 2 | a scale near the middle, signed |
//! | 1 | log2 of the step between scales |
//! | 1 | Rice parameter of the scales |
//! | 1 | Rice parameter of the means, or 255 if there are none |
//! | 1 | a mean near the middle, signed, zero if there are none |
//! | .. | for each column Rice codes, as one bit string |
//!
//! The codes of a column: of its scale, in steps from the middle, 0, -1, 1, -2, ...; of its mean in
//! half octaves, from the middle in the same way; and if it has one, a bit that is its sign.

use super::context::Columns;
use super::fit::{MOST_TABLES, Profile, tables};
use super::mean::{self, BINS};
use crate::codec::ans::table::{self, Frequencies};
use crate::error::{Error, Result};
use crate::format::Profiles;
use crate::plane::{BitReader, BitWriter};

const RECORD_HEADER_BYTES: usize = 10;
/// Most columns a reader accepts: what it takes to keep them is bounded by this.
const MAX_COLUMNS: usize = 1 << 20;
/// More ones than this in a Rice code are no code.
const MAX_UNARY: u32 = 1 << 12;

/// In place of a Rice parameter: there are no means.
pub(super) const NO_MEANS: u8 = u8::MAX;

/// How often each id occurs in each table.
pub(super) type Counts = Box<[[u32; 256]; MOST_TABLES]>;

/// Counts of nothing.
pub(super) fn no_counts() -> Counts {
    vec![[0; 256]; MOST_TABLES]
        .into_boxed_slice()
        .try_into()
        .expect("invariant: it was made with that length")
}

/// The shared part, as the encoder sees it.
#[derive(Debug, Clone)]
pub struct Model {
    /// Those of bin 0, or of all bins.
    pub(super) frequencies: Vec<Frequencies>,
    pub(super) profiles: Vec<Profile>,
}

/// Collects a model: first all matrices, then the tables.
#[derive(Debug)]
pub struct ModelBuilder {
    profiles: Vec<Profile>,
    total_columns: usize,
    records: Vec<Vec<u8>>,
    /// Of whole matrices, as far as their samples tell.
    counts: Box<[[u64; 256]]>,
}

impl Default for ModelBuilder {
    fn default() -> Self {
        Self {
            profiles: Vec::new(),
            total_columns: 0,
            records: Vec::new(),
            counts: vec![[0; 256]; MOST_TABLES].into_boxed_slice(),
        }
    }
}

impl ModelBuilder {
    /// Adds a matrix of `weight` times as many elements as were counted, and says the number of its
    /// profile.
    pub(super) fn push(
        &mut self,
        profile: Profile,
        step_bits: u8,
        counts: &Counts,
        weight: f64,
    ) -> u32 {
        self.records.push(record(&profile.columns, step_bits));
        self.total_columns += profile.columns.scales.len();
        self.profiles.push(profile);
        for (all, new) in self.counts.iter_mut().zip(counts.iter()) {
            for (all, new) in all.iter_mut().zip(new) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "fewer than the elements of a file"
                )]
                let whole = (f64::from(*new) * weight) as u64;
                *all = all.saturating_add(whole);
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
        let has_means = |profile: &Profile| !profile.columns.means.is_empty();
        let bins = if self.profiles.iter().any(has_means) {
            BINS
        } else {
            1
        };
        let frequencies: Vec<Frequencies> =
            self.counts[..tables(bins)].iter().map(best_table).collect();
        let bits: usize = frequencies.iter().map(table::stored_bits).sum();
        let mut tables = vec![0; 1 + bits.div_ceil(8)];
        [tables[0], ..] = bins.to_le_bytes();
        let mut writer = BitWriter::new(&mut tables[1..]);
        for frequencies in &frequencies {
            table::put(frequencies, &mut writer);
        }
        writer.finish();
        let section = Profiles::encode(&tables, &self.records);
        let model = Model {
            frequencies,
            profiles: self.profiles,
        };
        Some((model, section))
    }
}

/// The best table for such counts: ids too rare for a slot of their own are left to the escape.
fn best_table(counts: &[u64; 256]) -> Frequencies {
    // What an escape takes beside its id, about.
    const ESCAPE_BITS: f64 = 6.0;
    // An id that shares an escape with others saves the part of a slot it does not need, but it
    // pays the escape code: which of these weighs more depends on how many are escaped.
    const SHARES: [u64; 4] = [1, 2, 4, 8];
    let total = counts
        .iter()
        .fold(0u64, |sum, count| sum.saturating_add(*count));
    let shift = (u64::BITS - total.leading_zeros()).saturating_sub(u32::BITS);
    let counts = counts.map(|count| u32::try_from(count >> shift).unwrap_or(u32::MAX));
    let total = total >> shift;
    let candidates = SHARES.map(|share| {
        let mut kept = counts;
        let mut escapes = u64::from(kept[0]);
        for count in &mut kept[1..] {
            if u64::from(*count) * (table::SLOTS as u64) * share < total {
                escapes += u64::from(*count);
                *count = 0;
            }
        }
        kept[0] = u32::try_from(escapes.max(1)).unwrap_or(u32::MAX);
        let frequencies = table::normalize(&kept);
        let bits = table::coded_bits(&kept, &frequencies) + ESCAPE_BITS * f64::from(kept[0]);
        (bits, frequencies)
    });
    let [first, ..] = candidates;
    let least = |best: (f64, Frequencies), next: (f64, Frequencies)| {
        if next.0 < best.0 { next } else { best }
    };
    candidates.into_iter().fold(first, least).1
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

fn record(columns: &Columns, step_bits: u8) -> Vec<u8> {
    let scales_middle = middle(&columns.scales);
    let codes = codes(&columns.scales, scales_middle, step_bits);
    let bits = rice_bits(codes.clone());
    let means = MeanCodes::new(&columns.means);
    let len = codes
        .clone()
        .map(|code| rice_length(code, bits))
        .sum::<usize>()
        + columns
            .means
            .iter()
            .map(|&mean| means.length(mean))
            .sum::<usize>();
    let count = u32::try_from(columns.scales.len()).expect("invariant: at most MAX_COLUMNS");
    let mut record = Vec::new();
    record.extend(count.to_le_bytes());
    record.extend(scales_middle.to_le_bytes());
    record.extend([step_bits, bits]);
    record.extend(if columns.means.is_empty() {
        [NO_MEANS, 0]
    } else {
        means.to_bytes()
    });
    record.resize(RECORD_HEADER_BYTES + len.div_ceil(8), 0);
    let mut writer = BitWriter::new(&mut record[RECORD_HEADER_BYTES..]);
    for (i, code) in codes.enumerate() {
        put_rice(code, bits, &mut writer);
        if let Some(&mean) = columns.means.get(i) {
            means.put(mean, &mut writer);
        }
    }
    writer.finish();
    record
}

/// How means are coded.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeanCodes {
    bits: u8,
    middle: i8,
}

impl MeanCodes {
    /// For these means.
    pub fn new(means: &[i16]) -> Self {
        let halves: Vec<i16> = means.iter().map(|&mean| mean::stored(mean)).collect();
        // Few half octaves are as good as the one in the middle.
        let [low, _] = middle(&halves).to_le_bytes();
        let mut codes = Self {
            bits: 0,
            middle: i8::from_le_bytes([low]),
        };
        codes.bits = rice_bits(means.iter().map(|&mean| codes.code(mean)));
        codes
    }

    /// Reads what `to_bytes` wrote.
    pub const fn parse([bits, middle]: [u8; 2]) -> Option<Self> {
        let middle = i8::from_le_bytes([middle]);
        if bits > 15 {
            return None;
        }
        Some(Self { bits, middle })
    }

    /// The Rice parameter and the middle.
    pub const fn to_bytes(self) -> [u8; 2] {
        [self.bits, self.middle.to_le_bytes()[0]]
    }

    fn code(self, mean: i16) -> u32 {
        zigzag(i32::from(mean::stored(mean)) - i32::from(self.middle))
    }

    /// Bits that `put` takes.
    pub fn length(self, mean: i16) -> usize {
        rice_length(self.code(mean), self.bits) + usize::from(mean::has_sign(mean))
    }

    pub fn put(self, mean: i16, out: &mut BitWriter<'_>) {
        put_rice(self.code(mean), self.bits, out);
        if mean::has_sign(mean) {
            out.put(u64::from(mean & 1 == 1), 1);
        }
    }

    pub fn take(self, from: &mut BitReader<'_>) -> Option<i16> {
        let halves = scale(take_rice(from, self.bits)?, self.middle.into(), 0);
        Some(mean::from_stored(halves, || from.take(1) == 1))
    }
}

/// Reads what a record says of columns, replacing what `columns` held.
///
/// # Errors
/// `Corrupt` if it is none.
pub(super) fn take_columns(record: &[u8], columns: &mut Columns) -> Result<()> {
    let wrong = || Error::corrupt("a profile is malformed");
    let (header, coded) = record
        .split_first_chunk::<RECORD_HEADER_BYTES>()
        .ok_or_else(wrong)?;
    let [a, b, c, d, low, high, step_bits, bits, means @ ..] = *header;
    let count = u32::from_le_bytes([a, b, c, d]) as usize;
    // Every code has at least one bit.
    if count > MAX_COLUMNS || count > coded.len() * 8 || step_bits > 8 || bits > 15 {
        return Err(wrong());
    }
    let middle = i16::from_le_bytes([low, high]);
    let means = if means == [NO_MEANS, 0] {
        None
    } else {
        Some(MeanCodes::parse(means).ok_or_else(wrong)?)
    };
    let mut from = BitReader::new(coded);
    columns.scales.clear();
    columns.means.clear();
    for _ in 0..count {
        let code = take_rice(&mut from, bits).ok_or_else(wrong)?;
        columns.scales.push(scale(code, middle, step_bits));
        if let Some(means) = means {
            columns.means.push(means.take(&mut from).ok_or_else(wrong)?);
        }
    }
    if from.taken_bytes() != coded.len() {
        return Err(wrong());
    }
    Ok(())
}

/// Reads the tables of bin 0, or of all bins.
///
/// # Errors
/// `Corrupt` if they are malformed.
pub(super) fn take_tables(stored: &[u8]) -> Result<Vec<Frequencies>> {
    let wrong = || Error::corrupt("the shared tables have the wrong length");
    let (&bins, stored) = stored.split_first().ok_or_else(wrong)?;
    let bins = usize::from(bins);
    if bins != 1 && bins != BINS {
        return Err(Error::corrupt(
            "the shared tables have an impossible number",
        ));
    }
    let mut from = BitReader::new(stored);
    let all: Vec<_> = (0..tables(bins))
        .map(|_| table::take(&mut from))
        .collect::<Result<_>>()?;
    if from.taken_bytes() != stored.len() {
        return Err(wrong());
    }
    Ok(all)
}
