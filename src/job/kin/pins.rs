//! Pins: names of their own that bases have beside those who rest on them, so that nobody loses one by accident.
//!
//! The directory of the pins is locked, shared, by who is making something that rests on one of them, and alone by who
//! removes those that nobody needs.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FlockOperation, flock, linkat};
use rustix::io::{Errno, retry_on_intr};

use super::base_file::BaseFile;
use crate::archive::ArchiveReader;
use crate::block::BlockDecoder;
use crate::error::{Error, Result};
use crate::format::{pin_path, pins_directory};
use crate::job::output::{parent, remove_abandoned, sync_directory_of, temporary_name};
use crate::job::walk::identity;
use crate::os::handle_path;

/// So often the directory of the pins is made that somebody removes at the same time.
const MOST_TRIES: usize = 100;

/// Locks the pins below a directory against removal. Only a wish where the file system has no locks.
///
/// # Errors
/// `Io` if they cannot be made.
pub(in crate::job) fn hold_pins(root: &Path) -> Result<File> {
    let directory = root.join(pins_directory());
    let make = |directory: &Path| match fs::create_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    let hold = || {
        // Not what is above: that is there, unless somebody has moved it away.
        make(parent(&directory))?;
        make(&directory)?;
        let file = File::open(&directory)?;
        let _ = retry_on_intr(|| flock(&file, FlockOperation::LockShared));
        match is_still(&file, &directory)? {
            true => Ok(file),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    };
    let mut held: io::Result<File> = hold();
    for _ in 1..MOST_TRIES {
        match &held {
            // Whoever removes pins may have removed the directory meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => held = hold(),
            _ => break,
        }
    }
    held.map_err(|e| Error::io(format!("cannot make {}", directory.display()), e))
}

/// Locks the pins of a directory for removing some; `None` if somebody is making what rests on one, or has removed them.
///
/// # Errors
/// `Io` if they cannot be locked.
pub(in crate::job) fn hold_pins_alone(directory: &Path) -> Result<Option<File>> {
    let hold = || {
        let file = match File::open(directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        Ok(is_still(&file, directory)?.then_some(file))
    };
    hold().map_err(|e: io::Error| Error::io(format!("cannot lock {}", directory.display()), e))
}

fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let here = match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        here => here?,
    };
    Ok(identity(&here) == identity(&file.metadata()?))
}

/// Pins a base below a directory, before anybody rests on it there. `make` makes an archive of it at a path, for a base that
/// is none, or one that cannot be linked. When this returns, the pin is durable and gives what the base gives.
///
/// # Errors
/// `Io` if the system refuses; `Environment` if the base changed meanwhile; that of `make`.
pub(in crate::job) fn pin(
    root: &Path,
    base: &BaseFile,
    make: impl FnOnce(&BaseFile, &Path) -> Result<()>,
) -> Result<()> {
    let path = root.join(pin_path(&base.sha256));
    let cannot = |e| Error::io(format!("cannot keep the base as {}", path.display()), e);
    if !is_kept(&path, base)? {
        remove_abandoned(&path);
        let linked = match base.source.archive() {
            Some(_) => link(&base.source.file, &path),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        if linked.is_err() {
            make(base, &path)?;
        }
        if !is_kept(&path, base)? {
            return Err(base.source.changed());
        }
    }
    // Whoever made it may not have waited for the disk.
    let directory = parent(&path);
    for made in [path.as_path(), directory, parent(directory)] {
        sync_directory_of(made).map_err(cannot)?;
    }
    Ok(())
}

/// Whether a pin is the file of the base, or an archive that gives every byte of it.
fn is_kept(path: &Path, base: &BaseFile) -> Result<bool> {
    let there = match ArchiveReader::open(path) {
        Ok(there) => there,
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(false);
        }
        Err(Error::Corrupt(_) | Error::NotThisFormat(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let record = base.record(path, path);
    if !there.is_base_of(&record) {
        return Ok(false);
    }
    if base.source.archive().is_some() {
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        let own = base.source.file.metadata().map_err(cannot)?;
        let pinned = fs::metadata(path).map_err(cannot)?;
        if identity(&own) == identity(&pinned) {
            return Ok(true);
        }
    }
    gives_all(&there)
}

/// Whether every block of an archive that was made some time ago is whole.
fn gives_all(archive: &ArchiveReader) -> Result<bool> {
    if !archive.check_tables().is_empty() {
        return Ok(false);
    }
    let mut decoder = BlockDecoder::new()?;
    let mut decoded = Vec::new();
    archive.expect_sequential();
    for (block, span) in (0..).map_while(|block| Some((block, archive.geometry().block(block)?))) {
        decoded.resize(span.buffer_bytes(), 0);
        match archive.verify_block(block, &mut decoder, &mut decoded) {
            Err(error) if error.is_damage() => return Ok(false),
            verified => verified?,
        }
    }
    Ok(true)
}

/// Links what is open, whatever lies under its name now. What is there under the name of the pin goes only then.
fn link(archive: &File, pin: &Path) -> io::Result<()> {
    let link = |path: &Path| {
        let flags = AtFlags::SYMLINK_FOLLOW;
        linkat(CWD, handle_path(archive), CWD, path, flags)
    };
    match link(pin) {
        Err(Errno::EXIST) => {}
        // At once: nobody has locked a name for a while, and another job would take it for abandoned.
        linked => return Ok(linked?),
    }
    let temporary = temporary_name().make_in(parent(pin), |path| Ok(link(path)?))?;
    fs::rename(temporary.path(), pin)
}
