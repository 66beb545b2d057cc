//! The source directory, reached through a descriptor that was opened before mounting.
//!
//! Paths are relative to it and never leave it, so a mount may lie over its own source: what is
//! below the mount is still reached this way.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::devices::Devices;
use super::lasting::LastingNumbers;
use super::local::{add_hindrances, facts, hindrance_of_mount, list, open_path};
use super::outside::Outside;
use super::reached::{Directory, Reached};
use super::stat::Stat;
use crate::error::{Error, Result};
use crate::format::original_name;
use crate::fs::facts::{Facts, FileNumber};
use crate::fs::rights::Rights;
use crate::os::handle_path;

/// Directories of the tree are directories: should one have become a link meanwhile, it must not lead out.
const STAY_INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// What a mount shows.
#[derive(Debug)]
pub struct Source {
    root: File,
    /// The directories above it, open since before mounting: later, a mount may lie over them.
    above: Vec<File>,
    devices: Devices,
    outside: Outside,
    lasting: LastingNumbers,
    reached: Reached,
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
    /// True if what is shown may be written.
    writable: bool,
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
        let root = open_path(&directory).map_err(cannot)?;
        let device = root.metadata().map_err(cannot)?.dev();
        let above: io::Result<_> = directory.ancestors().skip(1).map(open_path).collect();
        Ok(Self {
            root,
            above: above.map_err(cannot)?,
            devices: Devices::new(device),
            outside: Outside::default(),
            lasting: LastingNumbers::new(),
            reached: Reached::new(),
            path: directory,
            known_as,
            mountpoint: None,
            only,
            for_all_users: false,
            writable: false,
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

    /// Has the source be written to. To be said before anything is looked up.
    ///
    /// # Errors
    /// `InvalidInput` if it is one archive.
    pub(in crate::fs) fn set_writable(&mut self) -> Result<()> {
        if self.only.is_some() {
            return Err(Error::InvalidInput(
                "one archive cannot be mounted to be written; mount the directory that it is in"
                    .into(),
            ));
        }
        self.writable = true;
        Ok(())
    }

    /// Has the way to a directory be believed to lead there for as long as names are, but a fraction of a second at most.
    pub(in crate::fs) fn believe_for(&mut self, ttl: Duration) {
        self.reached.believe_for(ttl);
    }

    /// True if what is shown may be written.
    pub const fn is_writable(&self) -> bool {
        self.writable
    }

    /// True if the mount lies over the source itself.
    pub(in crate::fs) fn is_mounted_over(&self) -> bool {
        self.mountpoint.as_deref() == Some(&self.path)
    }

    /// Canonical path of the root.
    pub(in crate::fs) fn path(&self) -> &Path {
        &self.path
    }

    /// Canonical path of what is mounted: the root, or the one archive.
    pub(in crate::fs) fn mounted_path(&self) -> PathBuf {
        match &self.only {
            Some(only) => self.path.join(only),
            None => self.path.clone(),
        }
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
        Ok(self.facts_of(handle, Path::new(""))?.identity.file == root.identity.file)
    }

    /// What is known of what is at a path, links not followed.
    pub(in crate::fs) fn facts(&self, relative: &Path) -> io::Result<Facts> {
        self.facts_of(&self.open_to_ask(relative)?, relative)
    }

    /// The same for who looks at one name of a directory after the other: of where the way to it led a moment ago.
    pub(in crate::fs) fn facts_lately(&self, relative: &Path) -> io::Result<Facts> {
        let directory = relative.parent().and_then(|parent| self.reached(parent));
        let (Some(directory), Some(name)) = (directory, relative.file_name()) else {
            return self.facts(relative);
        };
        let stat = match Stat::at(&directory.file, name) {
            Ok(Some(stat)) => stat,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(e),
            // The system lacks the call, or says better what is wrong on the whole way.
            Ok(None) | Err(_) => return self.facts(relative),
        };
        if let Some(number) = self.known_number(&stat) {
            return Ok(self.facts_from(&stat, number, relative, |path| self.open_to_ask(path)));
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&directory.file, name, flags, Mode::empty())?;
        self.facts_of(&file.into(), relative)
    }

    /// What is known of what is open, and was found at a path.
    pub(in crate::fs) fn facts_of(&self, file: &File, relative: &Path) -> io::Result<Facts> {
        let stat = Stat::of(file)?;
        let number = self.number(&stat, file);
        Ok(self.facts_from(&stat, number, relative, |path| self.open_to_ask(path)))
    }

    /// What the system tells of a file of this number at a path. `open` opens the directories that it is in, to ask.
    fn facts_from(
        &self,
        stat: &Stat,
        file: u64,
        path: &Path,
        open: impl Fn(&Path) -> io::Result<File>,
    ) -> Facts {
        let device = stat.stamp.dev;
        let is_on = |directory: &Path| is_on(device, open(directory));
        let device = self.devices.number(device, path, is_on);
        facts(stat, FileNumber { device, file }, self.writable)
    }

    /// What is known of a directory that is looked into, if it is one that is kept: as it was a moment ago.
    pub(in crate::fs) fn facts_of_reached(&self, relative: &Path) -> Option<Facts> {
        self.reached(relative).map(|directory| directory.facts)
    }

    /// Has a directory be reached anew.
    pub(in crate::fs) fn forget_reached(&self, relative: &Path) {
        self.reached.forget(relative);
    }

    /// The same of a directory and all below it.
    pub(super) fn forget_reached_below(&self, relative: &Path) {
        self.reached.forget_below(relative);
    }

    /// Closes what is not needed any more.
    pub(in crate::fs) fn let_go(&self) {
        self.reached.let_go();
    }

    /// What is known of what is at a canonical path outside, links not followed.
    pub(in crate::fs) fn facts_outside(&self, path: &Path) -> io::Result<Facts> {
        self.facts_of_outside(&self.open_outside_to_ask(path)?, path)
    }

    /// What is known of what is open, and was found at a canonical path outside.
    pub(in crate::fs) fn facts_of_outside(&self, file: &File, path: &Path) -> io::Result<Facts> {
        let stat = Stat::of(file)?;
        let number = self.number(&stat, file);
        Ok(self.facts_from(&stat, number, path, |path| self.open_outside_to_ask(path)))
    }

    /// The number of a file, one that is never given again where something is written.
    fn number(&self, stat: &Stat, file: &File) -> u64 {
        match self.known_number(stat) {
            Some(number) => number,
            None => self.lasting.ask(file, stat),
        }
    }

    /// The same, if it can be told without the file being open.
    fn known_number(&self, stat: &Stat) -> Option<u64> {
        match self.writable {
            true => self.lasting.known(stat),
            false => Some(stat.stamp.ino),
        }
    }

    /// Opens what is at a path, links not followed, only to ask about it.
    ///
    /// # Errors
    /// What the system answered.
    pub fn open_to_ask(&self, relative: &Path) -> io::Result<File> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        self.open_at(relative, flags).map(File::from)
    }

    /// What keeps anybody from reaching the root: directories above it that not everybody may search.
    pub(in crate::fs) fn hindrances(&self) -> Vec<Rights> {
        let mut hindrances: Vec<_> = hindrance_of_mount(&self.root).into_iter().collect();
        match self.moved_to() {
            None => {
                for directory in &self.above {
                    add_hindrances(directory.try_clone(), &mut hindrances);
                }
            }
            Some(path) => self.add_hindrances_above(&path, |_| true, &mut hindrances),
        }
        hindrances
    }

    /// What keeps anybody who has reached the root from what is at a canonical path outside.
    pub(in crate::fs) fn hindrances_outside(&self, path: &Path) -> Vec<Rights> {
        let mut hindrances = Vec::new();
        let moved = self.moved_to().is_some();
        let not_passed = |directory: &Path| moved || !self.path.starts_with(directory);
        self.add_hindrances_above(path, not_passed, &mut hindrances);
        hindrances
    }

    /// What keeps anybody who has reached the root from what is at a path of the source.
    pub(in crate::fs) fn hindrances_inside(&self, relative: &Path) -> Vec<Rights> {
        let mut hindrances = Vec::new();
        for directory in relative.ancestors().skip(1).filter(|path| !is_root(path)) {
            add_hindrances(self.open_to_ask(directory), &mut hindrances);
        }
        hindrances
    }

    fn add_hindrances_above(
        &self,
        path: &Path,
        counts: impl Fn(&Path) -> bool,
        hindrances: &mut Vec<Rights>,
    ) {
        for directory in path.ancestors().skip(1).filter(|path| counts(path)) {
            if self.is_in_mount(directory) {
                hindrances.push(Rights::of_nobody());
            } else {
                add_hindrances(self.open_outside_to_ask(directory), hindrances);
            }
        }
    }

    /// Where the root is now, if it was moved: others are above it then.
    fn moved_to(&self) -> Option<PathBuf> {
        let here = std::fs::read_link(handle_path(&self.root)).ok()?;
        (here != self.path).then_some(here)
    }

    /// What keeps anybody from entering the mount that something of the source lies on.
    pub(in crate::fs) fn hindrance_of_mount(&self, relative: &Path) -> Option<Rights> {
        match self.open_to_ask(relative) {
            Ok(file) => hindrance_of_mount(&file),
            Err(_) => Some(Rights::of_nobody()),
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// What the system answered.
    pub fn open_file(&self, relative: &Path) -> io::Result<File> {
        // Not to wait for a writer should it have become a FIFO meanwhile.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        self.open_at(relative, flags).map(File::from)
    }

    /// Opens what is at a canonical path outside, links not followed, only to ask about it.
    pub(in crate::fs) fn open_outside_to_ask(&self, path: &Path) -> io::Result<File> {
        self.outside.open(path, OFlags::PATH)
    }

    /// Opens a regular file at a canonical path outside for reading.
    pub(in crate::fs) fn open_file_outside(&self, path: &Path) -> io::Result<File> {
        // As `open_file`.
        self.outside.open(path, OFlags::RDONLY | OFlags::NONBLOCK)
    }

    /// Says what device the mount is, as the table of mounts has it (`major:minor`), so that nothing on it is
    /// ever asked for, by whatever path.
    pub fn set_own_device(&self, device: &str) {
        let parts = device.split_once(':');
        let parts =
            parts.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        if let Some((major, minor)) = parts {
            self.outside.refuse(rustix::fs::makedev(major, minor));
        }
    }

    /// The target of a link.
    pub(in crate::fs) fn read_link(&self, relative: &Path) -> io::Result<PathBuf> {
        target_of(&self.open_to_ask(relative)?)
    }

    /// The same at a canonical path outside.
    pub(in crate::fs) fn read_link_outside(&self, path: &Path) -> io::Result<PathBuf> {
        target_of(&self.open_outside_to_ask(path)?)
    }

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// What the system answered.
    pub fn names(&self, relative: &Path) -> io::Result<Vec<OsString>> {
        if let Some(only) = self.only_in(relative) {
            return Ok(vec![only.to_os_string()]);
        }
        let listed = list(&self.open_directory(relative)?)?;
        let mut names: Vec<_> = listed.into_iter().map(|listed| listed.name).collect();
        names.sort();
        Ok(names)
    }

    /// The only name that is shown in a directory, if the source is one archive and this is where it lies: that directory
    /// need not be readable.
    pub(in crate::fs) fn only_in(&self, directory: &Path) -> Option<&OsStr> {
        self.only.as_deref().filter(|_| is_root(directory))
    }

    /// True unless the source is one archive and this is the name of something beside it.
    pub(in crate::fs) fn shows(&self, directory: &Path, name: &OsStr) -> bool {
        self.only_in(directory).is_none_or(|only| only == name)
    }

    /// Sizes of the file system that holds the source.
    ///
    /// # Errors
    /// What the system answered.
    pub fn statvfs(&self) -> io::Result<rustix::fs::StatVfs> {
        Ok(rustix::fs::fstatvfs(&self.root)?)
    }

    /// A directory that names are looked for in; `None` if it is not to be kept.
    fn reached(&self, relative: &Path) -> Option<Arc<Directory>> {
        // Others might have been let into what was there a moment ago, and not into what is there now.
        if self.for_all_users {
            return None;
        }
        self.reached.get(relative, || {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            // While it is kept open, what is mounted there could not be unmounted.
            let resolve = STAY_INSIDE | ResolveFlags::NO_XDEV;
            let opened = openat2(&self.root, at_root(relative), flags, Mode::empty(), resolve);
            let file = opened?.into();
            let facts = self.facts_of(&file, relative)?;
            Ok(Directory { file, facts })
        })
    }

    pub(super) fn open_at(&self, relative: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let path = at_root(relative);
        Ok(
            match openat2(&self.root, path, flags, Mode::empty(), STAY_INSIDE) {
                // Before Linux 5.6, and in containers whose filter of system calls does not know it.
                Err(Errno::NOSYS | Errno::PERM) => self.walk_to(path, flags)?,
                other => other?,
            },
        )
    }

    /// As `open_at` without its system call: from directory to directory, none of which is a link.
    fn walk_to(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory: Option<OwnedFd> = None;
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
            let at = directory.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            directory = Some(openat(at, name, flags, Mode::empty())?);
        }
        directory.ok_or(Errno::NOENT)
    }
}

fn target_of(link: &File) -> io::Result<PathBuf> {
    let target = rustix::fs::readlinkat(link, c"", Vec::new())?;
    Ok(OsStr::from_bytes(target.to_bytes()).into())
}

fn is_on(device: u64, directory: io::Result<File>) -> bool {
    let meta = directory.and_then(|directory| directory.metadata());
    meta.is_ok_and(|meta| meta.is_dir() && meta.dev() == device)
}

fn is_root(relative: &Path) -> bool {
    relative.as_os_str().is_empty()
}

/// A path as the system takes it.
fn at_root(relative: &Path) -> &Path {
    match is_root(relative) {
        true => Path::new("."),
        false => relative,
    }
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
                let at_once = openat2(&source.root, path, flags, Mode::empty(), STAY_INSIDE);
                let walked = source.walk_to(Path::new(path), flags);
                let inode = |opened: rustix::io::Result<OwnedFd>| {
                    opened.ok().map(|fd| rustix::fs::fstat(fd).unwrap().st_ino)
                };
                assert_eq!(inode(walked), inode(at_once), "{path} {flags:?}");
            }
        }
    }
}
