//! What commands print: one JSON object, or a few lines for people.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::console::size::{self, ratio, show_speed};
use crate::console::text_table::{TextTable, left, right};
use crate::error::Error;
use crate::job::{Inspection, PlaneTotal, Replacement, TensorTotal, Totals, Verification};

pub(super) fn totals_json(to: &Path, totals: &Totals, time: Duration) -> Value {
    json!({
        "path": to.display().to_string(),
        "original_bytes": totals.original_bytes,
        "stored_bytes": totals.stored_bytes,
        "ratio": ratio(totals.original_bytes, totals.stored_bytes),
        "seconds": time.as_secs_f64(),
        "archives": totals.archives,
        "copied": totals.copied,
    })
}

pub(super) fn totals_text(to: &Path, totals: &Totals, time: Duration) -> String {
    let mut text = format!(
        "{}: original {}, stored {}, ratio {:.4}, {:.1} s ({})",
        to.display(),
        size::show(totals.original_bytes),
        size::show(totals.stored_bytes),
        ratio(totals.original_bytes, totals.stored_bytes),
        time.as_secs_f64(),
        show_speed(totals.original_bytes, time),
    );
    if totals.archives + totals.copied > 1 {
        text += &format!(
            "; {} archives, {} other files",
            totals.archives, totals.copied
        );
    }
    text
}

/// What `--replace --dry-run` tells.
pub(super) fn plan_json(replacements: &[Replacement]) -> Value {
    json!({
        "dry_run": true,
        "original_bytes": replacements.iter().map(|one| one.bytes).sum::<u64>(),
        "files": replacements.iter().map(|one| json!({
            "from": one.from.display().to_string(),
            "to": one.to.display().to_string(),
            "bytes": one.bytes,
        })).collect::<Vec<_>>(),
    })
}

pub(super) fn plan_text(replacements: &[Replacement]) -> String {
    let mut text = String::new();
    for Replacement { from, to, bytes } in replacements {
        text += &format!(
            "{} ({}) would be replaced by {}\n",
            from.display(),
            size::show(*bytes),
            to.display()
        );
    }
    let sum = replacements.iter().map(|one| one.bytes).sum();
    text + &format!("{} files, {}", replacements.len(), size::show(sum))
}

