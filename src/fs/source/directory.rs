//! The source directory, reached through a descriptor that was opened before mounting.
//!
//! Paths are relative to it and never leave it, so a mount may lie over its own source: what is
//! below the mount is still reached this way.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::local::facts_of;
use crate::error::{Error, Result};
use crate::format::original_name;
use crate::fs::facts::Facts;

/// What a mount shows.
#[derive(Debug)]
pub struct Source {
    root: OwnedFd,
    /// Canonical path of the root.
    path: PathBuf,
    /// Canonical path of the mount point, which must never be walked into.
    mountpoint: Option<PathBuf>,
    /// The only name of the root that is shown, for a source that is one archive.
    only: Option<OsString>,
    /// True if others than the user who mounts may read.
    for_all_users: bool,
}

impl Source {
    /// Opens a directory, or one archive: its directory, of which nothing else is shown.
    ///
    /// # Errors
    /// `Io` if it cannot be opened, `InvalidInput` if it is neither.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot open {}", path.display()), e);
        let canonical = path.canonicalize().map_err(cannot)?;
        let meta = canonical.metadata().map_err(cannot)?;
        let (directory, only) = if meta.is_dir() {
            (canonical, None)
        } else {
            match (canonical.parent(), canonical.file_name()) {
                (Some(parent), Some(name)) if original_name(name).is_some() => {
                    (parent.to_path_buf(), Some(name.to_os_string()))
                }
                _ => {
                    return Err(Error::InvalidInput(format!(
                        "{} is neither a directory nor a .wfz archive",
                        path.display()
                    )));
                }
            }
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(&directory, flags, Mode::empty()).map_err(|e| cannot(e.into()))?;
        Ok(Self {
            root,
            path: directory,
            mountpoint: None,
            only,
            for_all_users: false,
        })
    }

    /// Says where the source will be mounted, and if for others than the user who mounts.
    ///
    /// # Errors
    /// `InvalidInput` if that is inside the source: the mount would contain itself.
    pub fn set_mountpoint(&mut self, mountpoint: &Path, for_all_users: bool) -> Result<()> {
        let canonical = mountpoint.canonicalize().map_err(|e| {
            Error::io(
                format!("cannot use mount point {}", mountpoint.display()),
                e,
            )
        })?;
        let inside = canonical != self.path && canonical.starts_with(&self.path);
        if inside && self.only.is_none() {
            return Err(Error::InvalidInput(format!(
                "mount point {} lies inside the source {}; choose one outside, or the source itself",
                mountpoint.display(),
                self.path.display()
            )));
        }
        self.mountpoint = Some(canonical);
        self.for_all_users = for_all_users;
        Ok(())
    }

    /// True if others than the user who mounts may read.
    pub(in crate::fs) const fn is_for_all_users(&self) -> bool {
        self.for_all_users
    }

    /// Canonical path of the root.
    pub(in crate::fs) fn path(&self) -> &Path {
        &self.path
    }

    /// True for a canonical path that leads into the mount, also where the source lies below the mount
    /// point. A source that is mounted over itself is reached by its handle, and never by such a path.
    pub(in crate::fs) fn is_in_mount(&self, path: &Path) -> bool {
        self.mountpoint
            .as_deref()
            .is_some_and(|mountpoint| path.starts_with(mountpoint))
    }

    /// What is known of what is at a path, links not followed.
    pub(in crate::fs) fn facts(&self, relative: &Path) -> io::Result<Facts> {
        facts_of(&File::from(
            self.open_at(relative, OFlags::PATH | OFlags::NOFOLLOW)?,
        ))
    }

    /// Opens a regular file for reading.
    pub(in crate::fs) fn open_file(&self, relative: &Path) -> io::Result<File> {
        // Not to wait for a writer should it have become a FIFO meanwhile.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        self.open_at(relative, flags).map(File::from)
    }

    /// The target of a link.
    pub(in crate::fs) fn read_link(&self, relative: &Path) -> io::Result<PathBuf> {
        let link = self.open_at(relative, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(link, c"", Vec::new())?;
        Ok(OsStr::from_bytes(target.to_bytes()).into())
    }

    /// The names in a directory, sorted.
    pub(in crate::fs) fn names(&self, relative: &Path) -> io::Result<Vec<OsString>> {
        if let Some(only) = self.only.as_ref().filter(|_| is_root(relative)) {
            return Ok(vec![only.clone()]);
        }
        let directory = self.open_at(relative, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_os_string());
            }
        }
        names.sort();
        Ok(names)
    }

    /// True unless the source is one archive and this is the name of something beside it.
    pub(in crate::fs) fn shows(&self, directory: &Path, name: &OsStr) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| !is_root(directory) || only == name)
    }

    /// Sizes of the file system that holds the source.
    ///
    /// # Errors
    /// What the system answered.
    pub fn statvfs(&self) -> io::Result<rustix::fs::StatVfs> {
        Ok(rustix::fs::fstatvfs(&self.root)?)
    }

    fn open_at(&self, relative: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let path = if is_root(relative) {
            Path::new(".")
        } else {
            relative
        };
        // Directories of the tree are directories: should one have become a link meanwhile, it must
        // not lead out.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve);
        Ok(match opened {
            // Before Linux 5.6, and in containers whose filter of system calls does not know it.
            Err(Errno::NOSYS | Errno::PERM) => self.walk_to(path, flags)?,
            other => other?,
        })
    }

    /// As `open_at` without its system call: from directory to directory, none of which is a link.
    fn walk_to(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = None;
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let name = match part {
                Component::Normal(name) => name,
                Component::CurDir => OsStr::new("."),
                _ => return Err(Errno::XDEV),
            };
            let flags = match parts.peek() {
                Some(_) => step,
                None => flags | OFlags::NOFOLLOW,
            };
            let at = directory.as_ref().unwrap_or(&self.root);
            directory = Some(rustix::fs::openat(at, name, flags, Mode::empty())?);
        }
        directory.ok_or(Errno::NOENT)
    }
}

fn is_root(relative: &Path) -> bool {
    relative.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Where the system lacks the call, nothing else is reached than with it.
    #[test]
    fn walking_reaches_what_one_call_reaches_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("source/a/b")).unwrap();
        fs::write(at("source/a/b/file"), b"1").unwrap();
        fs::write(at("outside"), b"2").unwrap();
        symlink("a", at("source/inside")).unwrap();
        symlink("../outside", at("source/link")).unwrap();
        symlink("../..", at("source/a/out")).unwrap();
        let source = Source::open(&at("source")).unwrap();
        let file = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let list = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for path in [
            "a/b/file",
            "a/b",
            ".",
            "link",
            "inside",
            "inside/b/file",
            "a/out/outside",
            "../outside",
            "a/../../outside",
            "/etc/passwd",
            "missing/file",
            "a/b/file/x",
        ] {
            for flags in [file, look, list] {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                let at_once =
                    rustix::fs::openat2(&source.root, path, flags, Mode::empty(), resolve);
                let walked = source.walk_to(Path::new(path), flags);
                let inode = |opened: rustix::io::Result<OwnedFd>| {
                    opened.ok().map(|fd| rustix::fs::fstat(fd).unwrap().st_ino)
                };
                assert_eq!(inode(walked), inode(at_once), "{path} {flags:?}");
            }
        }
    }
}
