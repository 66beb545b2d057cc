//! What the reports of `analyze` say alike: words for shares, levels, and whether to pack.

use crate::console::size;
use crate::job::{Analysis, DtypeFacts, Expected, TensorFacts};

/// Below this, what is saved does not make up for the trouble.
const WORTH_IT_RATIO: f64 = 1.05;

/// Whether to pack, in one sentence.
pub(super) fn advice(found: &Analysis) -> String {
    let Expected { ratio, .. } = found.expected.default;
    if found.original_bytes == 0 {
        "There is nothing to pack.".into()
    } else if ratio < WORTH_IT_RATIO {
        format!(
            "Packing is hardly worth it: {} of {} would be saved.",
            percent(1.0 - 1.0 / ratio),
            size::show(found.original_bytes)
        )
    } else {
        let saved = found
            .original_bytes
            .saturating_sub(found.expected.default.stored_bytes);
        format!(
            "Packing saves {} of {} ({}).",
            size::show(saved),
            size::show(found.original_bytes),
            percent(1.0 - 1.0 / ratio)
        )
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `part` of `whole` as a percentage, with more digits for small shares.
pub(super) fn share(part: f64, whole: f64) -> String {
    let share = 100.0 * part / whole.max(1.0);
    match share {
        0.0 => "0 %".into(),
        0.1.. => format!("{share:.2} %"),
        0.0005.. => format!("{share:.4} %"),
        _ => format!("{share:.1e} %"),
    }
}

pub(super) fn tensors_of(dtype: &DtypeFacts) -> String {
    match dtype.tensors {
        1 => "1 tensor".into(),
        count => format!("{count} tensors"),
    }
}

/// All tensors, the largest first.
pub(super) fn largest_tensors(found: &Analysis) -> Vec<&TensorFacts> {
    let mut largest: Vec<_> = found.tensors.iter().collect();
    largest.sort_by_key(|tensor| std::cmp::Reverse(tensor.bytes));
    largest
}

/// The levels by name.
pub(super) fn levels(found: &Analysis) -> [(&'static str, Expected); 3] {
    [
        ("fast", found.expected.fast),
        ("default", found.expected.default),
        ("max", found.expected.max),
    ]
}
