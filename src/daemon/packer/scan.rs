//! Looking through a source for files that may be packed, a little at a time: those that came while nobody
//! watched, and those that a killed run has left.
//!
//! Follows no link, leaves the file system that the source is on alone for none, and knows nothing of what is in
//! a file.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::vec;

use crate::format::{is_own, original_name};
use crate::fs::Source;

/// Names that are looked at in one go.
const NAMES_AT_ONCE: usize = 64;

/// How far it is.
#[derive(Debug)]
pub(super) struct Scan {
    directories: Vec<PathBuf>,
    /// What is left of one that is being looked at.
    names: Option<(PathBuf, vec::IntoIter<OsString>)>,
}

impl Scan {
    /// Of all of a source.
    pub(super) fn of_all() -> Self {
        Self {
            directories: vec![PathBuf::new()],
            names: None,
        }
    }

    /// Looks through a directory as well.
    pub(super) fn add(&mut self, directory: PathBuf) {
        self.directories.push(directory);
    }

    /// Whether there is nothing left to look at.
    pub(super) fn is_done(&self) -> bool {
        self.directories.is_empty() && self.names.is_none()
    }

    /// Looks at some names; returns the paths of regular files that are no archives by theirs.
    pub(super) fn step(&mut self, source: &Source) -> Vec<PathBuf> {
        if self.names.is_none()
            && let Some(directory) = self.directories.pop()
        {
            // What cannot be read has nothing to pack.
            let names = source.names(&directory).unwrap_or_default();
            self.names = Some((directory, names.into_iter()));
        }
        let Some((directory, names)) = &mut self.names else {
            return Vec::new();
        };
        let some: Vec<_> = names.by_ref().take(NAMES_AT_ONCE).collect();
        let directory = directory.clone();
        if some.len() < NAMES_AT_ONCE {
            self.names = None;
        }
        let device = device(source, Path::new(""));
        let mut files = Vec::new();
        for path in some.iter().map(|name| directory.join(name)) {
            if is_own(&path)
                || path
                    .file_name()
                    .is_none_or(|name| original_name(name).is_some())
            {
                continue;
            }
            let Ok(meta) = source.open_to_ask(&path).and_then(|file| file.metadata()) else {
                continue;
            };
            if meta.is_file() {
                files.push(path);
            } else if meta.is_dir() && Some(meta.dev()) == device {
                self.directories.push(path);
            }
        }
        files
    }
}

fn device(source: &Source, path: &Path) -> Option<u64> {
    let meta = source.open_to_ask(path).and_then(|file| file.metadata());
    meta.ok().map(|meta| meta.dev())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_file_is_found_once_and_no_link_or_archive() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mut expected = Vec::new();
        for name in ["a", "b/c/d", "b/.hidden", "e.safetensors"] {
            expected.push(PathBuf::from(name));
        }
        for number in 0..3 * NAMES_AT_ONCE {
            expected.push(PathBuf::from(format!("many/{number}")));
        }
        let others = ["a.wfz", ".weightfs/bases/x", "b/.weightfs/y"].map(PathBuf::from);
        for path in expected.iter().chain(&others) {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "x").unwrap();
        }
        symlink("a", root.join("link")).unwrap();
        symlink("b", root.join("link-to-directory")).unwrap();
        let source = Source::open(root).unwrap();
        let mut scan = Scan::of_all();
        let mut found = Vec::new();
        while !scan.is_done() {
            found.extend(scan.step(&source));
        }
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}
