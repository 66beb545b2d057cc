//! The files of a report.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use serde_json::{Value, json};

use super::rows::{inventory, tensor_rows};
use super::summary::summary;
use crate::cli::in_mount;
use crate::console::csv_file::{as_csv, write_whole};
use crate::console::size::ratio;
use crate::error::{Error, Result};
use crate::job::{Conversion, FileOutlay};
use crate::printable::printable_name;

/// A run of `pack`.
pub(in crate::cli) struct Run<'a> {
    pub(in crate::cli) source: &'a Path,
    pub(in crate::cli) level: &'a str,
    pub(in crate::cli) codec: &'a str,
    pub(in crate::cli) block_bytes: Option<u32>,
    pub(in crate::cli) threads: NonZeroUsize,
    pub(in crate::cli) done: &'a Conversion,
    pub(in crate::cli) seconds: f64,
}

/// Makes the directory of a report, so that nothing is packed in vain.
///
/// # Errors
/// `Environment` in a mount, `Io` if the system refuses.
pub(in crate::cli) fn prepare(dir: &Path) -> Result<()> {
    in_mount::refuse_destination(dir)?;
    fs::create_dir_all(dir).map_err(|e| {
        Error::io(
            format!("cannot make the directory {}", printable_name(dir)),
            e,
        )
    })
}

/// Writes the report of a run.
///
/// # Errors
/// `Io` if the system refuses.
pub(in crate::cli) fn write_report(dir: &Path, run: &Run<'_>, files: &[FileOutlay]) -> Result<()> {
    let rows: Vec<_> = tensor_rows(files, run.seconds)
        .into_iter()
        .map(|(_, row)| row)
        .collect();
    let shown: Vec<_> = rows.iter().collect();
    write_whole(&dir.join("inventory.csv"), &as_csv(inventory(files), true)?)?;
    write_whole(&dir.join("tensors.csv"), &as_csv(&rows, true)?)?;
    let run_json = format!("{:#}\n", run_json(run, files));
    write_whole(&dir.join("run.json"), run_json.as_bytes())?;
    write_whole(&dir.join("index.html"), summary(run, &shown).as_bytes())
}

fn run_json(run: &Run<'_>, files: &[FileOutlay]) -> Value {
    let totals = &run.done.totals;
    let tensors = || files.iter().flat_map(|file| &file.tensors);
    let arguments = std::env::args_os().skip(1);
    let failures = &run.done.failures;
    json!({
        "weightfs": env!("CARGO_PKG_VERSION"),
        // Patterns, settings of single tensors and all else that was given.
        "arguments": arguments.map(|one| one.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "source": run.source.display().to_string(),
        "path": run.done.path.display().to_string(),
        "level": run.level,
        "codec": run.codec,
        "block_bytes": run.block_bytes,
        "threads": run.threads,
        "seconds": run.seconds,
        "original_bytes": totals.original_bytes,
        "stored_bytes": totals.stored_bytes,
        "ratio": ratio(totals.original_bytes, totals.stored_bytes),
        "archives": totals.archives,
        "copied": totals.copied,
        "unshrunk": totals.unshrunk,
        "tensors": tensors().count(),
        "lossy_tensors": tensors().filter(|tensor| tensor.fidelity.is_some()).count(),
        "failed": failures.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "shards": files.iter().map(|file| json!({
            "path": file.path.display().to_string(),
            "original_bytes": file.original_bytes,
            "stored_bytes": file.stored_bytes,
        })).collect::<Vec<_>>(),
    })
}
