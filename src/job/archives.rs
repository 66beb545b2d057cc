//! Which files are archives, by name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::tree::{self, Kind};
use crate::error::{Error, Result};
use crate::format::ARCHIVE_SUFFIX;

/// The name of the file that an archive of this name holds; `None` if it is not an archive's name.
pub fn original_name(archive: &OsStr) -> Option<&OsStr> {
    archive
        .as_bytes()
        .strip_suffix(ARCHIVE_SUFFIX.as_bytes())
        .filter(|name| !name.is_empty())
        .map(OsStr::from_bytes)
}

/// True for `NAME.wfz`.
pub fn is_archive_name(path: &Path) -> bool {
    path.file_name().and_then(original_name).is_some()
}

/// `PATH` -> `PATH.wfz`.
pub(super) fn archive_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ARCHIVE_SUFFIX);
    name.into()
}

/// `PATH.wfz` -> `PATH`.
pub(super) fn original_path(path: &Path) -> Option<PathBuf> {
    let name = original_name(path.file_name()?)?;
    Some(path.with_file_name(OsString::from_vec(name.as_bytes().to_vec())))
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
            tree::walk(path)?
                .into_iter()
                .filter(|entry| {
                    matches!(entry.kind, Kind::File) && is_archive_name(&entry.relative)
                })
                .map(|entry| path.join(entry.relative)),
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
