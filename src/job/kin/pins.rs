//! Pins: names of their own that bases have beside those who rest on them, so that nobody loses one by accident.
//!
//! The directory of the pins is locked, shared, by who is making something that rests on one of them, and alone by who
//! removes those that nobody needs.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::base_file::BaseFile;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::{pin_path, pins_directory};
use crate::job::output::sync_directory_of;

/// Locks the pins below a directory against removal. Only a wish where the file system has no locks.
///
/// # Errors
/// `Io` if they cannot be made.
pub(in crate::job) fn hold_pins(root: &Path) -> Result<File> {
    let directory = root.join(pins_directory());
    let hold = || {
        fs::create_dir_all(&directory)?;
        let file = File::open(&directory)?;
        let _ = flock(&file, FlockOperation::LockShared);
        Ok(file)
    };
    hold().map_err(|e| Error::io(format!("cannot make {}", directory.display()), e))
}

/// Locks the pins below a directory for removing some; `None` if somebody is making what rests on one.
///
/// # Errors
/// `Io` if they cannot be opened.
pub(in crate::job) fn hold_pins_alone(directory: &Path) -> Result<Option<File>> {
    let cannot = |e| Error::io(format!("cannot open {}", directory.display()), e);
    let file = File::open(directory).map_err(cannot)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(None),
        _ => Ok(Some(file)),
    }
}

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
