//! The plan: what is done to each tensor of a model.

use std::ops::Range;

use super::errors::Errors;
use super::options::{LossyOptions, Setting};
use super::select::{Choice, choose, elements, row};
use crate::error::Result;
use crate::format::{
    BlockSpan, ElementType, FIDELITY_BYTES, LossyMethod, MAX_EXTENTS, MAX_GROUP_LEVEL,
    TensorFidelity,
};
use crate::grid::{Bound, Treatment, root_mean_square, values};
use crate::job::monitor::Monitor;
use crate::job::source_file::SourceFile;
use crate::model::{self, ReadAt, Tensor};
use crate::simd::Simd;

/// Numbers of a tensor that its root mean square is judged by.
const SAMPLE_ELEMENTS: u64 = 1 << 16;
/// Places that they are taken from.
const SAMPLE_PLACES: u64 = 64;
/// Bytes that are read at a time where all of a tensor is.
const READ_BYTES: u64 = 1 << 20;
/// Tensors that become lossy: each has an extent of its own, and so may have what lies between two.
const MOST_TENSORS: usize = (MAX_EXTENTS / 4) as usize;
/// Farthest level of 4 bits.
const INT4_MOST: u32 = 7;

/// A tensor that becomes lossy.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTensor {
    /// Its name.
    pub name: String,
    /// Its place in the file.
    pub range: Range<u64>,
    /// What its numbers are.
    pub element: ElementType,
    /// Numbers of a row.
    pub row: u32,
    /// What was asked for.
    pub setting: Setting,
    /// Whether a rule asks for that, and not what is asked for all that no rule is for.
    pub is_by_rule: bool,
    /// How that is done.
    pub treatment: Treatment,
}

/// A tensor that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTensor {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: &'static str,
}

/// What is done to the tensors of a file.
#[derive(Debug, Clone, Default)]
pub struct LossyPlan {
    /// Those that become lossy, by place; none overlaps another.
    pub tensors: Vec<PlannedTensor>,
    /// All others.
    pub kept: Vec<KeptTensor>,
}

impl PlannedTensor {
    /// Its numbers.
    pub fn elements(&self) -> u64 {
        (self.range.end - self.range.start) / u64::from(self.element.bytes())
    }

    /// About the root mean square of its numbers; 0 where that was not looked at.
    pub(in crate::job) const fn typical(&self) -> f64 {
        match self.treatment {
            Treatment::Bounded { typical, .. } => typical,
            Treatment::Groups { .. } => 0.0,
        }
    }

    /// The method, as archives name it.
    pub fn method(&self) -> LossyMethod {
        let method = self.setting.method();
        method.expect("invariant: a planned tensor is not exact")
    }

    /// Numbers of a group; 0 if there are none.
    const fn group(&self) -> u32 {
        match self.treatment {
            Treatment::Groups { group, .. } => group,
            Treatment::Bounded { .. } => 0,
        }
    }

    /// What was asked for, as settings are written.
    pub fn setting_text(&self) -> String {
        self.method()
            .setting(self.setting.parameter(), self.group())
    }

    /// The bound in force, in the unit of the method; 0 if there is none.
    pub const fn bound(&self) -> f64 {
        match self.treatment {
            Treatment::Bounded { bound, .. } => match bound {
                Bound::Absolute(bound) | Bound::Row(bound) | Bound::Pointwise(bound) => bound,
            },
            Treatment::Groups { .. } => 0.0,
        }
    }

    /// The record that its archive has of it.
    pub(in crate::job) fn fidelity(&self, errors: &Errors, stored_bytes: u64) -> TensorFidelity {
        let elements = self.elements();
        TensorFidelity {
            start: self.range.start,
            elements,
            method: self.method(),
            group: self.group(),
            parameter: self.setting.parameter(),
            bound: self.bound(),
            greatest_error: errors.greatest,
            mean_error: errors.sum / elements as f64,
            root_mean_square_error: (errors.square_sum / elements as f64).sqrt(),
            stored_bytes,
            exact: errors.exact,
        }
    }
}

/// A block of a tensor that becomes lossy.
#[derive(Debug, Clone, Copy)]
pub(in crate::job) struct TreatedBlock<'p> {
    pub tensor: &'p PlannedTensor,
    /// Which of the plan's tensors it is.
    pub number: usize,
    /// First element of the block in the tensor.
    pub first: u64,
    /// First element of what is read, so that parts of rows are whole.
    pub read_from: u64,
    /// End of what is read.
    pub read_to: u64,
}

