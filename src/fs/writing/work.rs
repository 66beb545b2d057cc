//! Where the mount makes what is to take a place: hidden directories, on the file system of that place.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::lock::{LOCK, wait_for_lock};
use super::own::make_own;
use crate::error::{Error, Result};
use crate::format::{OWN_DIRECTORY, pins_directory};
use crate::fs::source::Source;

/// Below `OWN_DIRECTORY`: what is being made.
const WORK: &str = "work";
/// Below `OWN_DIRECTORY` of the root: what is being changed.
pub(super) const CHANGES: &str = "changes";

/// Of one mount, which is the only one that writes to its source.
#[derive(Debug)]
pub(in crate::fs) struct Work {
    _lock: File,
    next: AtomicU64,
}

impl Work {
    /// # Errors
    /// `Environment` if another mount writes to the source, `Io` if it cannot be written.
    pub(super) fn begin(source: &Source) -> Result<Self> {
        let own = Path::new(OWN_DIRECTORY);
        let cannot = |e| {
            let root = source.known_as().display();
            Error::io(format!("cannot write to {root}"), e)
        };
        let lock = wait_for_lock(source, own).map_err(|e| match e.raw_os_error() {
            Some(libc::EWOULDBLOCK) => Error::Environment(format!(
                "another mount writes to {}; unmount that one first, or mount without --writable",
                source.known_as().display()
            )),
            _ => cannot(e),
        })?;
        // Only now does no mount of before remove them any more.
        for name in [WORK, CHANGES] {
            make_own(source, &own.join(name), 0o700).map_err(cannot)?;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_nanos());
        Ok(Self {
            _lock: lock,
            // In a container, processes have the same number again and again.
            next: AtomicU64::new(u64::try_from(now).unwrap_or(0)),
        })
    }

    /// A path for something that is to be renamed into a directory, and that is not there.
    ///
    /// # Errors
    /// What the system answered.
    pub(in crate::fs) fn temporary(
        &self,
        source: &Source,
        directory: &Path,
    ) -> io::Result<PathBuf> {
        // What is open need not have a directory any more.
        let is_there = |directory: &&Path| source.facts(directory).is_ok();
        let directory = directory.ancestors().find(is_there).unwrap_or(directory);
        let own = root_of_device(source, directory)?.join(OWN_DIRECTORY);
        make_own(source, &own, 0o755)?;
        let work = own.join(WORK);
        make_own(source, &work, 0o700)?;
        Ok(work.join(self.new_name()))
    }

    /// A name that nothing of this mount has.
    pub(super) fn new_name(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", std::process::id())
    }

    /// Where what archives in a directory rest on is kept for them; made if it is not there.
    ///
    /// # Errors
    /// What the system answered.
    pub(in crate::fs) fn pins_directory(
        &self,
        source: &Source,
        directory: &Path,
    ) -> io::Result<PathBuf> {
        let root = root_of_device(source, directory)?;
        make_own(source, &root.join(OWN_DIRECTORY), 0o755)?;
        let pins = root.join(pins_directory());
        make_own(source, &pins, 0o755)?;
        Ok(pins)
    }

    /// Removes what a mount of before has left in the work directory of the root.
    pub(super) fn remove_left(&self, source: &Source) {
        let work = Path::new(OWN_DIRECTORY).join(WORK);
        for name in source.names(&work).unwrap_or_default() {
            // What cannot be removed hinders nobody.
            let _ = source.remove_file(&work.join(name));
        }
    }

    /// Leaves no empty directories behind.
    pub(in crate::fs) fn end(&self, source: &Source) {
        let own = Path::new(OWN_DIRECTORY);
        // As long as nobody else can hold the lock.
        for directory in [WORK, CHANGES] {
            let _ = source.remove_directory(&own.join(directory));
        }
        let _ = source.remove_file(&own.join(LOCK));
        let _ = source.remove_directory(own);
    }
}

/// The highest directory above a directory from which what is in it can be renamed into that.
fn root_of_device(source: &Source, directory: &Path) -> io::Result<PathBuf> {
    let device = source.device_of(directory)?;
    let mut highest = directory;
    for above in directory.ancestors().skip(1) {
        if source.device_of(above)? != device {
            break;
        }
        highest = above;
    }
    Ok(highest.to_path_buf())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    /// The one that comes has all that it needs, however long the one that goes takes.
    #[test]
    fn one_mount_follows_another_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::open(dir.path()).unwrap();
        let begin_and_end = || {
            for _ in 0..300 {
                let work = loop {
                    match Work::begin(&source) {
                        Err(Error::Environment(_)) => std::thread::yield_now(),
                        work => break work.unwrap(),
                    }
                };
                for name in [WORK, CHANGES] {
                    let directory = Path::new(OWN_DIRECTORY).join(name);
                    assert!(source.facts(&directory).unwrap().is_directory());
                }
                work.end(&source);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(begin_and_end);
            scope.spawn(begin_and_end);
        });
        assert_eq!(source.names(Path::new("")).unwrap().len(), 0);
    }
}
