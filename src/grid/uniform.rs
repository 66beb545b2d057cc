//! Levels on a uniform grid, of F32 and F64.

use super::number::narrow;
use crate::format::ElementType;
use crate::simd::Simd;

/// The share of a bound that steps of F32 and F64 leave to the arithmetic of who compares.
pub(super) const SPARE: f64 = 1.0 / (1 << 20) as f64;
/// Most of a step that is left for the rounding of the type, at a cost of 0.09 bit an element; what it does not
/// do for are exceptions.
const MOST_SPARE: f64 = 1.0 / 16.0;
/// No level is farther; fields have less.
const FARTHEST: f64 = (1 << 24) as f64;

/// The step of a uniform grid that keeps a bound, with what its type's rounding takes of it.
pub(super) fn step_within(bound: f64, typical: f64, element: ElementType) -> f64 {
    let unit = match element {
        ElementType::F32 => f64::from(narrow(typical).abs()) * f64::from(f32::EPSILON),
        _ => typical * f64::EPSILON,
    };
    let spare = (unit / 2.0 / bound).clamp(SPARE, MOST_SPARE);
    let step = 2.0 * bound * (1.0 - spare);
    if element == ElementType::F32 {
        narrow(step).into()
    } else {
        step
    }
}

/// Appends the levels of numbers on a uniform grid, those that keep the bound if there are such.
pub(super) fn push_uniform(
    simd: Simd,
    run: &[f64],
    element: ElementType,
    step: f64,
    bound: f64,
    levels: &mut Vec<i32>,
) {
    let short_step = narrow(step);
    let is_short = element == ElementType::F32;
    let step = if is_short {
        f64::from(short_step)
    } else {
        step
    };
    let inverse = 1.0 / step;
    let first = levels.len();
    levels.resize(first + run.len(), 0);
    let levels = &mut levels[first..];
    let served = move |level: f64| {
        if is_short {
            f64::from(narrow(level) * short_step)
        } else {
            level * step
        }
    };
    let all_kept = simd.vectorized(
        #[inline(always)]
        || {
            // In registers, whatever is written to `levels`.
            let (served, inverse, bound) = (served, inverse, bound);
            let mut all_kept = true;
            for (level, &value) in levels.iter_mut().zip(run) {
                // What is too far becomes an exception.
                let nearest = round(value * inverse).clamp(-FARTHEST, FARTHEST);
                all_kept &= (served(nearest) - value).abs() <= bound;
                #[expect(clippy::cast_possible_truncation, reason = "clamped, or 0")]
                let nearest = nearest as i32;
                *level = nearest;
            }
            all_kept
        },
    );
    if all_kept {
        return;
    }
    // A neighbour may keep what rounding to the type took.
    for (level, &value) in levels.iter_mut().zip(run) {
        let keeps = |level: i32| (served(level.into()) - value).abs() <= bound;
        if !value.is_finite() {
            *level = 0;
        } else if !keeps(*level) {
            let near = [*level + 1, *level - 1];
            *level = near.into_iter().find(|&near| keeps(near)).unwrap_or(*level);
        }
    }
}

/// The nearest whole number, of two the even one, of those that are not too large; without a call where the
/// processor has no instruction for it.
#[inline(always)]
pub(super) const fn round(value: f64) -> f64 {
    // So large that nothing is left behind the point.
    const LARGE: f64 = 1.5 * (1u64 << 52) as f64;
    (value + LARGE) - LARGE
}
