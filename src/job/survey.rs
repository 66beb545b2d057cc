//! Before packing at the level `max`, or with loss: learns the scales of a model's matrices from samples of their
//! rows, so that blocks can be coded by them.

use std::ops::Range;
use std::sync::Arc;

use super::kin::KinPlan;
use super::lossy::LossyPlan;
use super::monitor::Monitor;
use super::source_file::SourceFile;
use crate::codec::Level;
use crate::codec::scaled::{Fitter, Model, ModelBuilder, Sample, Segment};
use crate::error::Result;
use crate::format::{BlockSpan, ElementType};
use crate::model::{ReadAt, TypedRange, extents};

/// Elements of a matrix that are looked at: with fewer rows, the error of the column scales shows in
/// the size.
const SAMPLE_ELEMENTS: u64 = 1 << 21;
/// The same of matrices that become levels: tables of these follow from few numbers.
const LEVELS_SAMPLE_ELEMENTS: u64 = 1 << 19;
/// Columns of all matrices, which stay in memory while packing, two bytes each. Matrices behind those
/// are coded without a profile.
const ENOUGH_COLUMNS: usize = 1 << 23;

/// Profiles of the matrices of a model.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// For the encoders; `None` if there is nothing to learn.
    pub model: Option<Arc<Model>>,
    /// For the archive.
    pub profiles: Vec<u8>,
    matrices: Vec<Matrix>,
}

/// A matrix that has a profile.
#[derive(Debug)]
struct Matrix {
    range: Range<u64>,
    element: ElementType,
    columns: u32,
    profile: u32,
}

/// Samples the matrices of a file: at the level `max` all of them, and at other levels but `fast` those that become
/// levels by a plan.
///
/// # Errors
/// `Io` if it cannot be read, `Environment` if it shrinks, `Interrupted`.
pub(super) fn survey(
    source: &SourceFile,
    (plan, kin): (&LossyPlan, &KinPlan),
    level: Level,
    monitor: &Monitor<'_>,
) -> Result<Survey> {
    let wants_all = level == Level::Max;
    if !wants_all && (level == Level::Fast || plan.tensors.is_empty()) {
        return Ok(Survey::default());
    }
    let tensors = extents::matrices(source)?;
    let mut builder = ModelBuilder::default();
    let mut fitter = Fitter::default();
    let mut matrices = Vec::new();
    let mut fields = Vec::new();
    for mut tensor in tensors {
        monitor.check()?;
        // What rests on a base is seldom coded by a profile.
        if kin.covers(&tensor.range) {
            continue;
        }
        let planned = plan.tensor_at(&tensor.range);
        if let Some(planned) = planned {
            if !planned.treatment.has_equal_steps() {
                continue;
            }
            tensor.columns = Some(planned.row.into());
        } else if !wants_all {
            continue;
        }
        let Some((exponent_bits, rows, columns)) = shape(&tensor) else {
            continue;
        };
        let columns_len = columns as usize;
        if builder.total_columns() + columns_len > ENOUGH_COLUMNS {
            break;
        }
        let wanted = if planned.is_some() {
            LEVELS_SAMPLE_ELEMENTS
        } else {
            SAMPLE_ELEMENTS
        };
        sample(source, &tensor, wanted, (rows, columns), &mut fields)?;
        let sample = Sample {
            exponent_bits,
            columns: columns_len,
            fields: &fields,
        };
        matrices.push(Matrix {
            range: tensor.range,
            element: tensor.element,
            columns,
            profile: if planned.is_some() {
                fitter.add_levels(sample, rows, &mut builder)
            } else {
                fitter.add(sample, rows, &mut builder)
            },
        });
    }
    let (model, profiles) = builder.finish().unzip();
    Ok(Survey {
        model: model.map(Arc::new),
        profiles: profiles.unwrap_or_default(),
        matrices,
    })
}

/// Exponent bits, rows and columns of a matrix that may get a profile.
fn shape(tensor: &TypedRange) -> Option<(u8, u64, u32)> {
    let exponent_bits = tensor.element.exponent_bits()?;
    let columns = tensor.columns?;
    let row_bytes = columns.checked_mul(tensor.element.bytes().into())?;
    let rows = (tensor.range.end - tensor.range.start).checked_div(row_bytes)?;
    Fitter::wants(exponent_bits, tensor.element.bytes(), rows, columns).then_some((
        exponent_bits,
        rows,
        u32::try_from(columns).ok()?,
    ))
}

/// Reads the highest 16 bits of the elements of rows spread over a matrix.
fn sample(
    source: &SourceFile,
    tensor: &TypedRange,
    wanted: u64,
    (rows, columns): (u64, u32),
    fields: &mut Vec<u16>,
) -> Result<()> {
    let element_bytes = usize::from(tensor.element.bytes());
    let wanted = (wanted / u64::from(columns)).clamp(1, rows);
    let mut row = vec![0; columns as usize * element_bytes];
    fields.clear();
    for i in 0..wanted {
        // Below 2^21 times the number of rows: both fit.
        let number = i * rows / wanted;
        let at = tensor.range.start + number * row.len() as u64;
        source.read_at(&mut row, at)?;
        fields.extend(row.chunks_exact(element_bytes).map(|element| {
            u16::from_le_bytes([element[element_bytes - 2], element[element_bytes - 1]])
        }));
    }
    Ok(())
}

impl Survey {
    /// The matrices that a block consists of; none if it has nothing to do with any.
    pub(super) fn segments(&self, span: &BlockSpan) -> Vec<Segment> {
        let element_bytes = u64::from(span.element.bytes());
        let first = self
            .matrices
            .partition_point(|matrix| matrix.range.end <= span.range.start);
        let elements_end = span.range.end - (span.range.end - span.range.start) % element_bytes;
        let short = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let mut segments = Vec::new();
        let mut push = |matrix: Option<&Matrix>, from: u64, to: u64| {
            if from < to {
                segments.push(Segment {
                    profile: matrix.map(|matrix| matrix.profile),
                    columns: matrix.map_or(0, |matrix| matrix.columns),
                    first_column: matrix.map_or(0, |matrix| {
                        let before = (from - matrix.range.start) / element_bytes;
                        short(before % u64::from(matrix.columns))
                    }),
                    elements: short((to - from) / element_bytes),
                });
            }
        };
        let mut at = span.range.start;
        for matrix in &self.matrices[first..] {
            if matrix.range.start >= elements_end {
                break;
            }
            let start = matrix.range.start.max(at);
            let end = matrix.range.end.min(elements_end);
            // Only whole elements of the block's kind and on its grid.
            let on_grid = |place: u64| (place - span.range.start).is_multiple_of(element_bytes);
            if matrix.element != span.element
                || !on_grid(start)
                || !on_grid(end)
                || !(start - matrix.range.start).is_multiple_of(element_bytes)
            {
                continue;
            }
            push(None, at, start);
            push(Some(matrix), start, end);
            at = end;
        }
        if at > span.range.start {
            push(None, at, elements_end);
        }
        segments
    }
}
