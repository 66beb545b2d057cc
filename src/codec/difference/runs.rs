//! Scales of runs of elements: how much is changed in them.

use super::changes::{Changes, RUN};
use super::costs::Costs;
use super::counts::{KeyCounts, OfExponent, SCALES, STEP_BITS};
use super::keys::{Counted, LAST, find_of_exponents, key_of_exponent};
use super::layout::{DIRECT, KEYS, top};
use crate::codec::grouped::Counts;
use crate::simd::Simd;

/// Above the highest key there may be one element in so many: it is given the same table.
const FEW_ABOVE: usize = 1000;

/// What is known of all runs, and their scales.
#[derive(Default)]
pub(super) struct Runs {
    pub scales: Vec<u8>,
    exponents: Vec<OfExponent>,
    changed_exponents: Vec<u8>,
    /// Where in these, and in what is changed, runs end.
    ends: Vec<(usize, usize)>,
}

impl Runs {
    /// How often each scale occurs.
    pub fn counts(&self) -> Counts {
        let mut counts = [0; 256];
        for &scale in &self.scales {
            counts[usize::from(scale)] += 1;
        }
        counts
    }

    /// Looks at all runs, of at least 64 elements. They have no scales then.
    pub fn look_at(&mut self, simd: Simd, changes: &Changes, run_bits: u8) {
        changes.pick(simd, &changes.exponents, &mut self.changed_exponents);
        self.exponents.clear();
        self.ends.clear();
        self.scales.clear();
        // Several in turn: equal neighbours do not wait for each other's counter.
        let mut in_turn = [[0u16; 256]; 4];
        let mut changed_of = [0u16; 256];
        let mut changed = 0;
        let run = 1 << run_bits;
        let exponents = changes.exponents[..changes.count].chunks(run);
        for (exponents, flags) in exponents.zip(changes.flags.chunks(run / RUN)) {
            let (least, most) = simd.vectorized(
                #[inline(always)]
                || {
                    let ends = |(least, most): (u8, u8), &exponent: &u8| {
                        (least.min(exponent), most.max(exponent))
                    };
                    exponents.iter().fold((u8::MAX, 0), ends)
                },
            );
            let (fours, rest) = exponents.as_chunks::<4>();
            for four in fours {
                for (counts, &exponent) in in_turn.iter_mut().zip(four) {
                    counts[usize::from(exponent)] += 1;
                }
            }
            for &exponent in rest {
                in_turn[0][usize::from(exponent)] += 1;
            }
            let from = changed;
            changed += flags
                .iter()
                .map(|flags| flags.count_ones() as usize)
                .sum::<usize>();
            for &exponent in &self.changed_exponents[from..changed] {
                changed_of[usize::from(exponent)] += 1;
            }
            for exponent in least..=most {
                let place = usize::from(exponent);
                let all = in_turn
                    .iter_mut()
                    .map(|counts| std::mem::take(&mut counts[place]));
                let all = all.sum();
                if all > 0 {
                    self.exponents.push(OfExponent {
                        exponent,
                        all,
                        equal: all - std::mem::take(&mut changed_of[place]),
                    });
                }
            }
            self.ends.push((self.exponents.len(), changed));
        }
    }

