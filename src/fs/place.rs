//! Where something is: in the source, or outside, where a link of the source led.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::facts::{Facts, Identity};
use super::rights::Rights;
use super::source::Source;
use crate::format::{archive_name, original_name};

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the root of the source, relative to it.
    Inside(PathBuf),
    /// Elsewhere; the path is canonical.
    Outside(PathBuf),
}

/// Where an archive is, and how the mount came by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArchivePlace {
    pub(super) place: Place,
    /// It is shown in the place of a link that leads to it, so that the directories above it are no
    /// directories of the mount.
    pub(super) by_link: bool,
    /// What tells its inode from that of the same archive shown elsewhere, since the kernel knows one set of
    /// permissions for each. Empty if the directories above it hinder nobody.
    pub(super) way: Vec<u8>,
}

/// Changes a path that leads to or through another one; false if it does not.
pub(super) fn move_path(path: &mut PathBuf, from: &Path, to: &Path) -> bool {
    let Ok(rest) = path.strip_prefix(from) else {
        return false;
    };
    *path = match rest.as_os_str().is_empty() {
        true => to.to_path_buf(),
        false => to.join(rest),
    };
    true
}

impl Place {
    /// Its path: relative to the root, or canonical.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Inside(path) | Self::Outside(path) => path,
        }
    }

    pub(super) fn into_path(self) -> PathBuf {
        match self {
            Self::Inside(path) | Self::Outside(path) => path,
        }
    }

    /// Notes that what is shown under a path of the mount, and all below it, is shown under another one.
    pub(super) fn move_to(&mut self, from: &Path, to: &Path) {
        let Self::Inside(path) = self else { return };
        if move_path(path, from, to) {
            return;
        }
        // An archive that is shown as that.
        let name = path.file_name().and_then(original_name);
        if name.is_some_and(|name| path.with_file_name(name) == from) {
            *path = to.with_file_name(archive_name(to.file_name().unwrap_or_default()));
        }
    }

    /// Its path by which others know it.
    pub(super) fn full_path(&self, source: &Source) -> PathBuf {
        match self {
            Self::Inside(path) => source.path().join(path),
            Self::Outside(path) => path.clone(),
        }
    }

    /// What is known of it, links not followed.
    pub(super) fn facts(&self, source: &Source) -> io::Result<Facts> {
        match self {
            Self::Inside(path) => source.facts(path),
            Self::Outside(path) => source.facts_outside(path),
        }
    }

    /// What is known of what is open, and was found here.
    pub(super) fn facts_of(&self, source: &Source, file: &File) -> io::Result<Facts> {
        match self {
            Self::Inside(path) => source.facts_of(file, path),
            Self::Outside(path) => source.facts_of_outside(file, path),
        }
    }

    /// Opens it only to ask about it, links not followed.
    pub(super) fn open_to_ask(&self, source: &Source) -> io::Result<File> {
        match self {
            Self::Inside(path) => source.open_to_ask(path),
            Self::Outside(path) => source.open_outside_to_ask(path),
        }
    }

    /// The same, if it is still the file that was found here, in whatever state.
    ///
    /// # Errors
    /// ESTALE if it is another one.
    pub(super) fn open_same(&self, source: &Source, found: &Identity) -> io::Result<File> {
        let file = self.open_to_ask(source)?;
        if self.facts_of(source, &file)?.identity.file == found.file {
            Ok(file)
        } else {
            Err(io::Error::from_raw_os_error(libc::ESTALE))
        }
    }

    /// What keeps anybody from it who has reached the root, and comes by no directory of the mount.
    pub(super) fn hindrances(&self, source: &Source) -> Vec<Rights> {
        match self {
            Self::Inside(path) => source.hindrances_inside(path),
            Self::Outside(path) => source.hindrances_outside(path),
        }
    }

    /// Opens a regular file for reading.
    pub(super) fn open_file(&self, source: &Source) -> io::Result<File> {
        match self {
            Self::Inside(path) => source.open_file(path),
            Self::Outside(path) => source.open_file_outside(path),
        }
    }

    pub(super) fn read_link(&self, source: &Source) -> io::Result<PathBuf> {
        match self {
            Self::Inside(path) => source.read_link(path),
            Self::Outside(path) => source.read_link_outside(path),
        }
    }

    pub(super) fn join(&self, name: &OsStr) -> Self {
        match self {
            Self::Inside(path) => Self::Inside(path.join(name)),
            Self::Outside(path) => Self::Outside(path.join(name)),
        }
    }

    pub(super) fn parent(self, source: &Source) -> Self {
        match self {
            Self::Inside(path) if path.as_os_str().is_empty() => {
                let parent = source.path().parent().unwrap_or(Path::new("/"));
                Self::Outside(parent.to_path_buf())
            }
            Self::Inside(mut path) => {
                path.pop();
                Self::Inside(path)
            }
            Self::Outside(mut path) => {
                path.pop();
                Self::Outside(path)
            }
        }
    }
}