impl TreatedBlock<'_> {
    /// Reads its numbers and what completes parts of rows.
    pub fn read(&self, source: &SourceFile, buffer: &mut Vec<u8>) -> Result<()> {
        let width = u64::from(self.tensor.element.bytes());
        let bytes = (self.read_to - self.read_from) * width;
        buffer.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0);
        source.read_at(buffer, self.tensor.range.start + self.read_from * width)
    }

    /// Whether what is promised of its so many numbers depends on others of their rows.
    pub fn is_bound_by_more_than(&self, count: usize) -> bool {
        let is_by_row = matches!(
            self.tensor.treatment,
            Treatment::Bounded {
                bound: Bound::Row(_),
                ..
            }
        );
        is_by_row && self.read_to - self.read_from > count as u64
    }

    /// Elements of the block.
    pub fn elements(&self, span: &BlockSpan) -> u64 {
        (span.range.end - span.range.start) / u64::from(self.tensor.element.bytes())
    }

    /// Elements that are read before the block's first.
    pub fn before(&self) -> usize {
        usize::try_from(self.first - self.read_from).unwrap_or(usize::MAX)
    }

    /// Place of the block's first element in its row.
    pub fn first_column(&self) -> u32 {
        u32::try_from(self.first % u64::from(self.tensor.row)).unwrap_or(0)
    }
}

impl LossyPlan {
    /// The tensor that a block is of, if that becomes lossy.
    pub(in crate::job) fn block(&self, span: &BlockSpan) -> Option<TreatedBlock<'_>> {
        let number = self
            .tensors
            .partition_point(|tensor| tensor.range.end <= span.range.start);
        let tensor = self.tensors.get(number)?;
        let is_of_it = tensor.range.start <= span.range.start && span.range.end <= tensor.range.end;
        if !is_of_it || tensor.element != span.element {
            return None;
        }
        let width = u64::from(tensor.element.bytes());
        let element = |place: u64| (place - tensor.range.start) / width;
        let run = element(span.range.start)..element(span.range.end);
        let whole = tensor
            .treatment
            .whole_parts(tensor.row.into(), run.clone(), tensor.elements());
        Some(TreatedBlock {
            tensor,
            number,
            first: run.start,
            read_from: whole.start,
            read_to: whole.end,
        })
    }

    /// The same with another bound, of the same kind, for all tensors that no rule is for.
    pub(in crate::job) fn with_bound(&self, setting: Setting) -> Self {
        let mut plan = self.clone();
        for tensor in plan.tensors.iter_mut().filter(|tensor| !tensor.is_by_rule) {
            if let (Treatment::Bounded { bound, .. }, Some(other)) =
                (&mut tensor.treatment, setting.bound())
            {
                *bound = other;
                tensor.setting = setting;
            }
        }
        plan
    }

    /// The tensor that has such a place, if it becomes lossy.
    pub(in crate::job) fn tensor_at(&self, range: &Range<u64>) -> Option<&PlannedTensor> {
        let start = |tensor: &PlannedTensor| tensor.range.start;
        let found = self
            .tensors
            .binary_search_by_key(&range.start, start)
            .ok()?;
        Some(&self.tensors[found]).filter(|tensor| tensor.range == *range)
    }

    /// Bytes of the records of its tensors in an archive.
    pub(in crate::job) const fn fidelity_bytes(&self) -> usize {
        self.tensors.len() * FIDELITY_BYTES
    }

    /// Places where no block is to go on over, sorted: each lossy tensor has blocks of its own.
    pub(in crate::job) fn cuts(&self) -> Vec<u64> {
        let ends = |tensor: &PlannedTensor| [tensor.range.start, tensor.range.end];
        let mut cuts: Vec<_> = self.tensors.iter().flat_map(ends).collect();
        cuts.dedup();
        cuts
    }
}

