//! Commands on archives that rest on one another.

use std::time::Instant;

use serde_json::{Value, json};

use super::args::PackArgs;
use super::commands::{pack_options, report, tell_failures, unless_nobody_reads};
use super::family_args::{DedupArgs, ExportArgs, FamilyArgs, GcArgs};
use super::{in_mount, job_report};
use crate::console::size::{self, ratio};
use crate::console::{Outcome, Stop, print_as, watched};
use crate::error::Result;
use crate::job::{
    self, Collected, Dedup, DedupOptions, PackOptions, Pin, Relation, Relations, Rest,
};
use crate::printable::{hex, printable_name};
use crate::sync::cores;

/// Digits of a SHA-256 that are shown to people.
const SHORT_HEX: usize = 12;

pub(super) fn family(args: &FamilyArgs) -> Result<Outcome> {
    let dir = in_mount::archives_behind(&args.dir)?;
    let mut found = watched("looking", &Stop::on_signals()?, |monitor| {
        job::relations(&dir, &args.bases.search(), monitor)
    })?;
    found.failures.append(&mut found.unread_pins);
    tell_failures(&found.failures);
    unless_nobody_reads(print_as(
        args.json,
        || relations_json(&found),
        || relations_lines(&found),
    ))?;
    let is_missing = |one: &Relation| one.rests_on.iter().any(|rest| rest.found.is_none());
    Ok(
        if found.failures.is_empty() && found.archives.iter().any(is_missing) {
            Outcome::Hindered
        } else {
            Outcome::after(&found.failures)
        },
    )
}

fn relations_json(found: &Relations) -> Value {
    let rest = |rest: &Rest| {
        json!({
            "sha256": hex(&rest.record.sha256),
            "original_bytes": rest.record.bytes,
            "name": rest.record.name,
            "path": rest.found.as_ref().map(|(path, _)| path.display().to_string()),
        })
    };
    let archive = |one: &Relation| {
        json!({
            "path": one.path.display().to_string(),
            "sha256": hex(&one.superblock.sha256),
            "original_bytes": one.superblock.original_bytes,
            "stored_bytes": one.superblock.archive_bytes,
            "ratio": ratio(one.superblock.original_bytes, one.superblock.archive_bytes),
            "saved_bytes": one.saved(),
            "bases": one.rests_on.iter().map(rest).collect::<Vec<_>>(),
        })
    };
    let pin = |pin: &Pin| {
        json!({
            "path": pin.path.display().to_string(),
            "sha256": hex(&pin.superblock.sha256),
            "stored_bytes": pin.superblock.archive_bytes,
            "name": pin.name.as_ref().map(|name| name.display().to_string()),
        })
    };
    let totals = totals(found);
    json!({
        "original_bytes": totals.0,
        "stored_bytes": totals.1,
        "ratio": ratio(totals.0, totals.1),
        "archives": found.archives.iter().map(archive).collect::<Vec<_>>(),
        "pins": found.pins.iter().map(pin).collect::<Vec<_>>(),
        "failed": job_report::failures_json(&found.failures),
    })
}

/// Bytes of all files, and of all archives: those that are only pins are stored as well.
fn totals(found: &Relations) -> (u64, u64) {
    let original = found
        .archives
        .iter()
        .map(|one| one.superblock.original_bytes);
    let stored = found
        .archives
        .iter()
        .map(|one| one.superblock.archive_bytes);
    let only_pins = found.pins.iter().filter(|pin| pin.name.is_none());
    let only_pins = only_pins.map(|pin| pin.superblock.archive_bytes);
    (original.sum(), stored.chain(only_pins).sum())
}

fn relations_lines(found: &Relations) -> Vec<String> {
    let line = |one: &Relation| {
        format!(
            "{}: original {}, stored {}, ratio {:.2}",
            printable_name(&one.path),
            size::show(one.superblock.original_bytes),
            size::show(one.superblock.archive_bytes),
            ratio(one.superblock.original_bytes, one.superblock.archive_bytes),
        )
    };
    let (alone, resting): (Vec<_>, Vec<_>) = found
        .archives
        .iter()
        .partition(|one| one.rests_on.is_empty());
    let mut lines = Vec::new();
    let mut told = vec![false; resting.len()];
    let mut below = |sha256: &[u8; 32], lines: &mut Vec<String>| {
        for (one, told) in resting.iter().zip(&mut told) {
            let first = &one.rests_on[0];
            if first.record.sha256 != *sha256 || *told {
                continue;
            }
            *told = true;
            let saved = one
                .saved()
                .filter(|saved| *saved > 0)
                .and_then(|saved| u64::try_from(saved).ok());
            let saved = saved.map_or_else(String::new, |saved| {
                format!(", saves about {}", size::show(saved))
            });
            lines.push(format!("  {}{saved}", line(one)));
            for rest in &one.rests_on {
                if rest.found.is_none() {
                    lines.push(format!(
                        "    missing: {} ({})",
                        rest.record.name,
                        hex(&rest.record.sha256)
                    ));
                } else if rest.record.sha256 != *sha256 {
                    lines.push(format!("    and rests on {}", rest.record.name));
                }
            }
        }
    };
    for base in &alone {
        lines.push(line(base));
        below(&base.superblock.sha256, &mut lines);
    }
    for pin in found.pins.iter().filter(|pin| pin.name.is_none()) {
        lines.push(format!(
            "{}: only kept for others, stored {}",
            printable_name(&pin.path),
            size::show(pin.superblock.archive_bytes)
        ));
        below(&pin.superblock.sha256, &mut lines);
    }
    // Bases that lie elsewhere, or are missing.
    for one in &resting {
        let record = &one.rests_on[0].record;
        let before = lines.len();
        below(&record.sha256, &mut lines);
        if lines.len() > before {
            let short = &hex(&record.sha256)[..SHORT_HEX];
            lines.insert(
                before,
                format!("{} ({short}..), which is not below:", record.name),
            );
        }
    }
    let (original, stored) = totals(found);
    lines.push(format!(
        "{} archives, {} rest on others; original {}, stored {}, ratio {:.4}",
        found.archives.len(),
        resting.len(),
        size::show(original),
        size::show(stored),
        ratio(original, stored),
    ));
    lines
}

