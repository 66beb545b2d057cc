//! Walks a directory that is to be copied as a whole.
//!
//! A symbolic link that leads to another place inside the directory stays a link. One that leads
//! out of it is followed: its target would not be there beside the copy. (The snapshots of the
//! Hugging Face hub cache are such links.)

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::archives::original_path;
use super::output::OutputFile;
use super::{Monitor, Totals};
use crate::error::{Error, Result};
use crate::io::leads_out;

/// Something in the directory.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its path below the directory.
    pub(super) relative: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
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
pub(super) fn walk(root: &Path) -> Result<Vec<Entry>> {
    let mut walk = Walk {
        root,
        entries: Vec::new(),
        above: HashSet::new(),
    };
    let meta = fs::metadata(root).map_err(|e| cannot_read(root, e))?;
    walk.directory(Path::new(""), &meta)?;
    Ok(walk.entries)
}

struct Walk<'a> {
    root: &'a Path,
    entries: Vec<Entry>,
    /// The directories the walk is in, by device and inode.
    above: HashSet<(u64, u64)>,
}

impl Walk<'_> {
    fn directory(&mut self, relative: &Path, meta: &Metadata) -> Result<()> {
        let path = self.root.join(relative);
        let identity = (meta.dev(), meta.ino());
        if !self.above.insert(identity) {
            return Err(Error::InvalidInput(format!(
                "{}: symbolic links lead in a circle",
                path.display()
            )));
        }
        let mut names = fs::read_dir(&path)
            .and_then(|entries| {
                entries
                    .map(|e| Ok(e?.file_name()))
                    .collect::<std::io::Result<Vec<OsString>>>()
            })
            .map_err(|e| cannot_read(&path, e))?;
        names.sort();
        for name in names {
            self.entry(relative.join(name))?;
        }
        self.above.remove(&identity);
        Ok(())
    }

    fn entry(&mut self, relative: PathBuf) -> Result<()> {
        let path = self.root.join(&relative);
        let mut meta = fs::symlink_metadata(&path).map_err(|e| cannot_read(&path, e))?;
        if meta.is_symlink() {
            let target = fs::read_link(&path).map_err(|e| cannot_read(&path, e))?;
            let depth = relative.components().count() - 1;
            match fs::metadata(&path) {
                Ok(followed) if leads_out(depth, &target) => meta = followed,
                _ => {
                    let kind = Kind::Link(target);
                    self.entries.push(Entry { relative, kind });
                    return Ok(());
                }
            }
        }
        let kind = if meta.is_dir() {
            Kind::Directory
        } else if meta.is_file() {
            Kind::File
        } else {
            Kind::Special
        };
        let below = matches!(kind, Kind::Directory).then(|| relative.clone());
        self.entries.push(Entry { relative, kind });
        below.map_or(Ok(()), |relative| self.directory(&relative, &meta))
    }
}

/// An archive and the file it stands for, side by side, would become one file.
pub(super) fn refuse_pair(archive: &Path) -> Result<()> {
    match original_path(archive) {
        Some(original) if original.symlink_metadata().is_ok() => Err(Error::InvalidInput(format!(
            "{} and {} are both there; keep one of them",
            original.display(),
            archive.display()
        ))),
        _ => Ok(()),
    }
}

/// Makes a directory with the permission bits of another; one that exists is kept as it is.
pub(super) fn make_directory(like: &Path, to: &Path) -> Result<()> {
    if to.is_dir() {
        return Ok(());
    }
    fs::create_dir(to)
        .and_then(|()| fs::set_permissions(to, fs::metadata(like)?.permissions()))
        .map_err(|e| Error::io(format!("cannot make {}", to.display()), e))
}

/// Makes a symbolic link; with `force` it replaces a file or link that exists.
pub(super) fn make_link(target: &Path, to: &Path, force: bool) -> Result<()> {
    if force && to.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
        fs::remove_file(to)
            .map_err(|e| Error::io(format!("cannot replace {}", to.display()), e))?;
    }
    std::os::unix::fs::symlink(target, to)
        .map_err(|e| Error::io(format!("cannot make {}", to.display()), e))
}

/// Copies a file with its permission bits and times.
pub(super) fn copy_file(
    from: &Path,
    to: &Path,
    force: bool,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let cannot = |e| Error::io(format!("cannot copy {}", from.display()), e);
    let output = OutputFile::create(to, force)?;
    let mut source = fs::File::open(from).map_err(cannot)?;
    let meta = source.metadata().map_err(cannot)?;
    let bytes = std::io::copy(&mut source, &mut output.file()).map_err(cannot)?;
    (monitor.progress)(bytes);
    if monitor.cancel.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    output.sync(meta.mode() & 0o7777, meta.modified().ok())?;
    output.publish()?;
    Ok(Totals {
        original_bytes: bytes,
        stored_bytes: bytes,
        archives: 0,
        copied: 1,
    })
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
                "sub Directory",
                "sub/inside Link(\"../sub\")",
                "sub/out File",
            ]
        );
        symlink(&root, root.join("circle")).unwrap();
        assert!(matches!(walk(&root), Err(Error::InvalidInput(_))));
    }
}
