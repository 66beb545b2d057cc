//! The source directory, reached through a descriptor that was opened before mounting.
//!
//! Paths are relative to it and never leave it, so a mount may lie over its own source: what is
//! below the mount is still reached this way.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};

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
    /// Path by which whoever mounts knows the root.
    known_as: PathBuf,
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
        let (directory, only, known_as) = if meta.is_dir() {
            (canonical, None, std::path::absolute(path).map_err(cannot)?)
        } else {
            match (canonical.parent(), canonical.file_name()) {
                (Some(parent), Some(name)) if original_name(name).is_some() => {
                    let parent = parent.to_path_buf();
                    (parent.clone(), Some(name.to_os_string()), parent)
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
            known_as,
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

    /// Path by which whoever mounts knows the root, from `/` on, links in it included.
    pub fn known_as(&self) -> &Path {
        &self.known_as
    }

    /// True if a handle is one of the root, by whatever path it was reached.
    ///
    /// # Errors
    /// What the system answered.
    pub fn is_root(&self, handle: &File) -> io::Result<bool> {
        let root = self.facts(Path::new(""))?;
        Ok(facts_of(handle)?.identity.file == root.identity.file)
    }

    /// What is known of what is at a path, links not followed.
    pub(in crate::fs) fn facts(&self, relative: &Path) -> io::Result<Facts> {
        facts_of(&self.handle(relative)?)
    }

    /// A handle of what is at a path, links not followed, that reads nothing and opens nothing.
    pub(in crate::fs) fn handle(&self, relative: &Path) -> io::Result<File> {
        self.open_at(relative, OFlags::PATH | OFlags::NOFOLLOW)
            .map(File::from)
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
            // Before Linux 5.6, and in some sandboxes.
            Err(rustix::io::Errno::NOSYS) => {
                rustix::fs::openat(&self.root, path, flags, Mode::empty())?
            }
            other => other?,
        })
    }
}

fn is_root(relative: &Path) -> bool {
    relative.as_os_str().is_empty()
}