pub(super) fn dedup(args: &DedupArgs) -> Result<Outcome> {
    in_mount::refuse_source(&args.dir)?;
    let options = DedupOptions {
        pack: PackOptions {
            level: args.level.into(),
            threads: args.threads.unwrap_or_else(cores),
            bases: args.bases.search(),
            ..PackOptions::default()
        },
        dry_run: args.dry_run,
    };
    let start = Instant::now();
    let (done, failures) = watched("packing", &Stop::on_signals()?, |monitor| {
        job::dedup(&args.dir, &options, monitor)
    })?;
    tell_failures(&failures);
    let sum = |bytes: fn(&Dedup) -> u64| done.iter().map(bytes).sum::<u64>();
    let (before, after) = (sum(|one| one.stored_before), sum(|one| one.stored_after));
    let seconds = start.elapsed().as_secs_f64();
    let json = || {
        json!({
            "dry_run": args.dry_run,
            "stored_before": before,
            "stored_after": after,
            "shared_bytes": sum(|one| one.shared_bytes),
            "seconds": seconds,
            "archives": done.iter().map(|one| json!({
                "path": one.path.display().to_string(),
                "rests_on": one.rests_on.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
                "shared_bytes": one.shared_bytes,
                "stored_before": one.stored_before,
                "stored_after": one.stored_after,
            })).collect::<Vec<_>>(),
            "failed": job_report::failures_json(&failures),
        })
    };
    let lines = || {
        let mut lines: Vec<String> = done
            .iter()
            .map(|one| {
                let names: Vec<_> = one.rests_on.iter().map(printable_name).collect();
                let size = if args.dry_run {
                    size::show(one.stored_before)
                } else {
                    format!(
                        "{} -> {}",
                        size::show(one.stored_before),
                        size::show(one.stored_after)
                    )
                };
                let verb = if args.dry_run { "would rest" } else { "rests" };
                format!(
                    "{}: {} of its tensors are in {}, on which it {verb}; {size}",
                    printable_name(&one.path),
                    size::show(one.shared_bytes),
                    names.join(", ")
                )
            })
            .collect();
        let saved = size::show(before.saturating_sub(after));
        let end = if args.dry_run {
            String::new()
        } else {
            format!(", {saved} saved in {seconds:.1} s")
        };
        lines.push(format!("{} archives{end}", done.len()));
        lines
    };
    unless_nobody_reads(print_as(args.json, json, lines))?;
    Ok(Outcome::after(&failures))
}

pub(super) fn gc(args: &GcArgs) -> Result<Outcome> {
    in_mount::refuse_source(&args.dir)?;
    let found = watched("looking", &Stop::on_signals()?, |monitor| {
        job::gc(&args.dir, args.dry_run, monitor)
    })?;
    tell_failures(&found.failures);
    unless_nobody_reads(print_as(
        args.json,
        || collected_json(&found, args.dry_run),
        || collected_lines(&found, args.dry_run),
    ))?;
    Ok(Outcome::after(&found.failures))
}

fn collected_json(found: &Collected, dry_run: bool) -> Value {
    json!({
        "dry_run": dry_run,
        "kept": found.kept,
        "freed_bytes": freed(found),
        "removed": found.removed.iter().map(|(path, bytes)| json!({
            "path": path.display().to_string(),
            "bytes": bytes,
        })).collect::<Vec<_>>(),
        "failed": job_report::failures_json(&found.failures),
    })
}

fn collected_lines(found: &Collected, dry_run: bool) -> Vec<String> {
    let verb = if dry_run {
        "would be removed"
    } else {
        "removed"
    };
    let line = |(path, bytes): &(std::path::PathBuf, u64)| {
        let frees = match bytes {
            0 => "it has other names".to_owned(),
            bytes => size::show(*bytes),
        };
        format!("{}: {verb} ({frees})", printable_name(path))
    };
    let mut lines: Vec<_> = found.removed.iter().map(line).collect();
    lines.push(format!(
        "{} {verb}, {} kept; {} freed",
        found.removed.len(),
        found.kept,
        size::show(freed(found))
    ));
    lines
}

fn freed(found: &Collected) -> u64 {
    found.removed.iter().map(|(_, bytes)| bytes).sum()
}

pub(super) fn export(args: &ExportArgs) -> Result<Outcome> {
    in_mount::refuse_destination(&args.out)?;
    let archive = in_mount::archives_behind(&args.archive)?;
    let options = PackOptions {
        level: args.level.into(),
        threads: args.threads.unwrap_or_else(cores),
        force: args.force,
        bases: args.bases.search(),
        ..PackOptions::default()
    };
    let start = Instant::now();
    let done = watched("packing", &Stop::on_signals()?, |monitor| {
        job::export(&archive, &args.out, &options, monitor)
    })?;
    report(&done, start, args.json)
}

/// `pack --detach`.
pub(super) fn detach(args: &PackArgs) -> Result<Outcome> {
    in_mount::refuse_source(&args.src)?;
    let options = pack_options(args)?;
    let start = Instant::now();
    let done = watched("packing", &Stop::on_signals()?, |monitor| {
        job::detach(&args.src, &options, monitor)
    })?;
    report(&done, start, args.json)
}
