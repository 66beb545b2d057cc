//! Finds the column scales of a matrix from a sample of its rows.

use super::context::fill;
use super::profile::ModelBuilder;
use super::{MANTISSA_BITS, MAX_ID, PHASES, base};

/// Times that row and column scales are fitted in turn: after three they hardly move.
const ALTERNATIONS: usize = 3;
/// Fewer rows or columns than this do not pay for a profile.
const LEAST_ROWS: u64 = 32;
/// With more columns, too few rows of a sample fit into memory to tell their scales.
const MOST_COLUMNS: u64 = 1 << 16;
/// Rows from which a step of 1/8, 1/4 and 1/2 octave between column scales pays. A finer step by a
/// factor of two saves 0.0027, 0.011 and 0.043 bit an element, and costs two bits a column, as
/// profiles are stored twice.
const ROWS_FOR_STEP: [u64; 3] = [740, 185, 46];

/// Some rows of a matrix of floats.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Bits of the exponent: 8, or 5 for F16.
    pub exponent_bits: u8,
    /// Columns of the matrix.
    pub columns: usize,
    /// The highest 16 bits of each element, row by row.
    pub fields: &'a [u16],
}

/// Fits matrices, with buffers that are used again.
#[derive(Debug, Default)]
pub struct Fitter {
    values: Vec<f32>,
    inverse: Vec<f32>,
    sums: Vec<f64>,
    phases: Vec<u8>,
    bases: Vec<u16>,
}

impl Fitter {
    /// True for matrices that can have a profile and may pay for it.
    pub fn wants(exponent_bits: u8, element_bytes: u8, rows: u64, columns: u64) -> bool {
        matches!(exponent_bits, 5 | 8)
            && element_bytes > 1
            && rows >= LEAST_ROWS
            && (LEAST_ROWS..=MOST_COLUMNS).contains(&columns)
    }

    /// Adds a matrix of so many rows to the model and says the number of its profile.
    pub fn add(&mut self, sample: Sample<'_>, rows: u64, model: &mut ModelBuilder) -> u32 {
        self.values.clear();
        self.values.extend(
            sample
                .fields
                .iter()
                .map(|&field| magnitude(field, sample.exponent_bits)),
        );
        self.fit_columns(sample.columns);
        let step_bits = ROWS_FOR_STEP
            .iter()
            .position(|&least| rows >= least)
            .unwrap_or(ROWS_FOR_STEP.len());
        let [step_bits, ..] = step_bits.to_le_bytes();
        let columns: Vec<i16> = self
            .inverse
            .iter()
            .map(|inverse| quantize(-inverse.log2(), step_bits))
            .collect();
        let counts = self.count(sample, &columns);
        model.push(columns, step_bits, &counts)
    }

    /// Leaves one divided by the scale of each column in `inverse`; their product is about one.
    fn fit_columns(&mut self, columns: usize) {
        self.inverse.clear();
        self.inverse.resize(columns, 1.0);
        for _ in 0..ALTERNATIONS {
            self.sums.clear();
            self.sums.resize(columns, 0.0);
            for row in self.values.chunks_exact(columns) {
                let mean = scaled_mean(row, &self.inverse);
                if mean > 0.0 {
                    let weight = 1.0 / mean;
                    for (sum, value) in self.sums.iter_mut().zip(row) {
                        *sum += f64::from(value * weight);
                    }
                }
            }
            let mean_log = self
                .sums
                .iter()
                .filter(|&&sum| sum > 0.0)
                .map(|sum| sum.log2())
                .sum::<f64>()
                / columns as f64;
            for (inverse, &sum) in self.inverse.iter_mut().zip(&self.sums) {
                let relative = if sum > 0.0 {
                    (mean_log - sum.log2()).exp2()
                } else {
                    1.0
                };
                *inverse = narrow(relative);
            }
        }
    }

