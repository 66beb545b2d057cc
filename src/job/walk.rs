//! Walks a directory that is to be turned into another as a whole.
//!
//! A symbolic link that leads to another place inside the directory stays a link. One that leads
//! out of it is followed: its target would not be there beside the result. (The snapshots of the
//! Hugging Face hub cache are such links.) In a directory that was reached through a link, inside
//! means inside that directory.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::os::leads_out;

/// Something in the directory.
#[derive(Debug)]
pub(super) struct WalkEntry {
    /// Its path below the directory.
    pub(super) relative: PathBuf,
    /// Where it is in truth, links that were followed resolved.
    pub(super) from: PathBuf,
    pub(super) kind: EntryKind,
}

#[derive(Debug)]
pub(super) enum EntryKind {
    Directory,
    File,
    /// A link to be made again with this target.
    Link(PathBuf),
    /// A FIFO, socket or device.
    Special,
}

/// Everything below a directory, sorted, directories before what is in them.
///
/// # Errors
/// `Io` if a directory cannot be read, `InvalidInput` if links lead in a circle.
pub(super) fn walk(root: &Path) -> Result<Vec<WalkEntry>> {
    let mut walk = Walk {
        entries: Vec::new(),
        above: HashSet::new(),
    };
    let canonical = root.canonicalize().map_err(|e| cannot_read(root, e))?;
    let meta = fs::metadata(root).map_err(|e| cannot_read(root, e))?;
    let base = Base {
        path: &canonical,
        depth: 0,
    };
    walk.directory(root, Path::new(""), &base, &meta)?;
    Ok(walk.entries)
}

/// The root of the walk, or the directory that the last link led to.
struct Base<'a> {
    /// Canonical path.
    path: &'a Path,
    /// Names in the relative path of the directory itself.
    depth: usize,
}

struct Walk {
    entries: Vec<WalkEntry>,
    /// The directories the walk is in, by device and inode.
    above: HashSet<(u64, u64)>,
}

impl Walk {
    fn directory(
        &mut self,
        path: &Path,
        relative: &Path,
        base: &Base<'_>,
        meta: &Metadata,
    ) -> Result<()> {
        let identity = (meta.dev(), meta.ino());
        if !self.above.insert(identity) {
            return Err(Error::InvalidInput(format!(
                "{}: symbolic links lead in a circle",
                path.display()
            )));
        }
        let mut names = fs::read_dir(path)
            .and_then(|entries| {
                entries
                    .map(|e| Ok(e?.file_name()))
                    .collect::<std::io::Result<Vec<OsString>>>()
            })
            .map_err(|e| cannot_read(path, e))?;
        names.sort();
        for name in names {
            self.entry(path.join(&name), relative.join(name), base)?;
        }
        self.above.remove(&identity);
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, relative: PathBuf, base: &Base<'_>) -> Result<()> {
        let meta = fs::symlink_metadata(&path).map_err(|e| cannot_read(&path, e))?;
        if !meta.is_symlink() {
            return self.thing(path, relative, base, &meta);
        }
        let target = fs::read_link(&path).map_err(|e| cannot_read(&path, e))?;
        let depth = relative.components().count() - 1 - base.depth;
        let end = match path.canonicalize() {
            Ok(end) => end,
            Err(e)
                if matches!(
                    e.raw_os_error(),
                    Some(libc::ENOENT | libc::ELOOP | libc::ENOTDIR)
                ) =>
            {
                // It leads nowhere, and may as well do so elsewhere; or it is the name of a file
                // that stands there as an archive.
                return self.link(path, relative, target);
            }
            Err(e) => return Err(cannot_read(&path, e)),
        };
        if !leads_out(depth, &target) && end.starts_with(base.path) {
            return self.link(path, relative, target);
        }
        let meta = fs::metadata(&end).map_err(|e| cannot_read(&path, e))?;
        let base = Base {
            path: &end,
            depth: relative.components().count(),
        };
        self.thing(end.clone(), relative, &base, &meta)
    }

    fn link(&mut self, from: PathBuf, relative: PathBuf, target: PathBuf) -> Result<()> {
        self.entries.push(WalkEntry {
            relative,
            from,
            kind: EntryKind::Link(target),
        });
        Ok(())
    }

    fn thing(
        &mut self,
        from: PathBuf,
        relative: PathBuf,
        base: &Base<'_>,
        meta: &Metadata,
    ) -> Result<()> {
        let kind = if meta.is_dir() {
            EntryKind::Directory
        } else if meta.is_file() {
            EntryKind::File
        } else {
            EntryKind::Special
        };
        let is_directory = meta.is_dir();
        self.entries.push(WalkEntry {
            relative: relative.clone(),
            from: from.clone(),
            kind,
        });
        if is_directory {
            self.directory(&from, &relative, base, meta)?;
        }
        Ok(())
    }
}

fn cannot_read(path: &Path, error: std::io::Error) -> Error {
    Error::io(format!("cannot read {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_inside_stay_and_links_out_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        fs::write(dir.path().join("blobs/a"), "a").unwrap();
        symlink("../../blobs/a", root.join("sub/out")).unwrap();
        symlink("../sub", root.join("sub/inside")).unwrap();
        symlink("gone", root.join("dangling")).unwrap();
        symlink("../blobs", root.join("dir")).unwrap();
        // In the directory behind that link, one that leads out of it, and one that does not.
        fs::create_dir(dir.path().join("more")).unwrap();
        fs::write(dir.path().join("more/b"), "b").unwrap();
        symlink("../more/b", dir.path().join("blobs/out")).unwrap();
        symlink("a", dir.path().join("blobs/same")).unwrap();
        let found: Vec<_> = walk(&root)
            .unwrap()
            .into_iter()
            .map(|e| format!("{} {:?}", e.relative.display(), e.kind))
            .collect();
        assert_eq!(
            found,
            [
                "dangling Link(\"gone\")",
                "dir Directory",
                "dir/a File",
                "dir/out File",
                "dir/same Link(\"a\")",
                "sub Directory",
                "sub/inside Link(\"../sub\")",
                "sub/out File",
            ]
        );
        symlink(&root, root.join("circle")).unwrap();
        assert!(matches!(walk(&root), Err(Error::InvalidInput(_))));
    }
}
