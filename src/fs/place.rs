//! Where something is: in the source, or outside, where a link of the source led.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::source::{Source, local};

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the root of the source, relative to it.
    Inside(PathBuf),
    /// Elsewhere; the path is canonical.
    Outside(PathBuf),
}

impl Place {
    /// Its path: relative to the root, or canonical.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Inside(path) | Self::Outside(path) => path,
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
            Self::Outside(path) => local::facts_at(path),
        }
    }

    /// A handle of it, links not followed, that reads nothing and opens nothing.
    pub(super) fn handle(&self, source: &Source) -> io::Result<File> {
        match self {
            Self::Inside(path) => source.handle(path),
            Self::Outside(path) => local::handle(path),
        }
    }

    /// Opens a regular file for reading.
    pub(super) fn open_file(&self, source: &Source) -> io::Result<File> {
        match self {
            Self::Inside(path) => source.open_file(path),
            Self::Outside(path) => local::open_file(path),
        }
    }

    pub(super) fn read_link(&self, source: &Source) -> io::Result<PathBuf> {
        match self {
            Self::Inside(path) => source.read_link(path),
            Self::Outside(path) => path.read_link(),
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
