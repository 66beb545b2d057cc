//! How often ids occur, for tables to be made of.
//!
//! Of large planes every other run of ids is counted, which changes frequencies less than their
//! rounding does; then ids that occur only in the others are looked for, because each id that
//! occurs must have a frequency.

#[cfg(target_arch = "x86_64")]
use super::encode_avx512;
use crate::simd::Simd;

/// Ids that are counted or passed over together.
const RUN_IDS: usize = 64;
/// Of a large plane one run of so many is counted.
const SAMPLED_SHARE: usize = 2;
/// Fewer ids than this are all counted.
const ENOUGH_IDS_TO_SAMPLE: usize = 1 << 15;

pub(super) type Counts = [u32; 256];

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
