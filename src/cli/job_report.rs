//! What commands print: one JSON object, or a few lines for people.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::lossy_report;
use crate::console::size::{self, ratio, show_speed};
use crate::console::text_table::{TextTable, left, right};
use crate::error::Error;
use crate::format::{BaseRecord, FidelitySummary};
use crate::job::{
    Conversion, Inspection, PlaneTotal, Replacement, Replacements, TensorTotal, Verification,
};
use crate::printable::{hex, printable_name};

pub(super) fn conversion_json(
    done: &Conversion,
    lossy: Option<&FidelitySummary>,
    time: Duration,
) -> Value {
    let totals = &done.totals;
    json!({
        "path": done.path.display().to_string(),
        "original_bytes": totals.original_bytes,
        "stored_bytes": totals.stored_bytes,
        "ratio": ratio(totals.original_bytes, totals.stored_bytes),
        "seconds": time.as_secs_f64(),
        "archives": totals.archives,
        "copied": totals.copied,
        "unshrunk": totals.unshrunk,
        "linked": totals.linked,
        "lossy": lossy.map(lossy_report::summary_json),
        "failed": failures_json(&done.failures),
    })
}

pub(super) fn failures_json(failures: &[Error]) -> Vec<String> {
    failures.iter().map(ToString::to_string).collect()
}

pub(super) fn conversion_lines(
    done: &Conversion,
    lossy: Option<&FidelitySummary>,
    time: Duration,
) -> Vec<String> {
    let totals = &done.totals;
    let mut text = format!(
        "{}: original {}, stored {}, ratio {:.4}, {:.1} s ({})",
        printable_name(&done.path),
        size::show(totals.original_bytes),
        size::show(totals.stored_bytes),
        ratio(totals.original_bytes, totals.stored_bytes),
        time.as_secs_f64(),
        show_speed(totals.original_bytes, time),
    );
    if totals.archives + totals.copied + totals.linked > 1 || totals.unshrunk > 0 {
        text += &format!(
            "; {} archives, {} other files",
            totals.archives, totals.copied
        );
    }
    if totals.unshrunk > 0 {
        text += &format!(
            " ({} of them would not have become smaller)",
            totals.unshrunk
        );
    }
    if totals.linked > 0 {
        text += &format!(", {} more names of these", totals.linked);
    }
    let mut lines = vec![text];
    lines.extend(lossy.map(|summary| format!("lossy: {summary}")));
    lines
}

/// What `--replace --dry-run` tells.
pub(super) fn plan_json(planned: &Replacements) -> Value {
    let files = &planned.files;
    json!({
        "dry_run": true,
        "original_bytes": files.iter().map(|one| one.bytes).sum::<u64>(),
        "files": files.iter().flat_map(|one| one.names.iter().map(|(from, to)| json!({
            "from": from.display().to_string(),
            "to": to.display().to_string(),
            "bytes": one.bytes,
        }))).collect::<Vec<_>>(),
        "failed": failures_json(&planned.failures),
    })
}

pub(super) fn plan_lines(planned: &Replacements) -> Vec<String> {
    let mut lines = Vec::new();
    for Replacement { names, bytes } in &planned.files {
        let mut what = size::show(*bytes);
        for (from, to) in names {
            lines.push(format!(
                "{} ({what}) would be replaced by {}",
                printable_name(from),
                printable_name(to)
            ));
            what = "the same file".into();
        }
    }
    let sum = planned.files.iter().map(|one| one.bytes).sum();
    lines.push(format!(
        "{} files, {}",
        planned.files.len(),
        size::show(sum)
    ));
    lines
}

