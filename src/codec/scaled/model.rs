//! What the blocks of an archive share, as the encoder sees it, and how it is collected.

use super::ids::{MAX_TABLES, tables};
use super::mean::BINS;
use super::place::Columns;
use super::shape::{self, Shape};
use super::stored_profile::record;
use crate::codec::ans::frequencies::{self, Frequencies};
use crate::format::Profiles;
use crate::plane::BitWriter;

/// How often each id occurs in each table.
pub(super) type Counts = Box<[[u32; 256]; MAX_TABLES]>;

/// Counts of nothing.
pub(super) fn no_counts() -> Counts {
    vec![[0; 256]; MAX_TABLES]
        .into_boxed_slice()
        .try_into()
        .expect("invariant: it was made with that length")
}

/// What an encoder knows of the columns of a matrix.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub columns: Columns,
    /// The means before they were rounded, or none: with these, those of rows are found better.
    pub means: Vec<f32>,
}

/// The shared part, as the encoder sees it.
#[derive(Debug, Clone)]
pub struct Model {
    /// Those of bin 0, or of all bins.
    pub(super) frequencies: Vec<Frequencies>,
    pub(super) profiles: Vec<Profile>,
    /// The shape of levels, and the number of its record.
    shape: Option<(u32, Shape)>,
}

impl Model {
    /// The columns of a profile.
    pub(in crate::codec) fn columns(&self, number: u32) -> &Columns {
        &self.profiles[number as usize].columns
    }

    /// The shape of levels, and the number of its record, if there is one.
    pub(in crate::codec) const fn shape(&self) -> Option<(u32, &Shape)> {
        match &self.shape {
            Some((number, shape)) => Some((*number, shape)),
            None => None,
        }
    }
}

/// Collects a model: first all matrices, then the tables.
#[derive(Debug)]
pub struct ModelBuilder {
    profiles: Vec<Profile>,
    total_columns: usize,
    records: Vec<Vec<u8>>,
    /// Of whole matrices, as far as their samples tell.
    counts: Box<[[u64; 256]]>,
    /// How many numbers that become levels lie in each bin of their shape.
    in_bins: [f64; shape::BINS],
}

impl Default for ModelBuilder {
    fn default() -> Self {
        Self {
            profiles: Vec::new(),
            total_columns: 0,
            records: Vec::new(),
            counts: vec![[0; 256]; MAX_TABLES].into_boxed_slice(),
            in_bins: [0.0; shape::BINS],
        }
    }
}

impl ModelBuilder {
    /// Adds a matrix of `weight` times as many elements as were counted, and says the number of its
    /// profile.
    pub(super) fn push(
        &mut self,
        profile: Profile,
        step_bits: u8,
        counts: &Counts,
        weight: f64,
    ) -> u32 {
        self.records.push(record(&profile.columns, step_bits));
        self.total_columns += profile.columns.scales.len();
        self.profiles.push(profile);
        for (all, new) in self.counts.iter_mut().zip(counts.iter()) {
            for (all, new) in all.iter_mut().zip(new) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "fewer than the elements of a file"
                )]
                let whole = (f64::from(*new) * weight) as u64;
                *all = all.saturating_add(whole);
            }
        }
        u32::try_from(self.records.len() - 1).expect("invariant: fewer matrices than tensors")
    }

    /// Adds a matrix that becomes levels, of `weight` times as many elements as are in the bins.
    pub(super) fn push_levels(
        &mut self,
        profile: Profile,
        step_bits: u8,
        in_bins: &[f64; shape::BINS],
        weight: f64,
    ) -> u32 {
        for (all, new) in self.in_bins.iter_mut().zip(in_bins) {
            *all += new * weight;
        }
        self.push(profile, step_bits, &no_counts(), 0.0)
    }

    /// Columns of all matrices so far.
    pub const fn total_columns(&self) -> usize {
        self.total_columns
    }

    /// The model, and the form that is stored. `None` if there is no matrix.
    pub fn finish(mut self) -> Option<(Model, Vec<u8>)> {
        if self.records.is_empty() {
            return None;
        }
        let has_means = |profile: &Profile| !profile.columns.means.is_empty();
        let bins = if self.profiles.iter().any(has_means) {
            BINS
        } else {
            1
        };
        let frequencies: Vec<Frequencies> =
            self.counts[..tables(bins)].iter().map(best_table).collect();
        let bits: usize = frequencies.iter().map(frequencies::stored_bits).sum();
        let mut tables = vec![0; 1 + bits.div_ceil(8)];
        [tables[0], ..] = bins.to_le_bytes();
        let mut writer = BitWriter::new(&mut tables[1..]);
        for frequencies in &frequencies {
            frequencies::put_frequencies(frequencies, &mut writer);
        }
        writer.finish();
        let shape = self.in_bins.iter().any(|&count| count > 0.0).then(|| {
            let shape = Shape::of_counts(&self.in_bins);
            self.records.push(shape.record().to_vec());
            let number = u32::try_from(self.records.len() - 1);
            (
                number.expect("invariant: fewer matrices than tensors"),
                shape,
            )
        });
        let section = Profiles::encode(&tables, &self.records);
        let model = Model {
            frequencies,
            profiles: self.profiles,
            shape,
        };
        Some((model, section))
    }
}

/// The best table for such counts: ids too rare for a slot of their own are left to the escape.
fn best_table(counts: &[u64; 256]) -> Frequencies {
    // What an escape takes beside its id, about.
    const ESCAPE_BITS: f64 = 6.0;
    // An id that shares an escape with others saves the part of a slot it does not need, but it
    // pays the escape code: which of these weighs more depends on how many are escaped.
    const SHARES: [u64; 4] = [1, 2, 4, 8];
    let total = counts
        .iter()
        .fold(0u64, |sum, count| sum.saturating_add(*count));
    let shift = (u64::BITS - total.leading_zeros()).saturating_sub(u32::BITS);
    let counts = counts.map(|count| u32::try_from(count >> shift).unwrap_or(u32::MAX));
    let total = total >> shift;
    let candidates = SHARES.map(|share| {
        let mut kept = counts;
        let mut escapes = u64::from(kept[0]);
        for count in &mut kept[1..] {
            if u64::from(*count) * (frequencies::SLOTS as u64) * share < total {
                escapes += u64::from(*count);
                *count = 0;
            }
        }
        kept[0] = u32::try_from(escapes.max(1)).unwrap_or(u32::MAX);
        let table = frequencies::normalize(&kept);
        let bits = frequencies::coded_bits(&kept, &table) + ESCAPE_BITS * f64::from(kept[0]);
        (bits, table)
    });
    let [first, ..] = candidates;
    let least = |best: (f64, Frequencies), next: (f64, Frequencies)| {
        if next.0 < best.0 { next } else { best }
    };
    candidates.into_iter().fold(first, least).1
}
