//! What stands below a name, and how one form of a file takes the place of the other.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;

use crate::error::Result;
use crate::format::{OWN_DIRECTORY, archive_name};
use crate::fs::errno::{at, is_gone};
use crate::fs::facts::{FileNumber, Kind};
use crate::fs::model_tree::ModelTree;
use crate::fs::source::Source;
use crate::fs::view::{Located, Sought, locate};
use crate::fs::writing::{PathBytes, Record, Work, forget, note};
use crate::os::MAX_NAME_BYTES;

impl Located {
    /// The path below of a name of the same form.
    pub(super) fn beside(&self, path: &Path) -> PathBuf {
        if self.is_archive {
            path_of_archive(path)
        } else {
            path.to_path_buf()
        }
    }
}

/// The path of the archive of what is shown under a path.
pub(super) fn path_of_archive(path: &Path) -> PathBuf {
    path.with_file_name(archive_name(path.file_name().unwrap_or_default()))
}

impl ModelTree {
    /// What stands behind a path of the mount.
    pub(super) fn sought(&self, path: &Path) -> io::Result<Sought> {
        let directory = path.parent().unwrap_or(Path::new(""));
        locate(
            &self.source,
            directory,
            path.file_name().unwrap_or_default(),
        )
    }

    /// # Errors
    /// ENOENT if nothing stands there.
    pub(super) fn find_below(&self, path: &Path) -> Result<Located> {
        match self.sought(path).map_err(|e| at(path, e))? {
            Sought::Found(located) => Ok(located),
            Sought::Hidden | Sought::Nothing => {
                Err(at(path, io::Error::from_raw_os_error(libc::ENOENT)))
            }
        }
    }

    /// Whether an archive may stand for what is shown under a path: its name is not too long, and free, or that of the
    /// archive that stands there now.
    pub(super) fn can_have_archive(&self, path: &Path) -> Result<bool> {
        let archive = path_of_archive(path);
        if archive
            .file_name()
            .is_none_or(|name| name.len() > MAX_NAME_BYTES)
        {
            return Ok(false);
        }
        Ok(match self.sought(&archive).map_err(|e| at(path, e))? {
            // Under that name another file may be shown, whatever form it has.
            Sought::Found(_) => false,
            Sought::Nothing => true,
            Sought::Hidden => self.find_below(path).is_ok_and(|there| there.is_archive),
        })
    }

    /// All names of a file in the source, the known one first. What weightfs keeps for itself is not looked through, nor what
    /// may not be read.
    ///
    /// # Errors
    /// What the system answered.
    pub(super) fn all_names(
        &self,
        known: &Path,
        number: FileNumber,
        nlink: u32,
    ) -> io::Result<Vec<PathBuf>> {
        let mut names = vec![known.to_path_buf()];
        let mut directories = vec![PathBuf::new()];
        while nlink > 1
            && let Some(directory) = directories.pop()
        {
            for name in there(self.source.names(&directory))?.unwrap_or_default() {
                let path = directory.join(&name);
                let Some(facts) = there(self.source.facts(&path))? else {
                    continue;
                };
                if facts.kind == Some(Kind::Directory) && name != OWN_DIRECTORY {
                    directories.push(path);
                } else if facts.is_file() && facts.number == number && path != known {
                    names.push(path);
                }
            }
        }
        Ok(names)
    }
}

/// `None` for what is gone, or hidden from the mount.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(e) if is_gone(&e) || e.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        found => found.map(Some),
    }
}

/// A form that is to take the place of another.
pub(super) struct Change<'c> {
    /// Where what comes lies, as long as it has no name; it is whole, and on the disk.
    pub(super) temporary: &'c Path,
    /// What comes, and what goes.
    pub(super) names: Vec<(PathBuf, PathBuf)>,
    pub(super) comes: FileNumber,
    pub(super) goes: FileNumber,
    /// How many names it has.
    pub(super) links: u32,
}

impl Change<'_> {
    /// Puts it on the disk that this is to be.
    pub(super) fn note(&self, work: &Work, source: &Source) -> io::Result<PathBuf> {
        let pair = |(comes, goes): &(PathBuf, PathBuf)| (PathBytes::of(comes), PathBytes::of(goes));
        let record = Record {
            temporary: Some(PathBytes::of(self.temporary)),
            names: self.names.iter().map(pair).collect(),
            comes: self.comes.file,
            goes: self.goes.file,
        };
        note(work, source, &record)
    }

    /// True if all that is to go is still there, and has no more names.
    pub(super) fn is_as_it_was(&self, source: &Source) -> bool {
        self.names.iter().all(|(_, goes)| {
            let facts = source.facts(goes);
            facts.is_ok_and(|facts| {
                facts.is_file() && facts.number == self.goes && facts.nlink == self.links
            })
        })
    }

    /// Does it, while nobody looks. If it cannot be done, all is as before. False if neither could be done whole: the record
    /// says what is left to do.
    ///
    /// # Errors
    /// What the system answered.
    pub(super) fn make(&self, source: &Source) -> io::Result<bool> {
        let mut come: Vec<&Path> = Vec::new();
        let mut add_names = || {
            for (comes, _) in &self.names {
                match come.first() {
                    None => source.rename(self.temporary, comes, RenameFlags::NOREPLACE)?,
                    Some(first) => source.add_name(first, comes)?,
                }
                come.push(comes);
            }
            Ok(())
        };
        let added = add_names();
        let take_back = |come: &[&Path]| {
            for path in come.iter().skip(1) {
                let _ = source.remove_file(path);
            }
            if let Some(first) = come.first() {
                let _ = source.rename(first, self.temporary, RenameFlags::NOREPLACE);
            }
        };
        if let Err(error) = added {
            take_back(&come);
            return Err(error);
        }
        let mut is_done = true;
        for (number, (_, goes)) in self.names.iter().enumerate() {
            let Err(error) = source.remove_file(goes) else {
                continue;
            };
            let mut gone = self.names[..number].iter().map(|(_, gone)| gone);
            if is_done && gone.all(|gone| source.add_name(goes, gone).is_ok()) {
                take_back(&come);
                return Err(error);
            }
            tracing::error!("cannot remove {}: {error}", goes.display());
            is_done = false;
        }
        Ok(is_done)
    }

    /// Waits until it is on the disk, and takes the record back.
    pub(super) fn settle(&self, source: &Source, record: &Path) {
        settle(source, self.names.iter().map(|(comes, _)| comes), record);
    }
}

/// Waits until the names in the directories of these are on the disk, and takes the record of their change back.
pub(super) fn settle<'p>(source: &Source, paths: impl Iterator<Item = &'p PathBuf>, record: &Path) {
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
