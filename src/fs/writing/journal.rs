//! What is being changed in more than one step, on the disk before the first of them: so that whoever comes after a crash
//! knows which of two forms of a file is to stay.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, RenameFlags};
use serde::{Deserialize, Serialize};

use super::work::{CHANGES, Work};
use crate::format::OWN_DIRECTORY;
use crate::fs::source::Source;

/// A longer record was not written here.
const MAX_BYTES: u64 = 16 << 20;

/// A change that is under way: one form of a file takes the place of the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::fs) struct Record {
    /// Where the form lies that comes, as long as it has no name.
    pub(in crate::fs) temporary: Option<PathBytes>,
    /// What comes and what goes, by the paths below the root.
    pub(in crate::fs) names: Vec<(PathBytes, PathBytes)>,
    /// The file that comes, by its lasting number.
    pub(in crate::fs) comes: u64,
    /// The file that goes.
    pub(in crate::fs) goes: u64,
}

/// A path as bytes: it need not be text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::fs) struct PathBytes(Vec<u8>);

impl PathBytes {
    pub(in crate::fs) fn of(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }

    fn path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }
}

/// Writes a record; when this returns it is on the disk.
///
/// # Errors
/// What the system answered.
pub(in crate::fs) fn note(work: &Work, source: &Source, record: &Record) -> io::Result<PathBuf> {
    let directory = Path::new(OWN_DIRECTORY).join(CHANGES);
    let path = directory.join(work.new_name());
    let mut file = source.create(&path, OFlags::WRONLY, 0o600)?;
    let written = serde_json::to_vec(record)
        .map_err(io::Error::from)
        .and_then(|bytes| file.write_all(&bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| source.sync_directory(&directory));
    if let Err(error) = written {
        let _ = source.remove_file(&path);
        return Err(error);
    }
    Ok(path)
}

/// Takes a record back whose change is done, or was not begun.
pub(in crate::fs) fn forget(source: &Source, record: &Path) {
    // One that stays says of names that they are what they are.
    let _ = source.remove_file(record);
}

/// Finishes what was begun, or takes it back.
pub(super) fn recover(source: &Source) {
    let directory = Path::new(OWN_DIRECTORY).join(CHANGES);
    for name in source.names(&directory).unwrap_or_default() {
        let path = directory.join(name);
        match read(source, &path) {
            // One that was not yet whole: nothing was begun.
            None => {}
            Some(record) => settle(source, &record),
        }
        forget(source, &path);
    }
}

fn read(source: &Source, path: &Path) -> Option<Record> {
    let file = source.open_file(path).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn settle(source: &Source, record: &Record) {
    let is = |path: &Path, number| {
        let facts = source.facts(path);
        facts.is_ok_and(|facts| facts.is_file() && facts.number.file == number)
    };
    if let Some(temporary) = &record.temporary
        && is(temporary.path(), record.comes)
    {
        let goes_is_there = record
            .names
            .iter()
            .any(|(_, goes)| source.facts(goes.path()).is_ok());
        let first = record.names.first();
        match first {
            // What went is gone, and what was to come is whole: the disk has forgotten the step between.
            Some((comes, _)) if !goes_is_there && source.facts(comes.path()).is_err() => {
                let flags = RenameFlags::NOREPLACE;
                if let Err(error) = source.rename(temporary.path(), comes.path(), flags) {
                    let (from, to) = (temporary.path().display(), comes.path().display());
                    tracing::error!("cannot rename {from} to {to}: {error}; do that by hand");
                    return;
                }
                tracing::info!(
                    "{}: a change that was cut off is finished",
                    comes.path().display()
                );
            }
            _ => {
                let _ = source.remove_file(temporary.path());
                return;
            }
        }
    }
    let Some((first, _)) = record
        .names
        .iter()
        .find(|(comes, _)| is(comes.path(), record.comes))
    else {
        return;
    };
    for (comes, goes) in &record.names {
        if source.facts(comes.path()).is_err() {
            let _ = source.add_name(first.path(), comes.path());
        }
        if is(comes.path(), record.comes)
            && is(goes.path(), record.goes)
            && source.remove_file(goes.path()).is_ok()
        {
            tracing::info!(
                "{}: a change that was cut off is finished",
                comes.path().display()
            );
        }
    }
}