pub(super) fn verified_json(found: &[Verification], time: Duration) -> Value {
    let original_bytes = found.iter().map(|v| v.original_bytes).sum();
    let stored_bytes = found.iter().map(|v| v.stored_bytes).sum();
    json!({
        "original_bytes": original_bytes,
        "stored_bytes": stored_bytes,
        "ratio": ratio(original_bytes, stored_bytes),
        "seconds": time.as_secs_f64(),
        "problems": found.iter().map(|v| v.problem_count).sum::<u64>(),
        "archives": found.iter().map(|v| json!({
            "path": v.path.display().to_string(),
            "original_bytes": v.original_bytes,
            "stored_bytes": v.stored_bytes,
            "ok": v.problem_count == 0,
            "problem_count": v.problem_count,
            "problems": v.problems.iter().map(problem_json).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

fn problem_json(problem: &Error) -> Value {
    let Error::Corrupt(damage) = problem else {
        return json!({ "what": problem.to_string() });
    };
    let (block, range) = damage.block.clone().unzip();
    json!({
        "what": damage.what,
        "block": block,
        "offset": range.as_ref().map(|range| range.start),
        "bytes": range.as_ref().map(|range| range.end - range.start),
        "tensor": damage.tensor.as_ref().map(|(first, _)| first),
        "more_tensors": damage.tensor.as_ref().map(|(_, more)| more),
    })
}

pub(super) fn verified_text(found: &[Verification], time: Duration) -> String {
    let mut lines = Vec::new();
    for archive in found {
        if archive.problem_count == 0 {
            lines.push(format!("{}: ok", archive.path.display()));
            continue;
        }
        lines.extend(archive.problems.iter().map(ToString::to_string));
        let more = archive.problem_count - archive.problems.len() as u64;
        if more > 0 {
            lines.push(format!("{}: {more} more problems", archive.path.display()));
        }
    }
    let bytes = found.iter().map(|v| v.original_bytes).sum();
    let damaged = found.iter().filter(|v| v.is_damaged()).count();
    let not_verified = found
        .iter()
        .filter(|v| v.problem_count > 0 && !v.is_damaged())
        .count();
    let not_verified = match not_verified {
        0 => String::new(),
        count => format!(", {count} not verified"),
    };
    lines.push(format!(
        "{} archives, {damaged} damaged{not_verified}; {} decoded in {:.1} s ({})",
        found.len(),
        size::show(bytes),
        time.as_secs_f64(),
        show_speed(bytes, time),
    ));
    lines.join("\n")
}

/// Writes the object piece by piece: a header may name a million tensors.
pub(super) fn write_inspection_json(
    out: impl Write,
    path: &Path,
    found: &Inspection,
    time: Duration,
) -> serde_json::Result<()> {
    let superblock = &found.superblock;
    let object = InspectionJson {
        path: path.display().to_string(),
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        ratio: ratio(superblock.original_bytes, superblock.archive_bytes),
        seconds: time.as_secs_f64(),
        sha256: hex(&superblock.sha256),
        block_bytes: superblock.block_bytes,
        blocks: superblock.block_count,
        planes: found
            .planes
            .iter()
            .map(|plane| {
                json!({
                    "element": plane.element,
                    "bits": plane.bits,
                    "codec": plane.codec.name(),
                    "planes": plane.planes,
                    "stored_bytes": plane.stored_bytes,
                })
            })
            .collect(),
        tensors: TensorsJson(&found.tensors),
    };
    serde_json::to_writer(out, &object)
}

#[derive(Serialize)]
struct InspectionJson<'a> {
    path: String,
    original_bytes: u64,
    stored_bytes: u64,
    ratio: f64,
    seconds: f64,
    sha256: String,
    block_bytes: u32,
    blocks: u64,
    planes: Vec<Value>,
    tensors: TensorsJson<'a>,
}

struct TensorsJson<'a>(&'a [TensorTotal]);

impl Serialize for TensorsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|total| TensorJson {
            name: &total.tensor.name,
            dtype: &total.tensor.dtype,
            shape: &total.tensor.shape,
            original_bytes: total.tensor.range.end - total.tensor.range.start,
            stored_bytes: total.stored_bytes,
        }))
    }
}

#[derive(Serialize)]
struct TensorJson<'a> {
    name: &'a str,
    dtype: &'a str,
    shape: &'a [u64],
    original_bytes: u64,
    stored_bytes: u64,
}

pub(super) fn inspection_text(path: &Path, found: &Inspection) -> String {
    let superblock = &found.superblock;
    let mut lines = vec![
        format!(
            "{}: original {}, stored {}, ratio {:.4}",
            path.display(),
            size::show(superblock.original_bytes),
            size::show(superblock.archive_bytes),
            ratio(superblock.original_bytes, superblock.archive_bytes),
        ),
        format!("sha256 {}", hex(&superblock.sha256)),
        format!(
            "{} blocks of up to {}",
            superblock.block_count,
            size::show(superblock.block_bytes.into()),
        ),
        String::new(),
    ];
    lines.extend(planes_table(&found.planes));
    if !found.tensors.is_empty() {
        lines.push(String::new());
        lines.extend(tensors_table(&found.tensors));
    }
    lines.join("\n")
}

fn planes_table(planes: &[PlaneTotal]) -> Vec<String> {
    let mut table = TextTable::new([left(10).after(0), right(8), right(10), right(8), right(12)]);
    table.row(["element", "bits", "codec", "planes", "stored"]);
    for plane in planes {
        table.row([
            plane.element,
            &plane.bits,
            plane.codec.name(),
            &plane.planes.to_string(),
            &size::show(plane.stored_bytes),
        ]);
    }
    table.into_lines()
}

fn tensors_table(tensors: &[TensorTotal]) -> Vec<String> {
    let mut table = TextTable::new([
        right(12).after(0),
        right(12),
        right(7),
        left(8).after(2),
        left(0),
    ]);
    table.row(["original", "stored", "ratio", "dtype", "tensor"]);
    for total in tensors {
        let bytes = total.tensor.range.end - total.tensor.range.start;
        table.row([
            size::show(bytes),
            size::show(total.stored_bytes),
            format!("{:.3}", ratio(bytes, total.stored_bytes)),
            total.tensor.dtype.clone(),
            format!("{} {:?}", total.tensor.name, total.tensor.shape),
        ]);
    }
    table.into_lines()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
