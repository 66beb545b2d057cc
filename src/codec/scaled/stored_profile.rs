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

use super::ids::tables;
use super::mean::BINS;
use super::mean_codes::{MeanCodes, NO_MEANS};
use super::place::Columns;
use crate::codec::ans::frequencies::{self, Frequencies};
use crate::codec::rice::{codes, middle, put_rice, rice_bits, rice_length, scale, take_rice};
use crate::error::{Error, Result};
use crate::plane::{BitReader, BitWriter};

const RECORD_HEADER_BYTES: usize = 10;
/// Most columns a reader accepts: what it takes to keep them is bounded by this.
const MAX_COLUMNS: usize = 1 << 20;

/// The record of the columns of a matrix.
pub(super) fn record(columns: &Columns, step_bits: u8) -> Vec<u8> {
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
        .map(|_| frequencies::take_frequencies(&mut from))
        .collect::<Result<_>>()?;
    if from.taken_bytes() != stored.len() {
        return Err(wrong());
    }
    Ok(all)
}