/// Plans what is done to the tensors of a file, `setting` to those that nothing else is said of. Nothing is done to
/// a file that is no model.
///
/// # Errors
/// As `ReadAt::read_at`; `Interrupted`.
pub(in crate::job) fn plan(
    source: &SourceFile,
    setting: Setting,
    options: &LossyOptions,
    monitor: &Monitor<'_>,
) -> Result<LossyPlan> {
    let tensors = model::read(source)?.map_or_else(Vec::new, |header| header.tensors);
    let mut plan = LossyPlan::default();
    // For each the start of the next one that is not empty, the last one first.
    let mut next_starts = Vec::with_capacity(tensors.len());
    let mut next = u64::MAX;
    for tensor in tensors.iter().rev() {
        next_starts.push(next);
        if !tensor.range.is_empty() {
            next = tensor.range.start;
        }
    }
    let mut end = 0;
    for tensor in &tensors {
        monitor.check()?;
        let next = next_starts.pop().unwrap_or(u64::MAX);
        // What is changed in one of two that overlap is changed in the other.
        let is_free = tensor.range.start >= end && next >= tensor.range.end;
        end = end.max(tensor.range.end);
        let choice = if !is_free {
            Choice::Exact("it overlaps another tensor")
        } else if plan.tensors.len() >= MOST_TENSORS {
            Choice::Exact("one of too many")
        } else {
            choose(tensor, setting, options)
        };
        match choice {
            Choice::Exact(why) => plan.kept.push(KeptTensor {
                name: tensor.name.clone(),
                why,
            }),
            Choice::Lossy {
                setting,
                is_by_rule,
            } => plan.tensors.push(PlannedTensor {
                name: tensor.name.clone(),
                range: tensor.range.clone(),
                element: tensor.element,
                row: u32::try_from(row(tensor)).unwrap_or(u32::MAX),
                setting,
                is_by_rule,
                treatment: treatment(source, tensor, setting)?,
            }),
        }
    }
    Ok(plan)
}

fn treatment(source: &SourceFile, tensor: &Tensor, setting: Setting) -> Result<Treatment> {
    if let Setting::Quantize {
        is_int4,
        group,
        fit,
    } = setting
    {
        let most = if is_int4 { INT4_MOST } else { MAX_GROUP_LEVEL };
        return Ok(Treatment::Groups { most, group, fit });
    }
    let bound = match (setting, setting.bound()) {
        (Setting::RelativeBound(share), _) => {
            // Of a constant tensor nothing is left to change.
            let bound = share * range_of(source, tensor)?;
            Bound::Absolute(bound.clamp(f64::MIN_POSITIVE, f64::MAX))
        }
        (_, Some(bound)) => bound,
        _ => Bound::Absolute(f64::MIN_POSITIVE),
    };
    let typical = root_mean_square(Simd::detect(), &sample(source, tensor)?);
    Ok(Treatment::Bounded { bound, typical })
}

/// The difference of the greatest and the least finite number.
fn range_of(source: &SourceFile, tensor: &Tensor) -> Result<f64> {
    let mut bytes = Vec::new();
    let mut numbers = Vec::new();
    let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
    let simd = Simd::detect();
    let mut at = tensor.range.start;
    while at < tensor.range.end {
        let len = (tensor.range.end - at).min(READ_BYTES);
        bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        source.read_at(&mut bytes, at)?;
        values(simd, tensor.element, &bytes, &mut numbers);
        for number in numbers.iter().filter(|number| number.is_finite()) {
            least = number.min(least);
            greatest = number.max(greatest);
        }
        at += len;
    }
    Ok((greatest - least).max(0.0))
}

/// Numbers from places spread over a tensor.
fn sample(source: &SourceFile, tensor: &Tensor) -> Result<Vec<f64>> {
    let width = u64::from(tensor.element.bytes());
    let elements = elements(tensor);
    let simd = Simd::detect();
    let mut all = Vec::new();
    let mut bytes = Vec::new();
    let mut numbers = Vec::new();
    let places = if elements <= SAMPLE_ELEMENTS {
        1
    } else {
        SAMPLE_PLACES
    };
    let len = elements.min(SAMPLE_ELEMENTS) / places;
    for place in 0..places {
        let first = (elements - len) / places.max(2).saturating_sub(1) * place;
        bytes.resize(usize::try_from(len * width).unwrap_or(0), 0);
        source.read_at(&mut bytes, tensor.range.start + first * width)?;
        values(simd, tensor.element, &bytes, &mut numbers);
        all.extend(&numbers);
    }
    Ok(all)
}
