//! Finds the scales and means of the columns of a matrix from a sample of its rows.

use super::ids::{PHASES, SIGN_BIT, base, distance, near_id, raw_bits};
use super::mean;
use super::model::{Counts, ModelBuilder, Profile, no_counts};
use super::place::{Columns, fill};
use super::rows::{
    DEVIATION, Fit, find_row, inverse_scales, quantize, row_step_bits, scaled_mean, value,
};
use super::shape::{self, Shape};
use crate::codec::symbol::log2;

/// Times that row and column scales are fitted in turn: after three they hardly move.
const ALTERNATIONS: usize = 3;
/// The same for means, and scales along with them.
const MEAN_ALTERNATIONS: usize = 6;
/// After so many of those it shows whether there are means.
const FIRST_ALTERNATIONS: usize = 2;
/// Fewer rows or columns than this do not pay for a profile.
const ENOUGH_ROWS: u64 = 32;
/// With more columns, too few rows of a sample fit into memory to tell their scales.
const DEFAULT_MAX_COLUMNS: u64 = 1 << 16;
/// Rows from which a step of 1/8, 1/4 and 1/2 octave between column scales pays. A finer step by a
/// factor of two saves 0.0027, 0.011 and 0.043 bit an element, and costs two bits a column, as
/// profiles are stored twice.
const ROWS_FOR_STEP: [u64; 3] = [740, 185, 46];
/// Square of the means, in scales, from which they may pay: with fewer, at 0.7 bit each, they save
/// less than 0.005 bit an element.
const ENOUGH_POWER: f32 = 0.007;
/// Bits that the mean of a part of a row takes in a block.
const ROW_MEAN_BITS: f64 = 5.0;
/// Bits that the mean of a column takes in the profiles, which are stored twice, and what it seems
/// to save because it was found in the very elements that are counted.
const COLUMN_MEAN_BITS: f64 = 16.0;

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

impl Fitter {
    /// True for matrices that can have a profile and may pay for it.
    pub fn wants(exponent_bits: u8, element_bytes: u8, rows: u64, columns: u64) -> bool {
        matches!(exponent_bits, 5 | 8)
            && element_bytes > 1
            && rows >= ENOUGH_ROWS
            && (ENOUGH_ROWS..=DEFAULT_MAX_COLUMNS).contains(&columns)
    }

    /// Adds a matrix of so many rows to the model and says the number of its profile.
    pub fn add(&mut self, sample: Sample<'_>, rows: u64, model: &mut ModelBuilder) -> u32 {
        self.take(sample);
        let step_bits = step_bits(rows);
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

    /// The same for a matrix whose numbers become levels.
    pub fn add_levels(&mut self, sample: Sample<'_>, rows: u64, model: &mut ModelBuilder) -> u32 {
        self.take(sample);
        let step_bits = step_bits(rows);
        self.means.clear();
        self.fit_scales(sample.columns);
        let profile = self.profile(step_bits);
        let inverse = inverse_scales(&profile.columns.scales);
        let row_step_bits = row_step_bits(sample.columns);
        let mut in_bins = [0.0; shape::BINS];
        let mut left = Vec::new();
        for row in self.values.chunks_exact(sample.columns) {
            let scale = find_row(row, &inverse, &[], row_step_bits, &mut left).scale;
            let factor = (-f32::from(scale) / PHASES as f32).exp2();
            for (value, inverse) in row.iter().zip(&inverse) {
                if let Some(bin) = Shape::bin((value * inverse * factor).abs()) {
                    in_bins[bin] += 1.0;
                }
            }
        }
        let sampled = (sample.fields.len() / sample.columns) as f64;
        model.push_levels(profile, step_bits, &in_bins, rows as f64 / sampled)
    }

    fn take(&mut self, sample: Sample<'_>) {
        self.values.clear();
        self.values.extend(
            sample
                .fields
                .iter()
                .map(|&field| value(field, sample.exponent_bits)),
        );
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
            if round + 1 == FIRST_ALTERNATIONS && power / (rows as f32) < ENOUGH_POWER + noise {
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

/// log2 of the step between column scales, as many rows as they are of.
fn step_bits(rows: u64) -> u8 {
    let step_bits = ROWS_FOR_STEP
        .iter()
        .position(|&least| rows >= least)
        .unwrap_or(ROWS_FOR_STEP.len());
    step_bits.to_le_bytes()[0]
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

#[expect(
    clippy::cast_possible_truncation,
    reason = "precision that is not needed"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}
