//! Finds the scales and means of the columns of a matrix from a sample of its rows.

use super::context::{Columns, Row, fill};
use super::mean::{self, BINS, SIGN};
use super::profile::{Counts, ModelBuilder, no_counts};
use super::{MANTISSA_BITS, PHASES, SIGN_BIT, SYMBOL_MASK, base};
use crate::codec::symbol::log2;

/// Times that row and column scales are fitted in turn: after three they hardly move.
const ALTERNATIONS: usize = 3;
/// The same for means, and scales along with them.
const MEAN_ALTERNATIONS: usize = 6;
/// After so many of those it shows whether there are means.
const FIRST_ALTERNATIONS: usize = 2;
/// Fewer rows or columns than this do not pay for a profile.
const LEAST_ROWS: u64 = 32;
/// With more columns, too few rows of a sample fit into memory to tell their scales.
const MOST_COLUMNS: u64 = 1 << 16;
/// Rows from which a step of 1/8, 1/4 and 1/2 octave between column scales pays. A finer step by a
/// factor of two saves 0.0027, 0.011 and 0.043 bit an element, and costs two bits a column, as
/// profiles are stored twice.
const ROWS_FOR_STEP: [u64; 3] = [740, 185, 46];
/// Square of the means, in scales, from which they may pay: with fewer, at 0.7 bit each, they save
/// less than 0.005 bit an element.
const LEAST_POWER: f32 = 0.007;
/// Bits that the mean of a part of a row takes in a block.
const ROW_MEAN_BITS: f64 = 5.0;
/// Bits that the mean of a column takes in the profiles, which are stored twice, and what it seems
/// to save because it was found in the very elements that are counted.
const COLUMN_MEAN_BITS: f64 = 16.0;
/// Standard deviation of numbers with a normal distribution of mean absolute value 1. Scales are
/// mean absolute values, means are measured in standard deviations.
const DEVIATION: f32 = 1.2533;

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
    /// One divided by the scale of each column; their product is about one.
    inverse: Vec<f32>,
    /// The mean of each column, if there are any.
    means: Vec<f32>,
    sums: Vec<f32>,
    tables: Vec<u8>,
    bases: Vec<u16>,
}

