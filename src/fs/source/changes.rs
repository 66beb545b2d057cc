//! What changes the source: names that are made, moved and removed, and files opened to be written.
//!
//! As all of it, by paths below the root on which no link is followed: the directory is reached first, and what happens
//! happens to a name in it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, linkat, makedev, mkdirat, mknodat, openat,
    renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::directory::Source;
use crate::fs::facts::Kind;

/// Of a directory that something is changed in.
const TO_CHANGE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
/// Of files: no link is followed, nobody is waited for, no program that is started gets it.
const NEVER_WAIT: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);
/// So long it is waited for whoever holds a lease on a file, and so long between two tries.
const MOST_WAIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

impl Source {
    /// Makes a file and opens it. `mode` tells its permission bits by the directory that it is made in, as with all that
    /// follow.
    pub(in crate::fs) fn create(
        &self,
        path: &Path,
        flags: OFlags,
        mode: impl FnOnce(&File) -> io::Result<u32>,
    ) -> io::Result<File> {
        let (directory, name) = self.parent(path)?;
        let mode = mode(&directory)?;
        let flags = flags | OFlags::CREATE | OFlags::EXCL | NEVER_WAIT;
        Ok(openat(directory, name, flags, Mode::from(mode))?.into())
    }

    pub(in crate::fs) fn make_directory(
        &self,
        path: &Path,
        mode: impl FnOnce(&File) -> io::Result<u32>,
    ) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        let mode = mode(&directory)?;
        Ok(mkdirat(directory, name, Mode::from(mode))?)
    }

    /// Makes what is neither a directory nor a link.
    pub(in crate::fs) fn make_node(
        &self,
        path: &Path,
        kind: Kind,
        mode: impl FnOnce(&File) -> io::Result<u32>,
        (major, minor): (u32, u32),
    ) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        let mode = mode(&directory)?;
        let kind = match kind {
            Kind::File => FileType::RegularFile,
            Kind::Pipe => FileType::Fifo,
            Kind::Socket => FileType::Socket,
            Kind::CharacterDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            Kind::Directory | Kind::Link => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let device = makedev(major, minor);
        Ok(mknodat(directory, name, kind, Mode::from(mode), device)?)
    }

    pub(in crate::fs) fn make_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        Ok(symlinkat(target, directory, name)?)
    }

    /// Gives what has a name another one beside it.
    pub(in crate::fs) fn add_name(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_directory, from) = self.parent(from)?;
        let (to_directory, to) = self.parent(to)?;
        Ok(linkat(
            from_directory,
            from,
            to_directory,
            to,
            AtFlags::empty(),
        )?)
    }

    pub(in crate::fs) fn rename(
        &self,
        from: &Path,
        to: &Path,
        flags: RenameFlags,
    ) -> io::Result<()> {
        let (from_directory, from_name) = self.parent(from)?;
        let (to_directory, to_name) = self.parent(to)?;
        let rename =
            |flags| renameat_with(&from_directory, from_name, &to_directory, to_name, flags);
        match rename(flags) {
            // File systems that know no flags.
            Err(Errno::INVAL) if flags == RenameFlags::NOREPLACE => match self.facts(to) {
                Ok(_) => Err(Errno::EXIST),
                Err(_) => rename(RenameFlags::empty()),
            },
            renamed => renamed,
        }?;
        self.forget_reached_below(from);
        self.forget_reached_below(to);
        Ok(())
    }

    pub(in crate::fs) fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        Ok(unlinkat(directory, name, AtFlags::empty())?)
    }

    pub(in crate::fs) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        unlinkat(directory, name, AtFlags::REMOVEDIR)?;
        self.forget_reached_below(path);
        Ok(())
    }

    /// Opens a regular file, to read or to write it as `flags` say.
    pub(in crate::fs) fn open_as(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        // Not to wait for a reader should it have become a FIFO meanwhile.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let start = Instant::now();
        loop {
            match self.open_at(path, flags) {
                // Somebody looks whether anybody has it open for writing, or packs it, and gives way.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && start.elapsed() < MOST_WAIT => {
                    std::thread::sleep(PAUSE);
                }
                opened => return opened.map(File::from),
            }
        }
    }

    /// Opens a directory, to list it or to have the names in it be on the disk.
    pub(in crate::fs) fn open_directory(&self, path: &Path) -> io::Result<File> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map(File::from)
    }

    /// Has the names of a directory be on the disk.
    pub(in crate::fs) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.open_directory(path)?.sync_all()
    }

    /// The number of the device that a directory lies on, as the system has it now.
    pub(in crate::fs) fn device_of(&self, path: &Path) -> io::Result<u64> {
        Ok(self.open_to_ask(path)?.metadata()?.dev())
    }

    fn parent<'p>(&self, path: &'p Path) -> io::Result<(File, &'p OsStr)> {
        let name = path.file_name();
        let name = name.ok_or_else(|| io::Error::from_raw_os_error(libc::EBUSY))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Ok((self.open_at(directory, TO_CHANGE)?.into(), name))
    }
}
