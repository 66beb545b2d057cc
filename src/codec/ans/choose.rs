//! Chooses the frequency tables of a plane: one, or several where parts of it differ, as rows of a
//! matrix do that have scales of their own.

use super::LANES;
use super::plane::{Tables, overhead_bytes};
use super::table::{coded_bits, normalize};

/// log2 of the groups that share a choice: 256 elements tell their scale well enough, and what is
/// shared by more costs more than it saves.
const SEGMENT_BITS: u8 = 1;
/// Tables, when there are several: with fewer less is gained, more cost more to store.
const TABLES: usize = 4;

/// Tables for ids that occur as often as `counts` says.
pub(in crate::codec) fn one_table(ids: &[u8], counts: &[u32; 256]) -> Tables {
    let segments = ids.len().div_ceil(LANES).div_ceil(1 << SEGMENT_BITS);
    Tables {
        frequencies: vec![normalize(counts)],
        choice: vec![0; segments],
        segment_bits: SEGMENT_BITS,
    }
}

/// The better of one table and several.
pub(in crate::codec) fn tables(ids: &[u8], counts: &[u32; 256]) -> Tables {
    let one = one_table(ids, counts);
    let Some(several) = by_scale(ids) else {
        return one;
    };
    let (tables, counts_of) = several;
    let bits: f64 = counts_of
        .iter()
        .zip(&tables.frequencies)
        .map(|(counts, frequencies)| coded_bits(counts, frequencies))
        .sum();
    let total = |tables, bits| bits + (8 * overhead_bytes(tables, 0)) as f64;
    if total(&tables, bits) < total(&one, coded_bits(counts, &one.frequencies[0])) {
        tables
    } else {
        one
    }
}

/// Tables for segments of about equal scale: the mean id stands for the scale, as ids grow with the
/// logarithm of a number's size.
fn by_scale(ids: &[u8]) -> Option<(Tables, Vec<[u32; 256]>)> {
    let segment_ids = LANES << SEGMENT_BITS;
    let scales: Vec<u32> = ids
        .chunks(segment_ids)
        .map(|segment| {
            let sum: u32 = segment.iter().map(|&id| u32::from(id)).sum();
            sum * 256 / u32::try_from(segment.len()).unwrap_or(1)
        })
        .collect();
    if scales.len() < 4 * TABLES {
        return None;
    }
    let mut sorted = scales.clone();
    sorted.sort_unstable();
    let limits: Vec<u32> = (1..TABLES)
        .map(|i| sorted[i * sorted.len() / TABLES])
        .collect();
    let choice: Vec<u8> = scales
        .iter()
        .map(|scale| {
            let [table, ..] = limits
                .iter()
                .filter(|&limit| scale >= limit)
                .count()
                .to_le_bytes();
            table
        })
        .collect();
    let mut counts = vec![[0u32; 256]; TABLES];
    for (segment, &table) in ids.chunks(segment_ids).zip(&choice) {
        let counts = &mut counts[usize::from(table)];
        for &id in segment {
            counts[usize::from(id)] += 1;
        }
    }
    // Equal scales everywhere leave tables empty: nothing to gain.
    if counts
        .iter()
        .any(|counts| counts.iter().all(|&count| count == 0))
    {
        return None;
    }
    let tables = Tables {
        frequencies: counts.iter().map(normalize).collect(),
        choice,
        segment_bits: SEGMENT_BITS,
    };
    Some((tables, counts))
}