/// What an encoder knows of the columns of a matrix.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub columns: Columns,
    /// The means before they were rounded, or none: with these, those of rows are found better.
    pub means: Vec<f32>,
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
                .map(|&field| value(field, sample.exponent_bits)),
        );
        let step_bits = ROWS_FOR_STEP
            .iter()
            .position(|&least| rows >= least)
            .unwrap_or(ROWS_FOR_STEP.len());
        let [step_bits, ..] = step_bits.to_le_bytes();
        self.fit_scales(sample.columns);
        let mut profile = self.profile(step_bits);
        let mut counts = self.count(sample, &profile);
        let sampled = (sample.fields.len() / sample.columns) as f64;
        if self.fit_means(sample.columns) {
            let with_means = self.profile(step_bits);
            let counts_with_means = self.count(sample, &with_means);
            let columns_bits = sample.columns as f64 * COLUMN_MEAN_BITS * sampled / rows as f64;
            let price = sampled * ROW_MEAN_BITS + columns_bits;
            if coded_bits(&counts_with_means) + price < coded_bits(&counts) {
                profile = with_means;
                counts = counts_with_means;
            }
        }
        model.push(profile, step_bits, &counts, rows as f64 / sampled)
    }

    /// Finds `inverse`, as if there were no means.
    fn fit_scales(&mut self, columns: usize) {
        self.means.clear();
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
                        *sum += (value * weight).abs();
                    }
                }
            }
            self.take_sums_as_scales();
        }
    }

    /// Makes `inverse` that of `sums`, but for a factor.
    fn take_sums_as_scales(&mut self) {
        let mean_log = self
            .sums
            .iter()
            .filter(|&&sum| sum > 0.0)
            .map(|sum| f64::from(sum.log2()))
            .sum::<f64>()
            / self.sums.len() as f64;
        for (inverse, &sum) in self.inverse.iter_mut().zip(&self.sums) {
            *inverse = if sum > 0.0 {
                narrow((mean_log - f64::from(sum.log2())).exp2())
            } else {
                1.0
            };
        }
    }

    /// Finds `means`, and `inverse` along with them; starts with the scales that fit without means.
    /// Returns false if there is nothing to find.
    ///
    /// ```text
    /// x[i][j] = a[i] b[j] (u[i] v[j] + noise)
    /// v[j] = sum over i of x / (a b) u / sum of u^2;   scaled so that the mean of v^2 is 1
    /// u[i] = sum over j of x / (a b) v / sum of v^2
    /// a[i], b[j]: the mean absolute values of what is left
    /// ```
    fn fit_means(&mut self, columns: usize) -> bool {
        let rows = self.values.len() / columns;
        // Of each row u and 1 / a.
        let mut fits: Vec<(f32, f32)> = self
            .values
            .chunks_exact(columns)
            .map(|row| (1.0, 1.0 / (DEVIATION * scaled_mean(row, &self.inverse))))
            .collect();
        let mut left = Vec::new();
        for round in 0..MEAN_ALTERNATIONS {
            self.means.clear();
            self.means.resize(columns, 0.0);
            for (row, (u, inverse)) in self.values.chunks_exact(columns).zip(&fits) {
                let weight = u * inverse;
                if weight.is_finite() {
                    for (mean, value) in self.means.iter_mut().zip(row) {
                        *mean += value * weight;
                    }
                }
            }
            for (mean, inverse) in self.means.iter_mut().zip(&self.inverse) {
                *mean *= inverse;
            }
            let square: f32 = self.means.iter().map(|mean| mean * mean).sum();
            let norm = (square / columns as f32).sqrt();
            if !(norm > 0.0 && norm.is_finite()) {
                return false;
            }
            for mean in &mut self.means {
                *mean /= norm;
            }
            self.sums.clear();
            self.sums.resize(columns, 0.0);
            let mut power = 0.0;
            for (row, fit) in self.values.chunks_exact(columns).zip(&mut fits) {
                let place = Fit::of(row, &self.inverse, &self.means, &mut left);
                if place.scale > 0.0 {
                    *fit = (place.mean, 1.0 / (DEVIATION * place.scale));
                    power += place.mean * place.mean;
                    let weight = 1.0 / place.scale;
                    for (sum, left) in self.sums.iter_mut().zip(&left) {
                        *sum += left.abs() * weight;
                    }
                } else {
                    *fit = (0.0, 0.0);
                }
            }
            // Even noise alone has a direction of this power.
            let noise = ((1.0 / rows as f32).sqrt() + (1.0 / columns as f32).sqrt()).powi(2);
            if round + 1 == FIRST_ALTERNATIONS && power / (rows as f32) < LEAST_POWER + noise {
                return false;
            }
            // Each column's share of what is left, as a factor to its scale.
            let middle = self.sums.iter().sum::<f32>() / columns as f32;
            let places = self.inverse.iter_mut().zip(&mut self.means);
            for ((inverse, mean), &sum) in places.zip(&self.sums) {
                if sum > 0.0 {
                    let factor = middle / sum;
                    *inverse *= factor;
                    *mean *= factor;
                }
            }
        }
        true
    }

    /// Rounds what was found.
    fn profile(&self, step_bits: u8) -> Profile {
        let scales: Vec<i16> = self
            .inverse
            .iter()
            .map(|inverse| quantize(-inverse.log2(), step_bits))
            .collect();
        // Means are relative to the scales, and those were rounded.
        let rounded = inverse_scales(&scales);
        let means: Vec<f32> = self
            .means
            .iter()
            .zip(rounded.iter().zip(&self.inverse))
            .map(|(mean, (rounded, inverse))| mean * rounded / inverse)
            .collect();
        Profile {
            columns: Columns {
                scales,
                means: means.iter().map(|&mean| mean::quantize(mean)).collect(),
            },
            means,
        }
    }

    /// How often each id occurs in each table.
    fn count(&mut self, sample: Sample<'_>, profile: &Profile) -> Counts {
        let mut counts = no_counts();
        let inverse = inverse_scales(&profile.columns.scales);
        let raw_bits = raw_bits(sample.exponent_bits);
        let base = base(sample.exponent_bits);
        let len = sample.columns;
        self.tables.resize(len, 0);
        self.bases.resize(len, 0);
        let mut left = Vec::new();
        let rows = self.values.chunks_exact(len);
        for (values, fields) in rows.zip(sample.fields.chunks_exact(len)) {
            let row = find_row(
                values,
                &inverse,
                &profile.means,
                row_step_bits(len),
                &mut left,
            );
            fill(
                row,
                Some((&profile.columns, 0)),
                (base, raw_bits),
                &mut self.tables,
                &mut self.bases,
            );
            for ((&field, &table), &base) in fields.iter().zip(&self.tables).zip(&self.bases) {
                let (distance, sign) = distance(field, base, raw_bits);
                let id = near_id(distance, sign).unwrap_or(0);
                counts[usize::from(table)][usize::from(id)] += 1;
            }
        }
        // Where there is no mean, what its sign would be is chance.
        for counts in &mut counts[..PHASES] {
            let (same, other) = counts.split_at_mut(usize::from(SIGN_BIT));
            for (same, other) in same.iter_mut().zip(other).skip(1) {
                let half = (*same + *other).div_ceil(2);
                (*same, *other) = (half, half);
            }
        }
        counts
    }
}

/// Bits that coding takes with the best of tables.
fn coded_bits(counts: &Counts) -> f64 {
    counts
        .iter()
        .map(|counts| {
            let total: u32 = counts.iter().sum();
            let most = f64::from(log2(total.max(1)));
            counts
                .iter()
                .map(|&count| f64::from(count) * (most - f64::from(log2(count.max(1)))))
                .sum::<f64>()
        })
        .sum()
}

/// Bits of a field of 16 that are not coded: the mantissa's that are not in the symbol.
pub(super) const fn raw_bits(exponent_bits: u8) -> u8 {
    15 - exponent_bits - MANTISSA_BITS
}

/// How far the symbol of a field lies above a base as `fill` makes it, and whether its sign differs.
#[inline(always)]
pub(super) const fn distance(field: u16, base: u16, raw_bits: u8) -> (u16, bool) {
    let distance = (field & !SIGN).wrapping_sub(base & !SIGN) & !SIGN;
    (distance >> raw_bits, (field ^ base) & SIGN != 0)
}

/// The id, unless the distance is too far for one.
#[inline(always)]
pub(super) fn near_id(distance: u16, sign: bool) -> Option<u8> {
    match u8::try_from(distance) {
        Ok(near @ 1..=SYMBOL_MASK) => Some(if sign { near | SIGN_BIT } else { near }),
        _ => None,
    }
}

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
struct Fit {
    scale: f32,
    /// In scales.
    mean: f32,
}

impl Fit {
    /// Leaves the row in `left`, its columns' scales and its mean taken off.
    fn of(values: &[f32], inverse: &[f32], means: &[f32], left: &mut Vec<f32>) -> Self {
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
fn scaled_mean(values: &[f32], inverse: &[f32]) -> f32 {
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

/// Tables there are for so many bins.
pub(super) const fn tables(bins: usize) -> usize {
    PHASES * bins
}

/// Tables there are at most.
pub(super) const MOST_TABLES: usize = tables(BINS);
