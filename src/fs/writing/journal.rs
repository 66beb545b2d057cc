//! What is being changed in more than one step, on the disk before the first of them: so that whoever comes after a crash
//! knows which of two forms of a file is to stay.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, RenameFlags};
use rustix::process::geteuid;
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
    let mut file = source.create(&path, OFlags::WRONLY, |_| Ok(0o600))?;
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

/// The same of one whose change is done, once the names in the directories of these are on the disk.
pub(in crate::fs) fn forget_when_durable<'p>(
    source: &Source,
    paths: impl Iterator<Item = &'p PathBuf>,
    record: &Path,
) {
    let mut directories: Vec<_> = paths
        .map(|path| path.parent().unwrap_or(Path::new("")))
        .collect();
    directories.dedup();
    if directories
        .iter()
        .all(|path| source.sync_directory(path).is_ok())
    {
        forget(source, record);
    }
}

/// Finishes what was begun, or takes it back. False if that could not be done with all of it: its records stay.
pub(super) fn recover(source: &Source) -> bool {
    let directory = Path::new(OWN_DIRECTORY).join(CHANGES);
    let mut are_settled = true;
    for name in source.names(&directory).unwrap_or_default() {
        let path = directory.join(name);
        let is_settled = match read(source, &path) {
            // One that was not yet whole: nothing was begun.
            Ok(None) => true,
            Ok(Some(record)) => settle(source, &record),
            Err(error) => {
                let path = source.known_as().join(&path);
                tracing::warn!("{} is not heeded: {error}", path.display());
                false
            }
        };
        if is_settled {
            forget(source, &path);
        }
        are_settled &= is_settled;
    }
    are_settled
}

/// What a record says, `None` if it is not whole. One that somebody else may have written is not read: by it, anybody
/// who may make names in the source could have files of others renamed and removed.
fn read(source: &Source, path: &Path) -> io::Result<Option<Record>> {
    let file = source.open_file(path)?;
    let meta = file.metadata()?;
    let is_own = meta.uid() == geteuid().as_raw() && meta.mode() & 0o077 == 0;
    if !is_own || !meta.is_file() || meta.nlink() != 1 {
        let why = "it may be by somebody else than who mounts";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// False if that cannot be done.
fn settle(source: &Source, record: &Record) -> bool {
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
                    return false;
                }
                tracing::info!(
                    "{}: a change that was cut off is finished",
                    comes.path().display()
                );
            }
            _ => {
                let _ = source.remove_file(temporary.path());
                return true;
            }
        }
    }
    let Some((first, _)) = record
        .names
        .iter()
        .find(|(comes, _)| is(comes.path(), record.comes))
    else {
        return true;
    };
    let mut is_settled = true;
    for (comes, goes) in &record.names {
        let name = comes.path().display();
        // A name that had come, and is gone, was removed since.
        if !is(goes.path(), record.goes) {
            continue;
        }
        let finished = match source.facts(comes.path()) {
            Err(_) => source.add_name(first.path(), comes.path()),
            Ok(_) if is(comes.path(), record.comes) => Ok(()),
            // Somebody has made another file of that name: both are shown.
            Ok(_) => continue,
        };
        match finished.and_then(|()| source.remove_file(goes.path())) {
            Ok(()) => tracing::info!("{name}: a change that was cut off is finished"),
            Err(error) => {
                let goes = goes.path().display();
                tracing::error!("{goes} cannot become {name}: {error}");
                is_settled = false;
            }
        }
    }
    is_settled
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A source with a file that a record says goes, and the path of the record.
    fn source() -> (tempfile::TempDir, Source, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at(".weightfs/changes")).unwrap();
        for name in ["comes", "goes"] {
            fs::write(at(name), name).unwrap();
        }
        let source = Source::open(dir.path()).unwrap();
        let number = |name: &str| source.facts(name.as_ref()).unwrap().number.file;
        let record = Record {
            temporary: None,
            names: vec![(
                PathBytes::of("comes".as_ref()),
                PathBytes::of("goes".as_ref()),
            )],
            comes: number("comes"),
            goes: number("goes"),
        };
        let path = at(".weightfs/changes/1");
        fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        (dir, source, path)
    }

    #[test]
    fn what_is_noted_is_finished() {
        let (dir, source, record) = source();
        assert!(recover(&source));
        assert!(dir.path().join("comes").exists() && !dir.path().join("goes").exists());
        assert!(!record.exists());
    }

    #[test]
    fn what_others_may_have_noted_is_not_heeded() {
        for may_be_of_others in [
            |record: &Path| fs::set_permissions(record, Permissions::from_mode(0o620)).unwrap(),
            |record: &Path| fs::hard_link(record, record.with_extension("too")).unwrap(),
            |record: &Path| {
                // Only root can give it to somebody.
                if std::os::unix::fs::chown(record, Some(1234), None).is_err() {
                    fs::set_permissions(record, Permissions::from_mode(0o604)).unwrap();
                }
            },
        ] {
            let (dir, source, record) = source();
            may_be_of_others(&record);
            assert!(!recover(&source));
            assert!(dir.path().join("goes").exists() && record.exists());
        }
    }

    /// It is all there is of the file.
    #[test]
    fn what_cannot_get_its_name_back_stays_where_it_is() {
        let (dir, source, path) = source();
        let record = Record {
            temporary: Some(PathBytes::of("comes".as_ref())),
            names: vec![(
                PathBytes::of("missing/file".as_ref()),
                PathBytes::of("missing/file.wfz".as_ref()),
            )],
            comes: source.facts("comes".as_ref()).unwrap().number.file,
            goes: 0,
        };
        fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(!recover(&source));
        assert!(dir.path().join("comes").exists() && path.exists());
    }
}
