//! Looking at a tensor of an archive once more, beside the source: is the bound kept, and how far above the limit is it?

use super::compare::Comparer;
use super::limit::Limit;
use super::options::Setting;
use super::plan::{PlannedTensor, TreatedBlock};
use super::select::{elements, row};
use crate::error::Result;
use crate::format::{LossyMethod, TensorFidelity};
use crate::grid::{Bound, Treatment, values};
use crate::job::monitor::Monitor;
use crate::job::source_file::SourceFile;
use crate::model::{ReadAt, Tensor};
use crate::simd::Simd;

/// Bytes that are looked at between two looks at whether to stop; of longer rows, a row.
const PIECE_BYTES: u64 = 1 << 20;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Bits a number below which no coder of independent numbers keeps the bound.
    pub limit_bits: f64,
    /// Numbers that are past the bound.
    pub past: u64,
}

/// Compares a tensor with the source by what the archive promises of it; nothing where it promises no bound.
///
/// # Errors
/// As `ReadAt::read_at` of both; `Interrupted`.
pub(in crate::job) fn measure(
    source: &SourceFile,
    archived: &impl ReadAt,
    tensor: &Tensor,
    fidelity: &TensorFidelity,
    monitor: &Monitor<'_>,
) -> Result<Option<Measured>> {
    let (bound, setting) = match fidelity.method {
        LossyMethod::ErrorBound | LossyMethod::RelativeBound => (
            Bound::Absolute(fidelity.bound),
            Setting::ErrorBound(fidelity.bound),
        ),
        LossyMethod::RowBound => (
            Bound::Row(fidelity.bound),
            Setting::RowBound(fidelity.bound),
        ),
        LossyMethod::PointwiseBound => (
            Bound::Pointwise(fidelity.bound),
            Setting::PointwiseBound(fidelity.bound),
        ),
        LossyMethod::Int8 | LossyMethod::Int4 => return Ok(None),
    };
    let row = row(tensor);
    let planned = PlannedTensor {
        name: tensor.name.clone(),
        range: tensor.range.clone(),
        element: tensor.element,
        row: u32::try_from(row).unwrap_or(u32::MAX),
        setting,
        is_by_rule: false,
        treatment: Treatment::Bounded {
            bound,
            typical: 0.0,
        },
    };
    let width = u64::from(tensor.element.bytes());
    let piece = (PIECE_BYTES / width / row).max(1) * row;
    let end = elements(tensor);
    let mut comparer = Comparer::default();
    let mut limit = Limit::new(tensor.element, bound);
    let mut past = 0;
    let (simd, mut numbers) = (Simd::detect(), Vec::new());
    let (mut original, mut served) = (Vec::new(), Vec::new());
    let mut first = 0;
    while first < end {
        monitor.check()?;
        let to = (first + piece).min(end);
        served.resize(
            usize::try_from((to - first) * width).unwrap_or(usize::MAX),
            0,
        );
        original.resize(served.len(), 0);
        let place = tensor.range.start + first * width;
        source.read_at(&mut original, place)?;
        archived.read_at(&mut served, place)?;
        let block = TreatedBlock {
            tensor: &planned,
            number: 0,
            first,
            read_from: first,
            read_to: to,
        };
        past += comparer.compare(&block, source, &original, &served)?.past;
        values(simd, tensor.element, &original, &mut numbers);
        for row in numbers.chunks(planned.row as usize) {
            limit.add(row);
        }
        first = to;
    }
    Ok(Some(Measured {
        limit_bits: limit.bits(),
        past,
    }))
}
