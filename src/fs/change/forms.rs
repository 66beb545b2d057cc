//! What stands below a name, and how one form of a file takes the place of the other.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;

use crate::error::Result;
use crate::format::{OWN_DIRECTORY, archive_name};
use crate::fs::errno::{at, is_gone};
use crate::fs::facts::{Facts, FileNumber, Kind};
use crate::fs::model_tree::ModelTree;
use crate::fs::source::Source;
use crate::fs::view::{Located, Sought, locate};
use crate::fs::writing::{PathBytes, Record, Work, forget, forget_when_durable, note};
use crate::os::MAX_NAME_BYTES;

/// So often is begun again, where names or forms change meanwhile.
pub(super) const MAX_TRIES: usize = 16;

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
    /// What stands behind a path of the mount, of which something is to be changed.
    pub(super) fn sought(&self, path: &Path) -> io::Result<Sought> {
        let directory = path.parent().unwrap_or(Path::new(""));
        // It is changed where the path leads now.
        self.source.forget_reached(directory);
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

    /// All names of a file in the source, the known one first, if it is one still. What weightfs keeps for itself is not
    /// looked through, nor what may not be read.
    ///
    /// # Errors
    /// What the system answered.
    pub(super) fn all_names(
        &self,
        known: &Path,
        number: FileNumber,
        nlink: u32,
    ) -> io::Result<Vec<PathBuf>> {
        let is_it = |facts: &Facts| facts.is_file() && facts.number == number;
        let mut names = Vec::new();
        if there(self.source.facts(known))?.is_some_and(|facts| is_it(&facts)) {
            names.push(known.to_path_buf());
        }
        let all = usize::try_from(nlink).unwrap_or(usize::MAX);
        let mut directories = vec![PathBuf::new()];
        while names.len() < all
            && let Some(directory) = directories.pop()
        {
            for name in there(self.source.names(&directory))?.unwrap_or_default() {
                let path = directory.join(&name);
                let Some(facts) = there(self.source.facts(&path))? else {
                    continue;
                };
                if facts.kind == Some(Kind::Directory) && name != OWN_DIRECTORY {
                    directories.push(path);
                } else if is_it(&facts) && path != known {
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

    /// Does it, while nobody looks.
    pub(super) fn make(&self, source: &Source) -> Outcome {
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
        if let Err(error) = add_names() {
            return self.taken_back(source, &come, error);
        }
        let mut is_whole = true;
        for (number, (_, goes)) in self.names.iter().enumerate() {
            let Err(error) = source.remove_file(goes) else {
                continue;
            };
            let mut gone = self.names[..number].iter().map(|(_, gone)| gone);
            if is_whole && gone.all(|gone| source.add_name(goes, gone).is_ok()) {
                return self.taken_back(source, &come, error);
            }
            tracing::error!("cannot remove {}: {error}", goes.display());
            is_whole = false;
        }
        Outcome {
            made: Ok(()),
            is_whole,
        }
    }

    fn taken_back(&self, source: &Source, come: &[&Path], error: io::Error) -> Outcome {
        let mut is_whole = true;
        // The first one last: as long as it has its name, whoever comes after a crash goes on from it. All that can be
        // taken back is, also where something cannot.
        for (number, path) in come.iter().enumerate().rev() {
            is_whole &= match number {
                0 => source.rename(path, self.temporary, RenameFlags::NOREPLACE),
                _ => source.remove_file(path),
            }
            .is_ok();
        }
        Outcome {
            made: Err(error),
            is_whole,
        }
    }

    /// Takes the record back, if nothing is left that it has to tell; what was made is on the disk then.
    pub(super) fn end(&self, source: &Source, record: &Path, outcome: &Outcome) {
        match &outcome.made {
            _ if !outcome.is_whole => {}
            Ok(()) => {
                forget_when_durable(source, self.names.iter().map(|(comes, _)| comes), record)
            }
            Err(_) => forget(source, record),
        }
    }
}

/// What came of a change.
pub(super) struct Outcome {
    /// What the system answered, if it was not made.
    pub(super) made: io::Result<()>,
    /// There is one form, and not something of both.
    pub(super) is_whole: bool,
}
