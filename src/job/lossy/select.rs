//! Which tensors become lossy: all large matrices for bounds, those of attention, MLP and dense layers for levels
//! of few bits, and what is named.

use super::options::{LossyOptions, Setting};
use crate::format::ElementType;
use crate::model::{Tensor, TensorKind};

/// Smaller tensors are a small part of any model, and often norms and biases in disguise.
const ENOUGH_ELEMENTS: u64 = 4096;
/// Rows shorter than this are taken together with their neighbours of the dimension before: kernels of
/// convolutions.
const ENOUGH_COLUMNS: u64 = 32;
/// Longer rows are not looked at as a whole for each block that has a part of them.
const MOST_COLUMNS: u64 = 1 << 20;

/// What is to be done to a tensor, or why nothing is.
pub(super) enum Choice {
    Lossy {
        setting: Setting,
        /// Whether a rule says so.
        is_by_rule: bool,
    },
    /// In words.
    Exact(&'static str),
}

/// What is to be done to a tensor, where `setting` is done to those that nothing else is said of.
pub(super) fn choose(tensor: &Tensor, setting: Setting, options: &LossyOptions) -> Choice {
    let is_float = matches!(
        tensor.element,
        ElementType::F16 | ElementType::Bf16 | ElementType::F32 | ElementType::F64
    );
    let rule = options.rules.iter().find(|rule| rule.is_for(&tensor.name));
    let is_named = options.includes(&tensor.name);
    let setting = rule.map_or(setting, |rule| rule.setting);
    let lossy = Choice::Lossy {
        setting,
        is_by_rule: rule.is_some(),
    };
    let elements = elements(tensor);
    let row = row(tensor);
    if options.excludes(&tensor.name) {
        Choice::Exact("excluded")
    } else if setting == Setting::Exact {
        Choice::Exact("by a rule")
    } else if !is_float {
        Choice::Exact("no F16, BF16, F32 or F64")
    } else if elements == 0 || u32::try_from(row).is_err() {
        Choice::Exact("of a shape that is not made lossy")
    } else if matches!(setting, Setting::RowBound(_)) && row > MOST_COLUMNS {
        Choice::Exact("its rows are too long")
    } else if is_named {
        lossy
    } else if tensor.shape.len() < 2 {
        Choice::Exact("no matrix")
    } else if elements < ENOUGH_ELEMENTS {
        Choice::Exact("small")
    } else if matches!(setting, Setting::Quantize { .. }) && is_kept(&tensor.name) {
        Choice::Exact("an embedding, a norm, a bias or a head")
    } else {
        lossy
    }
}

/// Whether it stays when levels of few bits are asked for.
fn is_kept(name: &str) -> bool {
    let kept = [TensorKind::Embedding, TensorKind::Norm, TensorKind::Head];
    kept.contains(&TensorKind::of(name)) || name.contains("bias")
}

/// Numbers of a tensor, of those that are whole.
pub(super) fn elements(tensor: &Tensor) -> u64 {
    let bytes = u64::from(tensor.element.bytes());
    let len = tensor.range.end - tensor.range.start;
    if len.is_multiple_of(bytes) {
        len / bytes
    } else {
        0
    }
}

/// Numbers of a row: neighbours that share a scale or a bound.
pub(super) fn row(tensor: &Tensor) -> u64 {
    let mut row = 1u64;
    for &dimension in tensor.shape.iter().rev() {
        row = row.saturating_mul(dimension);
        if row >= ENOUGH_COLUMNS {
            break;
        }
    }
    row.max(1)
}
