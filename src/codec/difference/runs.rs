//! Scales of runs of elements: how much is changed in them.

use super::keys::{Counted, key_of};
use super::layout::KEYS;
use super::number::{Number, by_form};
use crate::codec::grouped::Counts;
use crate::codec::plane::Form;
use crate::codec::symbol::log2;

/// log2 of the elements in a run: of a row of a matrix there are some.
pub(super) const RUN_BITS_OF_MAX: u8 = 7;
const RUN: usize = 1 << RUN_BITS_OF_MAX;
/// Scales that a run may have.
const SCALES: usize = 96;
/// Steps up and down that are tried.
const NEAR: usize = 8;

/// The scales of all runs.
#[derive(Default)]
pub(super) struct Runs {
    pub scales: Vec<u8>,
}

impl Runs {
    pub const STEP_BITS: u8 = 2;
    /// How often scales are improved.
    pub const ROUNDS: usize = 2;

    /// How often each scale occurs.
    pub fn counts(&self) -> Counts {
        let mut counts = [0; 256];
        for &scale in &self.scales {
            counts[usize::from(scale)] += 1;
        }
        counts
    }

    /// Guesses scales by the mean change of numbers.
    pub fn guess(&mut self, own: &[u8], base: &[u8], form: Form, exponents: &[u8]) {
        let bytes = usize::from(form.bytes) << RUN_BITS_OF_MAX;
        let runs = own.chunks(bytes).zip(base.chunks(bytes));
        let means: Vec<Option<i16>> = runs
            .zip(exponents.chunks(RUN))
            .map(|((own, base), exponents)| {
                let sum = by_form!(form, change(own, base, exponents, form.mantissa_bits()));
                // Runs are of equal length, but the last.
                (sum > 0.0).then(|| steps(sum))
            })
            .collect();
        let changed = means.iter().flatten();
        let most = changed.clone().max().copied().unwrap_or(0);
        let [highest, ..] = (SCALES - 1).to_le_bytes();
        let highest = i16::from(highest);
        let least = changed.min().copied().unwrap_or(0).max(most - highest);
        // Where nothing is changed, it is as if less were than anywhere else.
        let below = (least - (2 << Self::STEP_BITS)).max(most - highest);
        self.scales.clear();
        self.scales.extend(means.iter().map(|mean| {
            let place = mean.unwrap_or(below) - below;
            place.clamp(0, highest).to_le_bytes()[0]
        }));
    }

    /// Gives each run the scale with which it takes least, as its elements are counted now.
    pub fn improve(
        &mut self,
        counts: &[Counts; KEYS],
        counted: Counted,
        exponents: &[u8],
        ids: &[u8],
    ) {
        let bits = id_bits(counts);
        let mut of_scale = [0u32; SCALES];
        for &scale in &self.scales {
            of_scale[usize::from(scale)] += 1;
        }
        let all = log2(u32::try_from(self.scales.len()).unwrap_or(u32::MAX));
        let scale_bits = of_scale.map(|count| (count > 0).then(|| all - log2(count)));
        let runs = exponents.chunks(RUN).zip(ids.chunks(RUN));
        let mut places = [(0i16, 0u8); RUN];
        for (chosen, (exponents, ids)) in self.scales.iter_mut().zip(runs) {
            for ((place, &exponent), &id) in places.iter_mut().zip(exponents).zip(ids) {
                let octaves = i16::from(exponent) << Self::STEP_BITS;
                *place = (octaves - counted.lowest, id);
            }
            let places = &places[..ids.len()];
            let now = usize::from(*chosen);
            let near = now.saturating_sub(NEAR)..(now + NEAR + 1).min(SCALES);
            let cost = |scale: usize| {
                let [less, ..] = scale.to_le_bytes();
                let of_ids = places.iter().map(|&(place, id)| {
                    let key = key_of(place - i16::from(less));
                    bits[usize::from(key) % KEYS][usize::from(id)]
                });
                Some(of_ids.sum::<f32>() + scale_bits[scale]?)
            };
            let best = near
                .filter_map(|scale| Some((scale, cost(scale)?)))
                .min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((scale, _)) = best {
                [*chosen, ..] = scale.to_le_bytes();
            }
        }
    }
}

/// What ids take by key, where neighbouring keys are about alike.
fn id_bits(counts: &[Counts; KEYS]) -> Box<[[f32; 256]; KEYS]> {
    const NEIGHBOUR: f32 = 0.3;
    const NEVER_SEEN: f32 = 0.02;
    let mut bits = Box::new([[NEVER_SEEN; 256]; KEYS]);
    for (key, bits) in bits.iter_mut().enumerate() {
        let mut add = |counts: Option<&Counts>, share: f32| {
            for (sum, &count) in bits.iter_mut().zip(counts.into_iter().flatten()) {
                *sum += share * count as f32;
            }
        };
        add(counts.get(key), 1.0);
        add(counts.get(key + 1), NEIGHBOUR);
        add(
            key.checked_sub(1).and_then(|key| counts.get(key)),
            NEIGHBOUR,
        );
        let all = bits.iter().sum::<f32>().log2();
        for bits in bits {
            *bits = all - bits.log2();
        }
    }
    bits
}

/// A sum of changes as the nearest scale.
#[expect(clippy::cast_possible_truncation, reason = "some hundreds")]
fn steps(sum: f32) -> i16 {
    // A sum of numbers that are none has no end.
    (sum.log2() * f32::from(1u8 << Runs::STEP_BITS))
        .round()
        .clamp(-2000.0, 2000.0) as i16
}

/// The sum of all changes, in units of the same for all runs.
fn change<N: Number>(own: &[u8], base: &[u8], exponents: &[u8], mantissa_bits: u8) -> f32 {
    let numbers = N::all(own).iter().zip(N::all(base)).zip(exponents);
    let changes = numbers.map(|((&own, &base), &exponent)| {
        let difference = N::load(base).difference_to(N::load(own)).widen();
        // Farther than an octave, places are not all as long.
        let places = difference.div_ceil(2).min(1 << mantissa_bits);
        places as f32 * f32::from_bits(u32::from(exponent.clamp(1, 254)) << 23)
    });
    changes.sum()
}
