//! Counts samples of the tensors of all files, and says what follows from them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::facts::{
    Analysis, DtypeFacts, ExpectedLevels, FileFacts, NumberStatistics, Statistics, TensorFacts,
};
use super::options::AnalyzeOptions;
use super::tally::{Sample, Tally};
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
    tally: Tally,
    tensors: usize,
    parameters: u64,
    bytes: u64,
}

struct Worker {
    next: usize,
    sample: Sample,
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
                sample: Sample::new(ElementType::Bytes),
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
        let element_bytes = u64::from(tensor.element.bytes());
        let bytes = tensor.range.end - tensor.range.start;
        let (layer, role) = redundancy::layer(&tensor.name)
            .map_or((None, tensor.name.clone()), |(layer, role)| {
                (Some(layer), role)
            });
        let dtype = self.dtype(tensor);
        dtype.add(tensor);
        let statistics = dtype
            .tally
            .add(&worker.sample, bytes / element_bytes, bytes);
        self.sampled_bytes += worker.sample.sampled() * element_bytes;
        self.tensors.push(TensorFacts {
            file,
            name: tensor.name.clone(),
            dtype: tensor.dtype.clone(),
            shape: tensor.shape.clone(),
            bytes,
            layer,
            role,
            statistics,
        });
    }

    fn dtype(&mut self, tensor: &Tensor) -> &mut Dtype {
        self.dtypes
            .entry(tensor.dtype.clone())
            .or_insert_with(|| Dtype {
                tally: Tally::new(tensor.element),
                tensors: 0,
                parameters: 0,
                bytes: 0,
            })
    }

    /// The ceiling over all tensors of some kind.
    fn ceiling(
        &self,
        ratio: impl Fn(&Dtype, &Statistics) -> Option<f64>,
    ) -> Option<ceiling::Ceiling> {
        let ratios = self.tensors.iter().filter_map(|tensor| {
            let dtype = self.dtypes.get(&tensor.dtype)?;
            Some((tensor.bytes as f64, ratio(dtype, &tensor.statistics)?))
        });
        ceiling::ceiling(&ratios.collect::<Vec<_>>())
    }

    /// All that was found.
    pub fn finish(self, files: Vec<FileFacts>, expected: ExpectedLevels) -> Analysis {
        let of_floats = |ratio: fn(&NumberStatistics) -> f64| {
            self.ceiling(|dtype, statistics| {
                let numbers = statistics.numbers().filter(|found| found.sampled > 0)?;
                dtype.tally.is_float().then(|| ratio(numbers))
            })
        };
        let byte_marginal = of_floats(|found| found.byte_marginal);
        let joint = of_floats(|found| found.joint);
        let by_field = self.ceiling(|_, statistics| {
            let records = statistics.records().filter(|found| found.sampled > 0);
            records.map(|found| found.by_field)
        });
        let mut dtypes: Vec<_> = self
            .dtypes
            .into_iter()
            .map(|(name, dtype)| dtype.finish(name))
            .collect();
        dtypes.sort_by_key(|dtype| std::cmp::Reverse(dtype.bytes));
        let original_bytes = files.iter().map(|file| file.bytes).sum();
        Analysis {
            original_bytes,
            files,
            parameters: dtypes.iter().map(|dtype| dtype.parameters).sum(),
            sampled_bytes: self.sampled_bytes,
            tensors: self.tensors,
            byte_marginal,
            joint,
            by_field_whole: by_field.map(|_| by_field_whole(original_bytes, &dtypes)),
            by_field,
            dtypes,
            redundancy: redundancy::summary(self.correlations),
            expected,
        }
    }
}

/// Bytes of the files by those that are left if each field of records is coded at order 0, and nothing else.
fn by_field_whole(original_bytes: u64, dtypes: &[DtypeFacts]) -> f64 {
    let records = dtypes
        .iter()
        .filter(|dtype| dtype.statistics.records().is_some());
    let saved =
        records.map(|dtype| dtype.bytes as f64 * (1.0 - 1.0 / dtype.statistics.best_ratio()));
    original_bytes as f64 / (original_bytes as f64 - saved.sum::<f64>()).max(1.0)
}

impl Dtype {
    fn add(&mut self, tensor: &Tensor) {
        let bytes = tensor.range.end - tensor.range.start;
        self.tensors += 1;
        self.bytes += bytes;
        let is_shaped = tensor.element == ElementType::Bytes && !tensor.shape.is_empty();
        let elements = if tensor.element.is_record() || is_shaped {
            // Of those in a file that is cut off, not more than there can be.
            let all = tensor.shape.iter().copied().fold(1, u64::saturating_mul);
            all.min(bytes.saturating_mul(8))
        } else {
            bytes / u64::from(tensor.element.bytes())
        };
        self.parameters = self.parameters.saturating_add(elements);
    }

    fn finish(self, name: String) -> DtypeFacts {
        let histograms = self.tally.histograms();
        let planes = (1..=histograms.len()).zip(&histograms);
        let frequent =
            planes.map(|(place, shares)| self.tally.frequent(shares, place == histograms.len()));
        DtypeFacts {
            dtype: name,
            tensors: self.tensors,
            parameters: self.parameters,
            bytes: self.bytes,
            statistics: self.tally.statistics(),
            frequent: frequent.collect(),
            histograms,
        }
    }
}

impl Worker {
    /// Counts about `wanted` bytes of a tensor.
    fn count(&mut self, source: &SourceFile, tensor: &Tensor, wanted: u64) -> Result<()> {
        self.sample = Sample::new(tensor.element);
        for range in pieces(&tensor.range, wanted, tensor.element.bytes().into()) {
            let len = usize::try_from(range.end - range.start).unwrap_or(0);
            self.piece.resize(len, 0);
            source.read_at(&mut self.piece, range.start)?;
            self.sample.add(&self.piece);
        }
        Ok(())
    }
}

/// Pieces spread evenly over a range, `wanted` bytes in all, each of whole elements but for the end of the
/// range.
fn pieces(
    range: &Range<u64>,
    wanted: u64,
    element_bytes: u64,
) -> impl Iterator<Item = Range<u64>> + use<> {
    let Range { start, end } = *range;
    let piece_bytes = PIECE_BYTES - PIECE_BYTES % element_bytes;
    let whole = (end - start).div_ceil(piece_bytes);
    let count = wanted.div_ceil(piece_bytes).min(whole);
    (0..count).map(move |i| {
        let number = u128::from(i) * u128::from(whole) / u128::from(count);
        let at = start + u64::try_from(number).unwrap_or(0) * piece_bytes;
        at..end.min(at + piece_bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_in_the_range_and_cover_all_of_it_if_they_may() {
        for element_bytes in [1, 8, 18, 34, 210] {
            for len in [0, 1, 32 * 1024, 1_000_001] {
                let all: Vec<_> = pieces(&(8..8 + len), u64::MAX, element_bytes).collect();
                assert_eq!(all.iter().map(|r| r.end - r.start).sum::<u64>(), len);
                for wanted in [1, 100_000] {
                    let some: Vec<_> = pieces(&(8..8 + len), wanted, element_bytes).collect();
                    assert!(some.is_sorted_by(|a, b| a.end <= b.start));
                    assert!(some.iter().all(|r| r.start >= 8 && r.end <= 8 + len));
                    // Records start where one of the tensor starts, and are whole.
                    assert!(
                        some.iter()
                            .all(|r| (r.start - 8).is_multiple_of(element_bytes))
                    );
                    let sum = some.iter().map(|r| r.end - r.start).sum::<u64>();
                    assert!(sum <= wanted + PIECE_BYTES);
                }
            }
        }
    }
}