pub(super) fn verified_json(found: &[Verification], failures: &[Error], time: Duration) -> Value {
    let original_bytes = found.iter().map(|v| v.original_bytes).sum();
    let stored_bytes = found.iter().map(|v| v.stored_bytes).sum();
    json!({
        "original_bytes": original_bytes,
        "stored_bytes": stored_bytes,
        "ratio": ratio(original_bytes, stored_bytes),
        "seconds": time.as_secs_f64(),
        "problems": found.iter().map(|v| v.problem_count).sum::<u64>(),
        "failed": failures_json(failures),
        "archives": found.iter().map(|v| json!({
            "path": v.path.display().to_string(),
            "original_bytes": v.original_bytes,
            "stored_bytes": v.stored_bytes,
            "ok": v.problem_count == 0,
            "lossy": v.lossy.as_ref().map(lossy_report::summary_json),
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

pub(super) fn verified_lines(found: &[Verification], time: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    for archive in found {
        if archive.problem_count == 0 {
            let lossy = archive.lossy.as_ref();
            let lossy = lossy.map_or_else(String::new, |lossy| format!(" (lossy: {lossy})"));
            lines.push(format!("{}: ok{lossy}", printable_name(&archive.path)));
            continue;
        }
        lines.extend(archive.problems.iter().map(ToString::to_string));
        let more = archive.problem_count - archive.problems.len() as u64;
        if more > 0 {
            lines.push(format!(
                "{}: {more} more problems",
                printable_name(&archive.path)
            ));
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
    lines
}

/// Serialized piece by piece: a header may name a million tensors.
pub(super) fn inspection_json<'a>(
    path: &Path,
    found: &'a Inspection,
    time: Duration,
) -> impl Serialize + 'a {
    let superblock = &found.superblock;
    InspectionJson {
        path: path.display().to_string(),
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        ratio: ratio(superblock.original_bytes, superblock.archive_bytes),
        seconds: time.as_secs_f64(),
        sha256: hex(&superblock.sha256),
        fidelity: lossy_report::fidelity_json(found),
        base: found.bases.iter().map(base_json).collect(),
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
        tensors: TensorsJson(found),
        unread: found.unread.as_deref(),
        missing_bytes: found.missing_bytes,
        packed_as_bytes: dtypes_packed_as_bytes(found),
    }
}

#[derive(Serialize)]
struct InspectionJson<'a> {
    path: String,
    original_bytes: u64,
    stored_bytes: u64,
    ratio: f64,
    seconds: f64,
    sha256: String,
    fidelity: Value,
    /// Nothing for an archive that stands for itself.
    base: Vec<Value>,
    block_bytes: u32,
    blocks: u64,
    planes: Vec<Value>,
    tensors: TensorsJson<'a>,
    unread: Option<&'a str>,
    missing_bytes: u64,
    packed_as_bytes: BTreeSet<&'a str>,
}

fn base_json((record, is_there): &(BaseRecord, bool)) -> Value {
    json!({
        "sha256": hex(&record.sha256),
        "original_bytes": record.bytes,
        "name": record.name,
        "found": is_there,
    })
}

struct TensorsJson<'a>(&'a Inspection);

impl Serialize for TensorsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.tensors.iter().map(|total| {
            TensorJson {
                name: &total.tensor.name,
                dtype: &total.tensor.dtype,
                shape: &total.tensor.shape,
                original_bytes: total.tensor.range.end - total.tensor.range.start,
                stored_bytes: total.stored_bytes,
                equal_bytes: total.equal_bytes,
                difference_bytes: total.difference_bytes,
                fidelity: self
                    .0
                    .fidelity_of(&total.tensor)
                    .map(lossy_report::tensor_json),
            }
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
    /// How many of its bytes are equal to a base's, and how many are told by their difference to them.
    equal_bytes: u64,
    difference_bytes: u64,
    /// Nothing for a tensor that is as it was.
    fidelity: Option<Value>,
}

pub(super) fn inspection_lines(path: &Path, found: &Inspection) -> Vec<String> {
    let superblock = &found.superblock;
    let mut lines = vec![
        format!(
            "{}: original {}, stored {}, ratio {:.4}",
            printable_name(path),
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
    if !found.fidelity.is_empty() {
        lines.push(String::new());
        lines.extend(lossy_report::table(found));
    }
    let mut notes = Vec::new();
    notes.extend(lossy_report::notes(found));
    for (record, is_there) in &found.bases {
        let state = if *is_there { "" } else { ", which is missing" };
        notes.push(format!(
            "rests on {} (SHA-256 {}){state}",
            record.name,
            hex(&record.sha256)
        ));
    }
    if let Some(why) = &found.unread {
        notes.push(format!("model: {why}: packed as bytes"));
    }
    let dtypes: Vec<_> = dtypes_packed_as_bytes(found).into_iter().collect();
    if !dtypes.is_empty() {
        notes.push(format!(
            "tensors of types that no codec knows, packed as bytes: {} ({})",
            found.packed_as_bytes().count(),
            dtypes.join(", ")
        ));
    }
    if found.missing_bytes > 0 {
        notes.push(format!(
            "the original is not complete: by its header, its last {} bytes are missing",
            found.missing_bytes
        ));
    }
    if !notes.is_empty() {
        lines.push(String::new());
    }
    lines.extend(notes);
    lines
}

fn dtypes_packed_as_bytes(found: &Inspection) -> BTreeSet<&str> {
    found
        .packed_as_bytes()
        .map(|one| one.dtype.as_str())
        .collect()
}

/// How much of a tensor rests on a base, if any of it does.
fn kin(total: &TensorTotal) -> String {
    let bytes = total.tensor.range.end - total.tensor.range.start;
    let share = |part: u64| part as f64 * 100.0 / bytes as f64;
    if total.equal_bytes + total.difference_bytes == 0 {
        return String::new();
    }
    format!(
        " (equal {:.0} %, difference {:.0} %)",
        share(total.equal_bytes),
        share(total.difference_bytes)
    )
}

fn planes_table(planes: &[PlaneTotal]) -> Vec<String> {
    let mut table = TextTable::new([left(10).after(0), left(17), right(10), right(8), right(12)]);
    table.row(["element", "bits or stream", "codec", "planes", "stored"]);
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
            format!(
                "{} {:?}{}",
                total.tensor.name,
                total.tensor.shape,
                kin(total)
            ),
        ]);
    }
    table.into_lines()
}