    /// Each run: its scale, its exponents, and those of what is changed, with their ids.
    fn iter<'a>(
        &'a self,
        ids: &'a [u8],
    ) -> impl Iterator<Item = (u8, &'a [OfExponent], &'a [u8], &'a [u8])> {
        let mut from = (0, 0);
        let scales = self.scales.iter().copied().chain(std::iter::repeat(0));
        self.ends.iter().zip(scales).map(move |(&to, scale)| {
            let exponents = &self.exponents[from.0..to.0];
            let changed = from.1..to.1;
            from = to;
            let of_changed = &self.changed_exponents[changed.clone()];
            (scale, exponents, of_changed, &ids[changed])
        })
    }

    /// Guesses scales by the mean change of numbers.
    pub fn guess(&mut self, ids: &[u8], mantissa_bits: u8) {
        let places: [f32; 256] = std::array::from_fn(|id| places(id, mantissa_bits));
        let one_place: [f32; 256] = std::array::from_fn(one_place);
        let means = self.iter(ids).map(|(_, _, exponents, ids)| {
            // Several sums in turn do not wait for each other.
            let mut sums = [0.0f32; 4];
            let fours = exponents.chunks(4).zip(ids.chunks(4));
            for (exponents, ids) in fours {
                for (sum, (&exponent, &id)) in sums.iter_mut().zip(exponents.iter().zip(ids)) {
                    *sum += places[usize::from(id)] * one_place[usize::from(exponent)];
                }
            }
            let sum: f32 = sums.iter().sum();
            // Runs are of equal length, but the last.
            (sum > 0.0).then(|| steps(sum))
        });
        let means: Vec<Option<i16>> = means.collect();
        let changed = means.iter().flatten();
        let most = changed.clone().max().copied().unwrap_or(0);
        let [highest, ..] = (SCALES - 1).to_le_bytes();
        let highest = i16::from(highest);
        let least = changed.min().copied().unwrap_or(0).max(most - highest);
        // Where nothing is changed, it is as if less were than anywhere else.
        let below = (least - (2 << STEP_BITS)).max(most - highest);
        self.scales.clear();
        self.scales.extend(means.iter().map(|mean| {
            let place = mean.unwrap_or(below) - below;
            place.clamp(0, highest).to_le_bytes()[0]
        }));
    }

    /// Gives each run the scale with which it takes least, among those near it.
    pub fn improve(&mut self, simd: Simd, costs: &Costs, counted: Counted, ids: &[u8]) {
        let mut scales = std::mem::take(&mut self.scales);
        let mut from = (0, 0);
        for (scale, &to) in scales.iter_mut().zip(&self.ends) {
            let exponents = &self.exponents[from.0..to.0];
            let changed = from.1..to.1;
            from = to;
            let changed = (&self.changed_exponents[changed.clone()], &ids[changed]);
            *scale = costs.best(simd, *scale, counted.lowest, exponents, changed);
        }
        self.scales = scales;
    }

    /// How keys are counted, so that next to none are above the highest.
    pub fn counted(&self) -> Counted {
        let mut counts = [0usize; 2048];
        let mut all = 0;
        let step_bits = self.step_bits();
        for (scale, exponents, ..) in self.iter(&vec![0; self.changed_exponents.len()]) {
            for of in exponents {
                let place = (i16::from(of.exponent) << step_bits) - i16::from(scale);
                counts[usize::try_from(place + 1024).unwrap_or(0) % 2048] += usize::from(of.all);
                all += usize::from(of.all);
            }
        }
        let mut above = 0;
        let highest = (-1024i16..1024).zip(counts).rev().find(|&(_, count)| {
            above += count;
            above > all / FEW_ABOVE
        });
        Counted {
            step_bits,
            lowest: highest.map_or(0, |(place, _)| place) - LAST,
        }
    }

    fn step_bits(&self) -> u8 {
        if self.scales.is_empty() { 0 } else { STEP_BITS }
    }

    /// Counts elements by key.
    pub fn count(&self, simd: Simd, counted: Counted, ids: &[u8], counts: &mut KeyCounts) {
        counts.equal.fill(0);
        counts.ids.fill([0; 256]);
        counts.keys.resize(ids.len(), 0);
        let mut keys = &mut counts.keys[..];
        for (scale, exponents, changed, _) in self.iter(ids) {
            let less = counted.lowest + i16::from(scale);
            for of in exponents {
                let key = key_of_exponent(of.exponent.into(), counted.step_bits, less);
                counts.equal[usize::from(key) % KEYS] += u32::from(of.equal);
            }
            let (of_changed, rest) = keys.split_at_mut(changed.len());
            simd.vectorized(
                #[inline(always)]
                || find_of_exponents(counted, changed, scale, of_changed),
            );
            keys = rest;
        }
        for (&key, &id) in counts.keys.iter().zip(ids) {
            if let Some(counts) = counts.ids.get_mut(usize::from(key)) {
                counts[usize::from(id)] += 1;
            }
        }
    }
}

/// How far a change goes from place to place of a number, in units of the same for all.
fn one_place(exponent: usize) -> f32 {
    let [exponent, ..] = exponent.to_le_bytes();
    f32::from_bits(u32::from(exponent.clamp(1, 254)) << 23)
}

/// How many places a change goes, about.
fn places(id: usize, mantissa_bits: u8) -> f32 {
    let [id, ..] = id.to_le_bytes();
    let left = if id < DIRECT {
        u32::from(id)
    } else {
        let (top, low_bits) = top(id);
        u32::try_from(top << low_bits).unwrap_or(u32::MAX)
    };
    // Farther than an octave, places are not all as long.
    (left / 2 + 1).min(1 << mantissa_bits) as f32
}

/// A sum of changes as the nearest scale.
#[expect(clippy::cast_possible_truncation, reason = "some hundreds")]
fn steps(sum: f32) -> i16 {
    // A sum of numbers that are none has no end.
    (sum.log2() * f32::from(1u8 << STEP_BITS))
        .round()
        .clamp(-2000.0, 2000.0) as i16
}
