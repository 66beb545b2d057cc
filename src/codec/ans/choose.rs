//! Chooses the frequency tables of a plane: one, or several where parts of it differ, as rows of a
//! matrix do that have scales of their own.

use super::classes::tables_of_classes;
use super::counts::{Counts, count};
use super::frequencies::{coded_bits, normalize};
use super::lanes::LANES;
use super::layout::{Tables, overhead_bytes};
use crate::simd::Simd;

/// log2 of the groups that share a choice: 256 elements tell their scale well enough, and what is
/// shared by more costs more than it saves.
const SEGMENT_BITS: u8 = 1;
/// Ids in a segment.
const SEGMENT_IDS: usize = LANES << SEGMENT_BITS;
/// Tables, when there are several: with fewer less is gained, more cost more to store.
const TABLES: usize = 4;

/// What parts of a plane are told apart by, which get tables of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::codec) enum Alike {
    /// Nothing: all have the same table.
    Nothing,
    /// The mean id, of floats: it grows with the logarithm of their size, and is found at once.
    Mean,
    /// What they cost, up to four tables.
    Cost,
    /// The same, up to eight.
    CostFinely,
}

/// One table for all ids.
fn one_table(simd: Simd, ids: &[u8]) -> Tables {
    let choice = vec![0; ids.len().div_ceil(SEGMENT_IDS)];
    let counts = count::<1>(simd, ids, SEGMENT_IDS, &choice);
    Tables {
        frequencies: vec![normalize(&counts[0])],
        choice,
        segment_bits: SEGMENT_BITS,
    }
}

/// The better of one table and several.
pub(in crate::codec) fn tables(simd: Simd, ids: &[u8], alike: Alike) -> Tables {
    match alike {
        Alike::Nothing => one_table(simd, ids),
        Alike::Mean => tables_by_mean(simd, ids),
        Alike::Cost => {
            tables_of_classes::<TABLES>(simd, ids).unwrap_or_else(|| one_table(simd, ids))
        }
        Alike::CostFinely => tables_of_classes::<{ 2 * TABLES }>(simd, ids)
            .unwrap_or_else(|| tables(simd, ids, Alike::Cost)),
    }
}

fn tables_by_mean(simd: Simd, ids: &[u8]) -> Tables {
    let Some(choice) = by_scale(ids) else {
        return one_table(simd, ids);
    };
    let counts = count::<TABLES>(simd, ids, SEGMENT_IDS, &choice);
    let mut all = [0; 256];
    for counts in &counts {
        for (sum, count) in all.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let one = Tables {
        frequencies: vec![normalize(&all)],
        choice: vec![0; choice.len()],
        segment_bits: SEGMENT_BITS,
    };
    // Equal scales everywhere leave tables empty: nothing to gain.
    if counts.iter().any(|counts| counts == &[0; 256]) {
        return one;
    }
    let several = Tables {
        frequencies: counts.iter().map(normalize).collect(),
        choice,
        segment_bits: SEGMENT_BITS,
    };
    let counted: u32 = all.iter().sum();
    let share = ids.len() as f64 / f64::from(counted);
    let bits_of = |tables: &Tables, counts: &[Counts]| {
        let coded: f64 = counts
            .iter()
            .zip(&tables.frequencies)
            .map(|(counts, frequencies)| coded_bits(counts, frequencies))
            .sum();
        coded * share + (8 * overhead_bytes(tables)) as f64
    };
    if bits_of(&several, &counts) < bits_of(&one, &[all]) {
        several
    } else {
        one
    }
}

/// For each segment which of several tables it uses, so that those of one table are of about equal
/// scale: the mean id stands for the scale, as ids grow with the logarithm of a number's size.
fn by_scale(ids: &[u8]) -> Option<Vec<u8>> {
    let scales: Vec<u32> = ids.chunks(SEGMENT_IDS).map(scale).collect();
    if scales.len() < 4 * TABLES {
        return None;
    }
    let mut sorted = scales.clone();
    sorted.sort_unstable();
    let limits: [u32; TABLES - 1] =
        std::array::from_fn(|i| sorted[(i + 1) * sorted.len() / TABLES]);
    let choice = scales.iter().map(|scale| {
        limits
            .iter()
            .map(|limit| u8::from(scale >= limit))
            .sum::<u8>()
    });
    Some(choice.collect())
}

/// 256 times the mean of some ids.
fn scale(ids: &[u8]) -> u32 {
    let (words, rest) = ids.as_chunks::<8>();
    // Four sums of 16 bits each, of bytes at even places and of those at odd ones: a segment has 32
    // words, and 2 * 32 * 255 fits.
    const EVEN: u64 = 0x00FF_00FF_00FF_00FF;
    let sums: u64 = words
        .iter()
        .map(|word| {
            let word = u64::from_le_bytes(*word);
            (word & EVEN) + (word >> 8 & EVEN)
        })
        .sum();
    let folded = (sums & 0x0000_FFFF_0000_FFFF) + (sums >> 16 & 0x0000_FFFF_0000_FFFF);
    let [a, b, c, d, e, f, g, h] = folded.to_le_bytes();
    let rest: u32 = rest.iter().map(|&id| u32::from(id)).sum();
    let sum = u32::from_le_bytes([a, b, c, d]) + u32::from_le_bytes([e, f, g, h]) + rest;
    sum * 256 / u32::try_from(ids.len()).unwrap_or(1)
}
