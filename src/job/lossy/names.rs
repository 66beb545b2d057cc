//! Patterns that match nothing: what was meant would not be done, and nobody told.

use std::path::Path;

use super::options::LossyOptions;
use crate::error::{Error, Result};
use crate::job::monitor::Monitor;
use crate::job::source_file::SourceFile;
use crate::model;

/// Looks whether each pattern of the options matches a tensor of one of the files. Those of rules are only warned
/// of: a file of rules may be for many models.
///
/// # Errors
/// `InvalidInput` if one to include or exclude matches none; `Interrupted`.
pub(in crate::job) fn check_patterns<'p>(
    files: impl Iterator<Item = &'p Path>,
    options: &LossyOptions,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let mut unmatched = options.patterns();
    let mut example = None;
    for file in files {
        if unmatched.is_empty() {
            return Ok(());
        }
        monitor.check()?;
        // Whoever packs the file tells what keeps it from being read.
        let header = SourceFile::open(file).and_then(|source| model::read(&source));
        let tensors = header.ok().flatten().map(|header| header.tensors);
        for tensor in tensors.unwrap_or_default() {
            unmatched.retain(|pattern| !pattern.glob.is_match(&tensor.name));
            example.get_or_insert(tensor.name);
        }
    }
    for pattern in &unmatched {
        let what = format!(
            "no tensor has a name that {} {:?} matches; {}",
            pattern.given_by,
            pattern.glob.glob().glob(),
            example.as_ref().map_or_else(
                || "no tensors were found".into(),
                |name| format!("names are such as {name:?}, and `*` stands for any part")
            ),
        );
        if pattern.is_rule {
            (monitor.warn)(&what);
        } else {
            return Err(Error::InvalidInput(what));
        }
    }
    Ok(())
}
