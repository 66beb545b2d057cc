//! The scale and the mean of a row, where those of its columns are known.

use super::ids::PHASES;
use super::mean::{self, SIGN};
use super::place::Row;

/// Standard deviation of numbers with a normal distribution of mean absolute value 1. Scales are
/// mean absolute values, means are measured in standard deviations.
pub(super) const DEVIATION: f32 = 1.2533;

/// The value of a float of which these are the highest 16 bits; 0 if it is not finite.
pub(super) fn value(field: u16, exponent_bits: u8) -> f32 {
    let bits = u32::from(field & !SIGN);
    let value = if exponent_bits == 8 {
        f32::from_bits(bits << 16)
    } else {
        // The exponent's bias is 15 instead of 127; the product makes subnormals right as well.
        f32::from_bits(bits << 13) * 2f32.powi(112)
    };
    let value = if value < f32::from_bits(0x7F00_0000) {
        value
    } else {
        0.0
    };
    f32::from_bits(value.to_bits() | u32::from(field & SIGN) << 16)
}

/// Scales as factors to divide by.
pub(in crate::codec) fn inverse_scales(scales: &[i16]) -> Vec<f32> {
    scales
        .iter()
        .map(|&scale| (-f32::from(scale) / PHASES as f32).exp2())
        .collect()
}

/// log2 of the step between the scales of rows with so many elements: a step of 1/8 octave instead
/// of 1/4 saves 0.0027 bit an element and costs one a row.
pub(in crate::codec) const fn row_step_bits(elements: usize) -> u8 {
    if elements >= 370 { 0 } else { 1 }
}

/// Scale and mean of a row, where its columns have these, or no means at all. Uses `left` to work.
pub(super) fn find_row(
    values: &[f32],
    inverse: &[f32],
    means: &[f32],
    step_bits: u8,
    left: &mut Vec<f32>,
) -> Row {
    let fit = if means.is_empty() {
        Fit {
            scale: scaled_mean(values, inverse),
            mean: 0.0,
        }
    } else {
        Fit::of(values, inverse, means, left)
    };
    Row {
        scale: if fit.scale > 0.0 {
            quantize(fit.scale.log2(), step_bits)
        } else {
            0
        },
        mean: mean::quantize(fit.mean),
    }
}

/// Scale and mean of a row before they are rounded.
pub(super) struct Fit {
    pub scale: f32,
    /// In scales.
    pub mean: f32,
}

impl Fit {
    /// Leaves the row in `left`, its columns' scales and its mean taken off.
    pub fn of(values: &[f32], inverse: &[f32], means: &[f32], left: &mut Vec<f32>) -> Self {
        left.clear();
        left.extend(
            values
                .iter()
                .zip(inverse)
                .map(|(value, inverse)| value * inverse),
        );
        let square = sum(means, means, |mean, same| mean * same);
        let product = sum(left, means, |value, mean| value * mean);
        let mean = if square > 0.0 { product / square } else { 0.0 };
        for (left, column) in left.iter_mut().zip(means) {
            *left -= mean * column;
        }
        let scale = sum(left, means, |left, _| left.abs()) / values.len() as f32;
        Self {
            scale,
            mean: if scale > 0.0 {
                mean / (DEVIATION * scale)
            } else {
                0.0
            },
        }
    }
}

/// The mean absolute value of a row, its columns' scales taken off.
pub(in crate::codec) fn scaled_mean(values: &[f32], inverse: &[f32]) -> f32 {
    sum(values, inverse, |value, inverse| (value * inverse).abs()) / values.len() as f32
}

fn sum(left: &[f32], right: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    // Eight sums: one would wait for each addition.
    let mut sums = [0f32; 8];
    let (left_by_8, left_rest) = left.as_chunks::<8>();
    let (right_by_8, right_rest) = right.as_chunks::<8>();
    for (left, right) in left_by_8.iter().zip(right_by_8) {
        for i in 0..8 {
            sums[i] += of(left[i], right[i]);
        }
    }
    let rest = left_rest.iter().zip(right_rest);
    sums.iter().sum::<f32>() + rest.map(|(&left, &right)| of(left, right)).sum::<f32>()
}

/// A logarithm in octaves as a scale in eighths, rounded to a step.
pub(in crate::codec) fn quantize(octaves: f32, step_bits: u8) -> i16 {
    let step = f32::from(1u16 << step_bits);
    let steps = (octaves * PHASES as f32 / step).round() * step;
    // Logarithms of floats are within 150.
    #[expect(clippy::cast_possible_truncation, reason = "whole and clamped")]
    let scale = steps.clamp(-4096.0, 4096.0) as i16;
    scale
}
