//! Counts samples of the tensors of all files, and says what follows from them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::counts::Counts;
use super::facts::{
    Analysis, DtypeFacts, ExpectedLevels, FileFacts, Frequent, Statistics, TensorFacts,
};
use super::options::AnalyzeOptions;
use super::values::{self, Values};
use super::{ceiling, redundancy};
use crate::error::Result;
use crate::format::ElementType;
use crate::job::monitor::Monitor;
use crate::job::pipeline;
use crate::job::source_file::SourceFile;
use crate::model::{ReadAt, Tensor};

/// Statistics read this share of the sample; encoding, which is faster, all of it.
const STATISTICS_SHARE: u64 = 4;
/// At least so much is read of each tensor, if there are not too many of them.
const ENOUGH_TENSOR_BYTES: u64 = 256 * 1024;
/// Bytes read at once.
const PIECE_BYTES: u64 = 32 * 1024;
/// Statistics are of the largest tensors of a file only, as each takes about a millisecond.
const ENOUGH_TENSORS: usize = 2048;
/// Values that are listed as the most frequent ones.
const FREQUENT: usize = 6;

/// The tensors that are looked at, by place, and all others.
fn largest(tensors: &[Tensor]) -> (Vec<&Tensor>, Vec<&Tensor>) {
    let mut by_size: Vec<&Tensor> = tensors.iter().collect();
    by_size.sort_by_key(|tensor| std::cmp::Reverse(tensor.range.end - tensor.range.start));
    let rest = by_size.split_off(by_size.len().min(ENOUGH_TENSORS));
    by_size.sort_by_key(|tensor| tensor.range.start);
    (by_size, rest)
}

/// Counts of all files so far.
#[derive(Default)]
pub(super) struct Gathered {
    tensors: Vec<TensorFacts>,
    dtypes: BTreeMap<String, Dtype>,
    correlations: Vec<f64>,
    sampled_bytes: u64,
}

struct Dtype {
    element: ElementType,
    counts: Counts<f64>,
    wide: Values,
    tensors: usize,
    parameters: u64,
    bytes: u64,
    sampled: u64,
}

struct Worker {
    next: usize,
    counts: Counts<u32>,
    wide: Values,
    piece: Vec<u8>,
}

impl Gathered {
    pub fn add(
        &mut self,
        source: &SourceFile,
        file: usize,
        tensors: &[Tensor],
        options: &AnalyzeOptions,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let (tensors, rest) = largest(tensors);
        for tensor in rest {
            self.dtype(tensor).add(tensor);
        }
        let budget = options.sample_bytes / STATISTICS_SHARE;
        let least = (budget / tensors.len().max(1) as u64).clamp(PIECE_BYTES, ENOUGH_TENSOR_BYTES);
        let data_bytes: u64 = tensors.iter().map(|t| t.range.end - t.range.start).sum();
        let mut next = 0;
        let workers = (0..options.threads.get())
            .map(|_| Worker {
                next: 0,
                counts: Counts::new(ElementType::Bytes),
                wide: Values::default(),
                piece: Vec::new(),
            })
            .collect();
        pipeline::run(
            workers,
            monitor.cancel,
            |worker| {
                worker.next = next;
                next += 1;
                Ok(worker.next < tensors.len())
            },
            |worker| {
                let tensor = tensors[worker.next];
                let bytes = tensor.range.end - tensor.range.start;
                let share = u128::from(budget) * u128::from(bytes) / u128::from(data_bytes.max(1));
                let wanted = u64::try_from(share).unwrap_or(u64::MAX).max(least);
                worker.count(source, tensor, wanted)
            },
            |worker| {
                self.merge(file, tensors[worker.next], worker);
                Ok(())
            },
        )?;
        self.correlations
            .extend(redundancy::redundancy(source, &tensors)?);
        Ok(())
    }

    fn merge(&mut self, file: usize, tensor: &Tensor, worker: &Worker) {
        let element = counted_as(tensor.element);
        let bytes = tensor.range.end - tensor.range.start;
        let elements = bytes / u64::from(element.bytes());
        let sampled = u64::from(worker.counts.elements);
        let weight = elements as f64 / (sampled as f64).max(1.0);
        let counts = worker.counts.weighted(weight);
        let mut wide = Values::default();
        wide.merge(&worker.wide, weight);
        let (layer, role) = redundancy::layer(&tensor.name)
            .map_or((None, tensor.name.clone()), |(layer, role)| {
                (Some(layer), role)
            });
        self.tensors.push(TensorFacts {
            file,
            name: tensor.name.clone(),
            dtype: tensor.dtype.clone(),
            shape: tensor.shape.clone(),
            bytes,
            layer,
            role,
            statistics: statistics(element, &counts, &wide, sampled),
        });
        let dtype = self.dtype(tensor);
        dtype.add(tensor);
        dtype.counts.merge(&counts);
        dtype.wide.merge(&wide, 1.0);
        dtype.sampled += sampled;
        self.sampled_bytes += sampled * u64::from(element.bytes());
    }

    fn dtype(&mut self, tensor: &Tensor) -> &mut Dtype {
        let element = counted_as(tensor.element);
        self.dtypes
            .entry(tensor.dtype.clone())
            .or_insert_with(|| Dtype {
                element,
                counts: Counts::new(element),
                wide: Values::default(),
                tensors: 0,
                parameters: 0,
                bytes: 0,
                sampled: 0,
            })
    }

