//! Which files are archives, by name; and opening one that somebody named.

use std::path::{Path, PathBuf};

use super::links::follow;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::{archive_name, original_name};
use crate::os::MAX_NAME_BYTES;

/// True for `NAME.wfz`.
pub fn is_archive_name(path: &Path) -> bool {
    path.file_name().and_then(original_name).is_some()
}

/// True for a file of such a name that is an archive as well, damaged or of a newer version even.
pub(super) fn is_archive(path: &Path) -> bool {
    let opened = || ArchiveReader::open(path);
    is_archive_name(path) && !matches!(opened(), Err(Error::NotThisFormat(_)))
}

/// `PATH` -> `PATH.wfz`.
pub(super) fn archive_path(path: &Path) -> PathBuf {
    archive_name(path.as_os_str()).into()
}

/// `PATH.wfz` -> `PATH`.
pub(super) fn original_path(path: &Path) -> Option<PathBuf> {
    original_name(path.file_name()?).map(|name| path.with_file_name(name))
}

/// True if the archive of a file can have its name.
pub(super) fn can_be_archived(path: &Path) -> bool {
    archive_path(path)
        .file_name()
        .is_none_or(|name| name.len() <= MAX_NAME_BYTES)
}

/// The archive that somebody named, also by a link to the name of the file that it stands for.
///
/// # Errors
/// `Io` if a link leads nowhere.
pub(super) fn named_archive(path: &Path) -> Result<PathBuf> {
    let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    if !is_link || path.exists() {
        return Ok(path.to_path_buf());
    }
    follow(path).map_err(|e| Error::io(format!("cannot follow the link {}", path.display()), e))
}
