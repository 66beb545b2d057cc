//! Pins: names of their own that bases have beside those who rest on them, so that nobody loses one by accident.

use std::fs;
use std::io;
use std::path::Path;

use super::base_file::BaseFile;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::pin_path;
use crate::job::output::sync_directory_of;

/// Pins a base below a directory, before anybody rests on it there. `make` makes an archive of it at a path, for a base that
/// is none, or one that cannot be linked.
///
/// # Errors
/// `Io` if the system refuses; that of `make`.
pub(in crate::job) fn pin(
    root: &Path,
    base: &BaseFile,
    make: impl FnOnce(&BaseFile, &Path) -> Result<()>,
) -> Result<()> {
    let path = root.join(pin_path(&base.sha256));
    let cannot = |e| Error::io(format!("cannot keep the base as {}", path.display()), e);
    let is_there = ArchiveReader::open(&path).is_ok_and(|there| {
        there.superblock().sha256 == base.sha256 && there.superblock().bases.is_none()
    });
    if is_there {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(root);
    fs::create_dir_all(directory).map_err(cannot)?;
    let linked = match base.source.archive() {
        Some(_) => link(&base.source.path, &path),
        None => Err(io::ErrorKind::Unsupported.into()),
    };
    if linked.is_err() {
        make(base, &path)?;
    }
    for made in [path.as_path(), directory] {
        sync_directory_of(made).map_err(cannot)?;
    }
    sync_directory_of(&directory.with_file_name("")).map_err(cannot)
}

/// What is there under the name of a pin, and is not the base, is damaged or of another version: the link takes its place.
fn link(archive: &Path, pin: &Path) -> io::Result<()> {
    match fs::hard_link(archive, pin) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(pin)?;
            fs::hard_link(archive, pin)
        }
        done => done,
    }
}