    /// All that was found.
    pub fn finish(self, files: Vec<FileFacts>, expected: ExpectedLevels) -> Analysis {
        let ceiling_of = |ratio: fn(&Statistics) -> f64| {
            let floats = self.tensors.iter().filter(|tensor| {
                let dtype = self.dtypes.get(&tensor.dtype);
                dtype.is_some_and(|dtype| dtype.element.exponent_bits().is_some())
                    && tensor.statistics.sampled > 0
            });
            let ratios: Vec<_> = floats
                .map(|tensor| (tensor.bytes as f64, ratio(&tensor.statistics)))
                .collect();
            ceiling::ceiling(&ratios)
        };
        let byte_marginal = ceiling_of(|statistics| statistics.byte_marginal);
        let joint = ceiling_of(|statistics| statistics.joint);
        let mut dtypes: Vec<_> = self
            .dtypes
            .into_iter()
            .map(|(name, dtype)| dtype.finish(name))
            .collect();
        dtypes.sort_by_key(|dtype| std::cmp::Reverse(dtype.bytes));
        Analysis {
            original_bytes: files.iter().map(|file| file.bytes).sum(),
            files,
            parameters: dtypes.iter().map(|dtype| dtype.parameters).sum(),
            sampled_bytes: self.sampled_bytes,
            dtypes,
            tensors: self.tensors,
            byte_marginal,
            joint,
            redundancy: redundancy::summary(self.correlations),
            expected,
        }
    }
}

/// What a tensor's bytes are counted as: in records of several fields, each byte is on its own.
const fn counted_as(element: ElementType) -> ElementType {
    if element.is_record() {
        ElementType::Bytes
    } else {
        element
    }
}

impl Dtype {
    fn add(&mut self, tensor: &Tensor) {
        let bytes = tensor.range.end - tensor.range.start;
        self.tensors += 1;
        self.bytes += bytes;
        self.parameters += if tensor.element.is_record() {
            // Of those in a file that is cut off, not more than there can be.
            let elements = tensor.shape.iter().copied().fold(1, u64::saturating_mul);
            elements.min(bytes.saturating_mul(8))
        } else {
            bytes / u64::from(tensor.element.bytes())
        };
    }

    fn finish(self, name: String) -> DtypeFacts {
        let planes = self.counts.planes();
        let shares: Vec<Vec<f64>> = planes
            .iter()
            .map(|plane| {
                let total = plane.iter().sum::<f64>().max(f64::MIN_POSITIVE);
                plane.iter().map(|count| count / total).collect()
            })
            .collect();
        let top = shares.len() - 1;
        let frequent = shares.iter().enumerate().map(|(place, shares)| {
            let mut values: Vec<(u8, f64)> = (0..=u8::MAX).zip(shares.iter().copied()).collect();
            values.sort_by(|a, b| b.1.total_cmp(&a.1));
            let values = values.into_iter().take(FREQUENT).filter(|v| v.1 > 0.0);
            values
                .map(|(value, share)| Frequent {
                    value,
                    share,
                    meaning: (place == top)
                        .then(|| values::meaning_of_top_byte(self.element, value))
                        .flatten(),
                })
                .collect()
        });
        DtypeFacts {
            dtype: name,
            tensors: self.tensors,
            parameters: self.parameters,
            bytes: self.bytes,
            statistics: statistics(self.element, &self.counts, &self.wide, self.sampled),
            frequent: frequent.collect(),
            histograms: shares,
        }
    }
}

impl Worker {
    /// Counts about `wanted` bytes of a tensor.
    fn count(&mut self, source: &SourceFile, tensor: &Tensor, wanted: u64) -> Result<()> {
        let element = counted_as(tensor.element);
        self.counts = Counts::new(element);
        self.wide = Values::default();
        for range in pieces(&tensor.range, wanted) {
            let len = usize::try_from(range.end - range.start).unwrap_or(0);
            self.piece.resize(len, 0);
            source.read_at(&mut self.piece, range.start)?;
            self.counts.add(&self.piece);
            self.wide.add_wide(element, &self.piece);
        }
        Ok(())
    }
}

fn statistics(
    element: ElementType,
    counts: &Counts<f64>,
    wide: &Values,
    sampled: u64,
) -> Statistics {
    let entropy = counts.entropies(sampled as f64);
    let of_wide = || {
        let is_wide = element.exponent_bits().is_some() && element.bytes() > 2;
        is_wide.then(|| wide.clone().finished())
    };
    Statistics {
        sampled,
        byte_marginal: entropy.byte_marginal(),
        joint: entropy.joint_ceiling(),
        values: Values::of_counts(element, counts).or_else(of_wide),
        entropy,
    }
}

/// Pieces spread evenly over a range, `wanted` bytes in all, each starting at a multiple of 8 bytes
/// from the start.
fn pieces(range: &Range<u64>, wanted: u64) -> impl Iterator<Item = Range<u64>> {
    let Range { start, end } = *range;
    let whole = (end - start).div_ceil(PIECE_BYTES);
    let count = wanted.div_ceil(PIECE_BYTES).min(whole);
    (0..count).map(move |i| {
        let number = u128::from(i) * u128::from(whole) / u128::from(count);
        let at = start + u64::try_from(number).unwrap_or(0) * PIECE_BYTES;
        at..end.min(at + PIECE_BYTES)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_in_the_range_and_cover_all_of_it_if_they_may() {
        for len in [0, 1, 32 * 1024, 1_000_001] {
            let all: Vec<_> = pieces(&(8..8 + len), u64::MAX).collect();
            assert_eq!(all.iter().map(|r| r.end - r.start).sum::<u64>(), len);
            for wanted in [1, 100_000] {
                let some: Vec<_> = pieces(&(8..8 + len), wanted).collect();
                assert!(some.is_sorted_by(|a, b| a.end <= b.start));
                assert!(some.iter().all(|r| r.start >= 8 && r.end <= 8 + len));
                let sum = some.iter().map(|r| r.end - r.start).sum::<u64>();
                assert!(sum <= wanted.next_multiple_of(PIECE_BYTES));
            }
        }
    }
}
