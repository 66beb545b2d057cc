//! `stats`: what a mount has done so far. The mount tells it by an extended attribute of its root, so
//! whoever may look into the mount may ask.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use rustix::fs::getxattr;
use serde_json::Value;

use super::args::StatsArgs;
use crate::console::{Outcome, print_as, size};
use crate::error::{Error, Result};
use crate::fs::STATS_XATTR;

/// More than the statistics ever take.
const MAX_BYTES: usize = 1 << 16;

pub(super) fn stats(args: &StatsArgs) -> Result<Outcome> {
    let found = ask(&args.mountpoint)?;
    print_as(args.json, || found.clone(), || as_lines(&found))?;
    Ok(Outcome::Done)
}

fn ask(mountpoint: &Path) -> Result<Value> {
    let mut buffer = vec![0; MAX_BYTES];
    let len = match getxattr(mountpoint, STATS_XATTR, &mut buffer[..]) {
        Ok(len) => len,
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => {
            return Err(Error::InvalidInput(format!(
                "{} is not where weightfs is mounted",
                mountpoint.display()
            )));
        }
        Err(error) => {
            let what = format!("cannot ask {}", mountpoint.display());
            return Err(Error::io(what, error.into()));
        }
    };
    serde_json::from_slice(&buffer[..len]).map_err(|e| {
        let what = format!("{} gives no sensible answer", mountpoint.display());
        Error::io(what, io::Error::from(e))
    })
}

fn as_lines(found: &Value) -> Vec<String> {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (reads, cache) = (&found["reads"], &found["cache"]);
    let by_size = |i: usize| number(&reads["by_size"][i]);
    let ahead = |what: &str| size::show(number(&found["prefetch"][what]));
    let mut text = String::new();
    let seconds = found["seconds"].as_f64().unwrap_or(0.0);
    let decodes = number(&cache["decodes"]);
    let decode_ms = number(&cache["decode_nanoseconds"]) as f64 / 1e6;
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "mounted for         {seconds:.0} s\n\
         open files          {} ({} lossy, {} without their base)\n\
         memory              {}\n\
         bytes served        {}\n\
         reads               {} up to 4K, {} to 16K, {} to 64K, {} to 128K, {} to 512K, {} longer\n\
         failed reads        {}\n\
         blocks decoded      {decodes} in {decode_ms:.0} ms ({:.3} ms each)\n\
         found in the cache  {}\n\
         waited for another  {}\n\
         cache               {} of {}\n\
         fetched ahead       {}: {} pushed to the kernel, {} used, {} in vain, {} left",
        number(&found["open_files"]),
        number(&found["open_lossy_files"]),
        number(&found["open_files_without_base"]),
        size::show(number(&found["memory_bytes"])),
        size::show(number(&reads["bytes"])),
        by_size(0),
        by_size(1),
        by_size(2),
        by_size(3),
        by_size(4),
        by_size(5),
        number(&reads["failed"]),
        decode_ms / (decodes as f64).max(1.0),
        number(&cache["hits"]),
        number(&cache["waits"]),
        size::show(number(&cache["cached_bytes"])),
        size::show(number(&cache["budget_bytes"])),
        ahead("issued_bytes"),
        ahead("pushed_bytes"),
        ahead("used_bytes"),
        ahead("wasted_bytes"),
        ahead("skipped_bytes"),
    );
    if found["source_changed"].as_bool() == Some(true) {
        text.push_str("\nsource              is something else now; mount again to see that");
    }
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.extend(packing_lines(&found["packing"]));
    lines
}

/// What a mount has packed, if it packs.
fn packing_lines(packing: &Value) -> Vec<String> {
    if !packing.is_object() {
        return Vec::new();
    }
    let number = |what: &str| packing[what].as_u64().unwrap_or(0);
    let text = |what: &str| packing[what].as_str();
    let bytes = |what: &str| size::show(number(what));
    let mut lines = vec![
        format!(
            "packed              {} files of {}, which saves {}",
            number("packed_files"),
            bytes("original_bytes"),
            bytes("saved_bytes")
        ),
        format!(
            "to be packed        {} files of {}",
            number("queued_files"),
            bytes("queued_bytes")
        ),
    ];
    let waits = text("waits_for").map(|what| format!("waits for {what}"));
    let now: Vec<_> = text("packing")
        .map(str::to_owned)
        .into_iter()
        .chain(waits)
        .collect();
    if !now.is_empty() {
        lines.push(format!("packing now         {}", now.join(", ")));
    }
    if let Some(failure) = text("last_failure") {
        let failed = number("failed_files");
        lines.push(format!(
            "could not be packed {failed}; the last one: {failure}"
        ));
    }
    lines
}
