//! Covers: as few numbers of a type of 16 bits as are within a bound of all finite ones.
//!
//! From zero up, each is the greatest that is within the bound of the least number that those before it leave
//! over. So numbers that are farther from each other than the bound are all among them, and are kept as they
//! are. All magnitudes are compared as F64, in which each is exact.

use super::number::{greatest, magnitude, narrow};
use crate::format::ElementType;
use crate::simd::Simd;

/// The sign bit.
pub(super) const SIGN: u16 = 1 << 15;
/// Most steps to each side of zero that the covers of rows have: they stay small enough to keep many.
pub(super) const ROW_STEPS: usize = 4095;

/// How far numbers may be from the one that they are served as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reach {
    Absolute(f64),
    /// A share of the number itself.
    Relative(f64),
}

impl Reach {
    /// Whether a number may be served as another, both not negative.
    #[inline(always)]
    fn allows(self, number: f64, served: f64) -> bool {
        let error = (number - served).abs();
        match self {
            Self::Absolute(bound) => error <= bound,
            Self::Relative(bound) => error <= bound * number,
        }
    }
}

/// The magnitudes of a cover as bits of the type, ascending from 0, as many as `most` beside it.
pub(super) fn magnitudes(element: ElementType, reach: Reach, most: usize) -> Vec<u16> {
    let greatest = greatest(element);
    let mut cover = vec![0];
    // The least that is not covered.
    let mut next = past(element, reach, 0, 0);
    while next <= greatest && cover.len() <= most {
        let least = magnitude(element, next);
        let served = last_where(next, greatest, |bits| {
            reach.allows(least, magnitude(element, bits))
        });
        cover.push(served);
        next = past(element, reach, served, served);
    }
    cover
}

/// The first magnitude above one that is not to be served as that.
fn past(element: ElementType, reach: Reach, from: u16, served: u16) -> u16 {
    let value = magnitude(element, served);
    let last = last_where(from, greatest(element), |bits| {
        bits == served || reach.allows(magnitude(element, bits), value)
    });
    last + 1
}

/// The last of a range, from its first on, for which something holds that holds for all before it.
fn last_where(first: u16, last: u16, holds: impl Fn(u16) -> bool) -> u16 {
    // Steps are mostly short: doubling them, then halving.
    let mut known = first;
    let mut step = 1u16;
    while last - known >= step && holds(known + step) {
        known += step;
        step = step.saturating_mul(2);
    }
    while step > 0 {
        if last - known >= step && holds(known + step) {
            known += step;
        }
        step /= 2;
    }
    known
}

/// For each magnitude of a type of 16 bits the step of a cover that is nearest to it; 0 for those that are not
/// finite.
pub(super) type Nearest = Box<[u16; 1 << 15]>;

/// The nearest steps of a cover of a type.
pub(super) fn nearest(element: ElementType, cover: &[u16]) -> Nearest {
    let mut step = 0;
    let value = |bits| magnitude(element, bits);
    let mut nearest = Box::new([0; 1 << 15]);
    for (bits, place) in (0..=greatest(element)).zip(nearest.iter_mut()) {
        while let Some(&above) = cover.get(step + 1)
            && value(above) - value(bits) < (value(bits) - value(cover[step])).abs()
        {
            step += 1;
        }
        *place = u16::try_from(step).unwrap_or(u16::MAX);
    }
    nearest
}

/// The numbers of a cover by level, from the lowest to the highest, as bits with their sign.
pub(super) fn signed(cover: &[u16]) -> Vec<u16> {
    let below = cover[1..].iter().rev().map(|bits| bits | SIGN);
    below.chain(cover.iter().copied()).collect()
}

/// The numbers of a cover by twice the step, and one more for the negative one.
pub(super) fn in_pairs(cover: &[u16]) -> Vec<u16> {
    cover.iter().flat_map(|&bits| [bits, bits | SIGN]).collect()
}

/// The bits of a number of a type of 16 bits, or of one that is near: those of the greatest if it is too large for
/// the type, 0 if it is not finite. Without a call or a branch: loops become vector instructions.
#[inline(always)]
fn near_bits(element: ElementType, value: f64) -> u16 {
    let short = narrow(value).abs();
    let bits = if element == ElementType::Bf16 {
        short.to_bits() >> 16
    } else {
        // The exponent's bias is 15 instead of 127, of subnormal numbers as well.
        (short * f32::from_bits(15 << 23)).to_bits() >> 13
    };
    let [low, high, ..] = bits.min(greatest(element).into()).to_le_bytes();
    let magnitude = u16::from_le_bytes([low, high]);
    let sign = if value < 0.0 { SIGN } else { 0 };
    if value.is_finite() {
        magnitude | sign
    } else {
        0
    }
}

/// Numbers whose steps are looked up together.
const LOOKED_UP_AT_ONCE: usize = 256;

/// Appends a level for each number times a factor, by the step that is nearest to it and by whether it is negative.
pub(super) fn push_levels(
    simd: Simd,
    nearest: &Nearest,
    element: ElementType,
    (run, factor): (&[f64], f64),
    level: impl Fn(i32, bool) -> i32,
    levels: &mut Vec<i32>,
) {
    let first = levels.len();
    levels.resize(first + run.len(), 0);
    let mut bits = [0; LOOKED_UP_AT_ONCE];
    let pieces = levels[first..].chunks_mut(LOOKED_UP_AT_ONCE);
    for (levels, run) in pieces.zip(run.chunks(LOOKED_UP_AT_ONCE)) {
        simd.vectorized(
            #[inline(always)]
            || {
                let (element, factor) = (element, factor);
                for (bits, &value) in bits.iter_mut().zip(run) {
                    *bits = near_bits(element, value * factor);
                }
            },
        );
        for (made, &bits) in levels.iter_mut().zip(&bits) {
            let step = nearest[usize::from(bits & !SIGN)];
            *made = level(step.into(), bits & SIGN != 0);
        }
    }
}

/// The level of a step to either side of zero.
#[inline(always)]
pub(super) const fn signed_level(step: i32, is_negative: bool) -> i32 {
    if is_negative { -step } else { step }
}
