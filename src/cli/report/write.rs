//! The files of a report.

use std::fs;
use std::path::Path;

use super::rows::{inventory, tensor_rows};
use super::run::Run;
use super::summary::summary;
use crate::cli::in_mount;
use crate::console::csv_file::{as_table, write_whole};
use crate::error::{Error, Result};
use crate::job::FileOutlay;
use crate::printable::printable_name;

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
    write_whole(&dir.join("inventory.csv"), &as_table(&inventory(files))?)?;
    write_whole(&dir.join("tensors.csv"), &as_table(&rows)?)?;
    let run_json = format!("{:#}\n", run.json(files));
    write_whole(&dir.join("run.json"), run_json.as_bytes())?;
    write_whole(&dir.join("index.html"), summary(run, &shown).as_bytes())
}
