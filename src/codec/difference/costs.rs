//! What elements take, by key, to choose scales by: for many scales at once, as each of them only moves keys by one.

use super::chances::Chances;
use super::counts::{KeyCounts, OfExponent, SCALES, STEP_BITS};
use super::keys::LAST;
use super::layout::KEYS;
use crate::codec::ans::frequencies::SLOT_BITS;
use crate::codec::grouped::Counts;
use crate::codec::symbol::log2;
use crate::simd::{ROW, Simd};

/// Scales that are tried at once, half of them below the one that is there.
const TRIED: usize = ROW;
const BELOW: i16 = 8;
/// Keys, and so many on both sides that count as the last ones.
const PLACES: usize = KEYS + 2 * TRIED + 1;
const BEYOND: i16 = 16;
/// Ids that there may be.
const IDS: usize = 128;
/// Costs are in so many parts of a bit.
const PARTS: f32 = 64.0;
/// Where there is no scale.
const NONE: u32 = 1 << 30;

/// In rows, the highest key first.
pub(super) struct Costs {
    equal: [u32; PLACES],
    changed: Box<[[u32; PLACES]; IDS]>,
    /// Which one, of scales.
    scales: [u32; SCALES],
}

impl Costs {
    /// As elements and the scales of runs are counted now.
    pub fn new(chances: &Chances, counts: &KeyCounts, of_scales: &Counts) -> Self {
        let tables = chances.tables();
        let bits = |slots: u16| SLOT_BITS as f32 - log2(slots.into());
        let mut equal = [0; PLACES];
        put_row(&mut equal, |key| bits((1 << SLOT_BITS) - tables.0[key]));
        let mut changed = Box::new([[0; PLACES]; IDS]);
        let ids = id_counts(&counts.ids);
        let sums = ids.each_ref().map(|ids| log2(ids.iter().sum()));
        let used = counts
            .ids
            .iter()
            .flat_map(|ids| ids.iter().rposition(|&count| count > 0));
        let used = used.max().map_or(0, |last| last + 1);
        for (id, row) in changed.iter_mut().enumerate().take(used) {
            put_row(row, |key| {
                bits(tables.0[key]) + sums[key] - log2(ids[key][id])
            });
        }
        let all = log2(2 * of_scales.iter().sum::<u32>());
        let scales = std::array::from_fn(|scale| parts(all - log2((2 * of_scales[scale]).max(1))));
        Self {
            equal,
            changed,
            scales,
        }
    }

    /// The scale near this one with which a run takes least.
    pub fn best(
        &self,
        simd: Simd,
        now: u8,
        lowest: i16,
        exponents: &[OfExponent],
        (changed, ids): (&[u8], &[u8]),
    ) -> u8 {
        let first = i16::from(now) - BELOW;
        // Where in a row the key of an exponent is with the first scale; those of the others follow.
        let place = |exponent: u8| {
            let key = (i16::from(exponent) << STEP_BITS) - lowest - first;
            let place = (LAST + BEYOND).saturating_sub(key);
            usize::try_from(place.max(0))
                .unwrap_or(0)
                .min(PLACES - TRIED)
        };
        let mut sums: [u32; TRIED] = std::array::from_fn(|tried| {
            let scale = usize::try_from(first).ok();
            let scale = scale.map_or_else(
                || tried.checked_sub(usize::from(first.unsigned_abs())),
                |first| Some(first + tried),
            );
            let known = scale.and_then(|scale| self.scales.get(scale));
            known.copied().unwrap_or(NONE)
        });
        let equal = exponents.iter().filter_map(|of| {
            let row = self.equal[place(of.exponent)..].first_chunk()?;
            Some((row, u32::from(of.equal)))
        });
        simd.add_rows(&mut sums, equal);
        let changed = changed.iter().zip(ids).filter_map(|(&exponent, &id)| {
            let costs = &self.changed[usize::from(id) % IDS];
            Some((costs[place(exponent)..].first_chunk()?, 1))
        });
        simd.add_rows(&mut sums, changed);
        let best = (first..).zip(sums).min_by_key(|&(_, sum)| sum);
        best.map_or(now, |(scale, _)| scale.to_le_bytes()[0])
    }
}

fn put_row(row: &mut [u32; PLACES], bits: impl Fn(usize) -> f32) {
    for (place, cost) in (0i16..).zip(row) {
        let key = (LAST + BEYOND - place).clamp(0, LAST);
        *cost = parts(bits(usize::from(key.unsigned_abs())));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few bits, not below 0"
)]
fn parts(bits: f32) -> u32 {
    (bits * PARTS + 0.5) as u32
}

/// How often ids occur by key, about: neighbouring keys are alike. None occurs never.
fn id_counts(counts: &[Counts; KEYS]) -> Box<[[u32; IDS]; KEYS]> {
    const HERE: u32 = 50;
    const NEIGHBOUR: u32 = 15;
    let mut sums = Box::new([[1u32; IDS]; KEYS]);
    for (key, sums) in sums.iter_mut().enumerate() {
        let before = key.checked_sub(1).and_then(|key| counts.get(key));
        let near = [
            (counts.get(key), HERE),
            (counts.get(key + 1), NEIGHBOUR),
            (before, NEIGHBOUR),
        ];
        for (counts, share) in near {
            for (sum, &count) in sums.iter_mut().zip(counts.into_iter().flatten()) {
                *sum = sum.saturating_add(share.saturating_mul(count));
            }
        }
    }
    sums
}
