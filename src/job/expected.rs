//! What packing a file by a plan will take, by encoding a sample of it.

use super::encode_worker::EncodeWorker;
use super::kin::KinPlan;
use super::lossy::LossyPlan;
use super::monitor::Monitor;
use super::pack_options::PackOptions;
use super::pipeline;
use super::source_file::SourceFile;
use super::survey::Survey;
use crate::error::Result;
use crate::format::{Extent, Geometry, SUPERBLOCK_BYTES, TableLengths};

/// Bytes of a file that are encoded where not less will do.
pub(super) const SAMPLE_BYTES: u64 = 128 << 20;

/// What a file will take.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExpectedBytes {
    /// For each tensor of the plan its bytes, about.
    pub tensors: Vec<f64>,
    /// All that is of no tensor of the plan, and what an archive has beside its blocks.
    pub rest: f64,
    /// Whether all of it was encoded.
    pub(super) is_whole: bool,
}

impl ExpectedBytes {
    /// Bytes of the archive, about.
    pub fn total(&self) -> f64 {
        self.tensors.iter().sum::<f64>() + self.rest
    }

    /// The same as a whole number.
    pub fn whole(&self) -> u64 {
        whole(self.total())
    }
}

/// Bytes as a whole number.
pub fn whole(bytes: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of a file, rounded"
    )]
    let whole = bytes.max(0.0).round() as u64;
    whole
}

/// Encodes a sample of a file, laid out in extents, by a plan: of each extent a block, and of about so many bytes in all.
///
/// # Errors
/// `Io` if the file cannot be read, `Environment` if it shrinks, `Interrupted`.
pub(super) fn expect(
    source: &SourceFile,
    extents: &[Extent],
    (plan, kin): (&LossyPlan, &KinPlan),
    survey: &Survey,
    sample_bytes: u64,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<ExpectedBytes> {
    let block_bytes = options.block_bytes_beside(kin);
    let geometry = Geometry::new(block_bytes, extents)?;
    let every = geometry.original_bytes().div_ceil(sample_bytes).max(1);
    // Without tensors that are told apart, extents are as good as one another.
    let budget = (sample_bytes / u64::from(block_bytes)).max(1);
    let extents_apart = if plan.tensors.is_empty() {
        (geometry.extents().len() as u64).div_ceil(budget).max(1)
    } else {
        1
    };
    let sampled = geometry
        .extents()
        .step_by(usize::try_from(extents_apart).unwrap_or(usize::MAX));
    let mut blocks = sampled.flat_map(|extent| {
        let block_at = |offset| geometry.block_at(offset).unwrap_or(0);
        let (first, last) = (block_at(extent.start), block_at(extent.end() - 1));
        let count = last - first + 1;
        // From the middle of each run of so many: the first block of a tensor is often a short one.
        let step = every.min(count);
        (0..count / step).map(move |run| first + run * step + step / 2)
    });
    // For each tensor, and last for all else: bytes that were encoded, and what they take.
    let mut sums = vec![(0u64, 0u64); plan.tensors.len() + 1];
    let workers = (0..options.threads.get())
        .map(|_| Ok(EncodeWorker::new(options.encoder(survey)?, kin)))
        .collect::<Result<Vec<_>>>()?;
    pipeline::run(
        workers,
        monitor.cancel,
        |worker| {
            let Some(span) = blocks.next().and_then(|block| geometry.block(block)) else {
                return Ok(false);
            };
            worker.take(span, source, survey, plan)?;
            Ok(true)
        },
        EncodeWorker::encode,
        |worker| {
            let number = plan.block(&worker.span).map(|block| block.number);
            let (bytes, stored) = &mut sums[number.unwrap_or(plan.tensors.len())];
            *bytes += worker.span.buffer_bytes() as u64;
            *stored += worker.stored.len() as u64;
            Ok(())
        },
    )?;
    let lengths = TableLengths {
        extents: geometry.extents().len() as u64,
        blocks: geometry.block_count(),
        profiles_bytes: survey.profiles.len() as u64,
        fidelity_bytes: plan.fidelity_bytes() as u64,
        bases_bytes: 0,
        hashes_bytes: 0,
    };
    let tables = 2 * (SUPERBLOCK_BYTES as u64 + lengths.total().unwrap_or(0));
    let scaled = |(bytes, stored): (u64, u64), all: u64| {
        stored as f64 * all as f64 / (bytes as f64).max(1.0)
    };
    let of_tensors = plan
        .tensors
        .iter()
        .map(|tensor| tensor.range.end - tensor.range.start);
    let others = geometry.original_bytes() - of_tensors.clone().sum::<u64>();
    Ok(ExpectedBytes {
        tensors: sums
            .iter()
            .zip(of_tensors)
            .map(|(&sum, all)| scaled(sum, all))
            .collect(),
        rest: tables as f64 + scaled(sums[plan.tensors.len()], others),
        is_whole: every == 1 && extents_apart == 1,
    })
}
