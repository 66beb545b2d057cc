//! Which files are archives, by name.

use std::path::{Path, PathBuf};

use super::walk::{self, EntryKind};
use crate::error::{Error, Result};
use crate::format::{ARCHIVE_SUFFIX, archive_name, original_name};

/// True for `NAME.wfz`.
pub fn is_archive_name(path: &Path) -> bool {
    path.file_name().and_then(original_name).is_some()
}

/// `PATH` -> `PATH.wfz`.
pub(super) fn archive_path(path: &Path) -> PathBuf {
    archive_name(path.as_os_str()).into()
}

/// `PATH.wfz` -> `PATH`.
pub(super) fn original_path(path: &Path) -> Option<PathBuf> {
    original_name(path.file_name()?).map(|name| path.with_file_name(name))
}

/// The archives that a list of files and directories names, directories searched to the bottom.
///
/// # Errors
/// `Io` if a path cannot be read, `InvalidInput` if a directory holds no archive.
pub fn archives_in(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let meta = std::fs::metadata(path)
            .map_err(|e| Error::io(format!("cannot read {}", path.display()), e))?;
        if !meta.is_dir() {
            found.push(path.clone());
            continue;
        }
        let before = found.len();
        found.extend(
            walk::walk(path)?
                .into_iter()
                .filter(|entry| {
                    matches!(entry.kind, EntryKind::File) && is_archive_name(&entry.from)
                })
                .map(|entry| entry.from),
        );
        if found.len() == before {
            return Err(Error::InvalidInput(format!(
                "{}: no {ARCHIVE_SUFFIX} archive in this directory",
                path.display()
            )));
        }
    }
    Ok(found)
}
