//! What commands print of lossy tensors.

use serde_json::{Value, json};

use crate::archive::ArchiveReader;
use crate::console::text_table::{TextTable, left, right};
use crate::format::{FidelitySummary, TensorFidelity};
use crate::job::{Conversion, Inspection};
use crate::printable::hex;

pub(super) fn summary_json(summary: &FidelitySummary) -> Value {
    json!({
        "tensors": summary.tensors,
        "elements": summary.elements,
        "stored_bytes": summary.stored_bytes,
        "bits": summary.bits(),
        "settings": summary.settings,
        "greatest_error": summary.greatest_error,
        "rms_error": summary.root_mean_square_error,
    })
}

pub(super) fn fidelity_json(found: &Inspection) -> Value {
    let summary = FidelitySummary::of(&found.fidelity);
    let Some(lossy) = found.superblock.lossy else {
        return json!({ "exact": true });
    };
    json!({
        "exact": false,
        "source_sha256": hex(&lossy.source_sha256),
        "lossy": summary.as_ref().map(summary_json),
    })
}

pub(super) fn tensor_json(record: &TensorFidelity) -> Value {
    json!({
        "method": record.method.name(),
        "parameter": record.parameter,
        "group": record.group,
        "bound": record.bound,
        "greatest_error": record.greatest_error,
        "mean_error": record.mean_error,
        "rms_error": record.root_mean_square_error,
        "elements": record.elements,
        "exact_elements": record.exact,
        "stored_bytes": record.stored_bytes,
        "bits": record.stored_bytes as f64 * 8.0 / (record.elements as f64).max(1.0),
    })
}

/// What is told of an archive that is lossy.
pub(super) fn notes(found: &Inspection) -> Vec<String> {
    let summary = FidelitySummary::of(&found.fidelity);
    let (Some(lossy), Some(summary)) = (&found.superblock.lossy, summary) else {
        return Vec::new();
    };
    vec![
        format!("lossy: {summary}"),
        format!(
            "what it was made from is another file: sha256 {}",
            hex(&lossy.source_sha256)
        ),
    ]
}

/// What the archive says that was made of a file, if it is lossy.
pub(super) fn fidelity_of(done: &Conversion) -> Option<FidelitySummary> {
    if !done.path.is_file() {
        return None;
    }
    // What was unpacked is no archive.
    let reader = ArchiveReader::open(&done.path).ok()?;
    FidelitySummary::of(&reader.fidelity().ok()?)
}

/// The lossy tensors of an archive, with their errors.
pub(super) fn table(found: &Inspection) -> Vec<String> {
    let mut table = TextTable::new([
        left(16).after(0),
        right(10),
        right(8),
        right(12),
        right(12),
        right(12),
        left(0).after(2),
    ]);
    table.row([
        "lossy by",
        "parameter",
        "bits",
        "greatest",
        "mean",
        "RMS error",
        "tensor",
    ]);
    for total in &found.tensors {
        let Some(record) = found.fidelity_of(&total.tensor) else {
            continue;
        };
        let parameter = if record.group > 0 {
            format!("{}", record.group)
        } else {
            format!("{}", record.parameter)
        };
        let bits = record.stored_bytes as f64 * 8.0 / (record.elements as f64).max(1.0);
        table.row([
            record.method.name(),
            &parameter,
            &format!("{bits:.3}"),
            &format!("{:.4e}", record.greatest_error),
            &format!("{:.4e}", record.mean_error),
            &format!("{:.4e}", record.root_mean_square_error),
            &total.tensor.name,
        ]);
    }
    table.into_lines()
}
