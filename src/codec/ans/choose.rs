//! Chooses the frequency tables of a plane: one, or several where parts of it differ, as rows of a
//! matrix do that have scales of their own.
//!
//! Of large planes every other run of ids is counted, which changes frequencies less than their
//! rounding does; then ids that occur only in the others are looked for, because each id that
//! occurs must have a frequency.

use super::classes::tables_of_classes;
#[cfg(target_arch = "x86_64")]
use super::encode_avx512;
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
/// Ids that are counted or passed over together.
const RUN_IDS: usize = 64;
/// Of a large plane one run of so many is counted.
const SAMPLED_SHARE: usize = 2;
/// Fewer ids than this are all counted.
const ENOUGH_IDS_TO_SAMPLE: usize = 1 << 15;

pub(super) type Counts = [u32; 256];

/// What parts of a plane are told apart by, which get tables of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::codec) enum Alike {
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

/// Counts the ids of each of `N` tables, or some of them; every id that occurs counts. Segments of
/// `segment_ids` have a choice each.
pub(super) fn count<const N: usize>(
    simd: Simd,
    ids: &[u8],
    segment_ids: usize,
    choice: &[u8],
) -> [Counts; N] {
    // Several in turn: equal neighbours do not wait for each other's counter.
    let mut in_turn = [[[0u32; 256]; N]; 4];
    let [a, b, c, d] = &mut in_turn;
    let share = if ids.len() < ENOUGH_IDS_TO_SAMPLE {
        1
    } else {
        SAMPLED_SHARE
    };
    let segments = || ids.chunks(segment_ids).zip(choice);
    for (i, (segment, &table)) in segments().enumerate() {
        let table = usize::from(table) % N;
        let (a, b, c, d) = (&mut a[table], &mut b[table], &mut c[table], &mut d[table]);
        for run in segment.chunks(RUN_IDS).skip(i % share).step_by(share) {
            let (words, rest) = run.as_chunks::<8>();
            for word in words {
                let [i, j, k, l, m, n, o, p] = u64::from_le_bytes(*word).to_le_bytes();
                a[usize::from(i)] += 1;
                b[usize::from(j)] += 1;
                c[usize::from(k)] += 1;
                d[usize::from(l)] += 1;
                a[usize::from(m)] += 1;
                b[usize::from(n)] += 1;
                c[usize::from(o)] += 1;
                d[usize::from(p)] += 1;
            }
            for &id in rest {
                a[usize::from(id)] += 1;
            }
        }
    }
    let mut counts = [[0; 256]; N];
    for part in &in_turn {
        for (sum, count) in counts
            .as_flattened_mut()
            .iter_mut()
            .zip(part.as_flattened())
        {
            *sum += count;
        }
    }
    if share > 1 {
        let mut missing = counts.map(|counts| counts.map(|count| u8::from(count == 0)));
        for (segment, &table) in segments() {
            let table = usize::from(table) % N;
            if any(simd, segment, &missing[table]) {
                for &id in segment {
                    counts[table][usize::from(id)] += u32::from(missing[table][usize::from(id)]);
                    missing[table][usize::from(id)] = 0;
                }
            }
        }
    }
    counts
}

/// Whether any of these ids is marked with a one.
fn any(simd: Simd, ids: &[u8], marks: &[u8; 256]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if simd.avx512() && ids.len().is_multiple_of(RUN_IDS) {
        return encode_avx512::any(simd, ids, marks);
    }
    let _ = simd;
    ids.iter()
        .fold(0, |found, &id| found | marks[usize::from(id)])
        != 0
}
