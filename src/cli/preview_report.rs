//! What `pack --dry-run` tells.

use serde_json::{Value, json};

use super::job_report::failures_json;
use crate::console::size::{self, ratio};
use crate::console::text_table::{TextTable, left, right};
use crate::job::{PlannedTensor, Preview, Previews, whole_bytes};
use crate::printable::printable_name;

pub(super) fn previews_json(previews: &Previews) -> Value {
    let (original_bytes, expected_bytes) = sums(previews);
    json!({
        "dry_run": true,
        "original_bytes": original_bytes,
        "expected_bytes": expected_bytes,
        "ratio": ratio(original_bytes, expected_bytes),
        "files": previews.files.iter().map(preview_json).collect::<Vec<_>>(),
        "failed": failures_json(&previews.failures),
    })
}

fn preview_json(preview: &Preview) -> Value {
    let plan = &preview.plan;
    json!({
        "file": preview.path.display().to_string(),
        "original_bytes": preview.original_bytes,
        "expected_bytes": preview.expected.whole(),
        "stays": preview.stays,
        "lossy": plan.tensors.iter().zip(&preview.expected.tensors).map(|(tensor, bytes)| json!({
            "tensor": tensor.name,
            "dtype": tensor.element.name(),
            "setting": tensor.setting_text(),
            "bound": tensor.bound(),
            "original_bytes": original_bytes(tensor),
            "expected_bytes": whole_bytes(*bytes),
        })).collect::<Vec<_>>(),
        "exact": plan.kept.iter().map(|kept| json!({
            "tensor": kept.name,
            "why": kept.why,
        })).collect::<Vec<_>>(),
    })
}

pub(super) fn previews_lines(previews: &Previews) -> Vec<String> {
    let mut lines = Vec::new();
    for preview in &previews.files {
        lines.extend(preview_lines(preview));
    }
    if previews.files.len() != 1 {
        let (original, expected) = sums(previews);
        lines.push(format!(
            "{} files would be packed: {}",
            packed(previews).count(),
            outlook(original, expected)
        ));
    }
    lines
}

pub(super) fn preview_lines(preview: &Preview) -> Vec<String> {
    let plan = &preview.plan;
    let mut lines = Vec::new();
    let mut of_tensors = String::new();
    if !plan.tensors.is_empty() || !plan.kept.is_empty() {
        lines = tensors_table(preview).into_lines();
        of_tensors = format!(
            "{} tensors would be lossy, {} exact; ",
            plan.tensors.len(),
            plan.kept.len()
        );
    }
    let outlook = outlook(preview.original_bytes, preview.expected.whole());
    let stays = if preview.stays {
        "; it would stay as it is"
    } else {
        ""
    };
    lines.push(format!(
        "{}: {of_tensors}{outlook}{stays}",
        printable_name(&preview.path),
    ));
    lines
}

fn tensors_table(preview: &Preview) -> TextTable {
    let plan = &preview.plan;
    let mut table = TextTable::new([
        right(12).after(0),
        right(12),
        right(8),
        left(24).after(2),
        left(0),
    ]);
    table.row(["original", "expected", "bits", "what", "tensor"]);
    for (tensor, bytes) in plan.tensors.iter().zip(&preview.expected.tensors) {
        let bits = bytes * 8.0 / (tensor.elements() as f64).max(1.0);
        table.row([
            &size::show(original_bytes(tensor)),
            &size::show(whole_bytes(*bytes)),
            &format!("{bits:.3}"),
            &tensor.setting_text(),
            &tensor.name,
        ]);
    }
    for kept in &plan.kept {
        table.row(["", "", "", &format!("exact: {}", kept.why), &kept.name]);
    }
    table
}

fn outlook(original: u64, expected: u64) -> String {
    format!(
        "original {}, expected {}, ratio {:.4}",
        size::show(original),
        size::show(expected),
        ratio(original, expected)
    )
}

fn packed(previews: &Previews) -> impl Iterator<Item = &Preview> {
    previews.files.iter().filter(|preview| !preview.stays)
}

/// Bytes of all files that would be packed, and those expected of their archives.
pub(super) fn sums(previews: &Previews) -> (u64, u64) {
    let original = packed(previews).map(|one| one.original_bytes).sum();
    let expected = packed(previews).map(|one| one.expected.whole()).sum();
    (original, expected)
}

fn original_bytes(tensor: &PlannedTensor) -> u64 {
    tensor.range.end - tensor.range.start
}