    /// How often each id occurs in each phase.
    fn count(&mut self, sample: Sample<'_>, columns: &[i16]) -> [[u32; 256]; PHASES] {
        let mut counts = [[0; 256]; PHASES];
        let inverse = inverse_scales(columns);
        let raw_bits = raw_bits(sample.exponent_bits);
        self.phases.resize(columns.len(), 0);
        self.bases.resize(columns.len(), 0);
        let rows = self.values.chunks_exact(columns.len());
        for (values, fields) in rows.zip(sample.fields.chunks_exact(columns.len())) {
            let scale = row_scale(values, &inverse, row_step_bits(columns.len()));
            fill(
                scale,
                Some(columns),
                base(sample.exponent_bits),
                &mut self.phases,
                &mut self.bases,
            );
            for ((&field, &phase), &base) in fields.iter().zip(&self.phases).zip(&self.bases) {
                let distance = (field.rotate_left(1) >> raw_bits).wrapping_sub(base);
                let id = if (1..=u16::from(MAX_ID)).contains(&distance) {
                    distance
                } else {
                    0
                };
                counts[usize::from(phase)][usize::from(id)] += 1;
            }
        }
        counts
    }
}

/// Bits of a field of 16 that are not in the symbol.
pub(super) const fn raw_bits(exponent_bits: u8) -> u8 {
    16 - exponent_bits - MANTISSA_BITS
}

/// The absolute value of a float of which these are the highest 16 bits; 0 if it is not finite.
pub(super) fn magnitude(field: u16, exponent_bits: u8) -> f32 {
    let bits = u32::from(field & 0x7FFF);
    let value = if exponent_bits == 8 {
        f32::from_bits(bits << 16)
    } else {
        // The exponent's bias is 15 instead of 127; the product makes subnormals right as well.
        f32::from_bits(bits << 13) * 2f32.powi(112)
    };
    if value < f32::from_bits(0x7F00_0000) {
        value
    } else {
        0.0
    }
}

/// Scales as factors to divide by.
pub(super) fn inverse_scales(scales: &[i16]) -> Vec<f32> {
    scales
        .iter()
        .map(|&scale| (-f32::from(scale) / PHASES as f32).exp2())
        .collect()
}

/// log2 of the step between the scales of rows with so many elements: a step of 1/8 octave instead
/// of 1/4 saves 0.0027 bit an element and costs one a row.
pub(super) const fn row_step_bits(elements: usize) -> u8 {
    if elements >= 370 { 0 } else { 1 }
}

/// The scale of a row, its columns' scales taken off.
pub(super) fn row_scale(values: &[f32], inverse: &[f32], step_bits: u8) -> i16 {
    let mean = scaled_mean(values, inverse);
    if mean > 0.0 {
        quantize(mean.log2(), step_bits)
    } else {
        0
    }
}

fn scaled_mean(values: &[f32], inverse: &[f32]) -> f32 {
    // Eight sums: one would wait for each addition.
    let mut sums = [0f32; 8];
    let (values_by_8, values_rest) = values.as_chunks::<8>();
    let (inverse_by_8, inverse_rest) = inverse.as_chunks::<8>();
    for (values, inverse) in values_by_8.iter().zip(inverse_by_8) {
        for i in 0..8 {
            sums[i] += values[i] * inverse[i];
        }
    }
    let rest: f32 = values_rest
        .iter()
        .zip(inverse_rest)
        .map(|(value, inverse)| value * inverse)
        .sum();
    (sums.iter().sum::<f32>() + rest) / values.len() as f32
}

/// A logarithm in octaves as a scale in eighths, rounded to a step.
fn quantize(octaves: f32, step_bits: u8) -> i16 {
    let step = f32::from(1u16 << step_bits);
    let steps = (octaves * PHASES as f32 / step).round() * step;
    // Logarithms of floats are within 150.
    #[expect(clippy::cast_possible_truncation, reason = "whole and clamped")]
    let scale = steps.clamp(-4096.0, 4096.0) as i16;
    scale
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "precision that is not needed"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}
