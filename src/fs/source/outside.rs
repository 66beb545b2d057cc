//! What lies outside the source, where a link of the source led.
//!
//! The paths were canonical when they were found. Any directory on the way may be a link since, or have the
//! mount itself lie over it: links are not followed, with rights that whoever made them need not have, and
//! the mount is never entered, which would wait for itself. So each path is walked step by step.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, makedev, open, openat, statx};
use rustix::io::Errno;

/// Opens what lies outside.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// The device of the mount that shows the source, which is one wherever it is mounted as well.
    own: OnceLock<u64>,
}

impl Outside {
    /// Says which device the mount is.
    pub(super) fn refuse(&self, device: u64) {
        // A source is mounted once.
        let _ = self.own.set(device);
    }

    /// Opens what is at an absolute path, no part of which is a link, but the last as a path only.
    ///
    /// # Errors
    /// What the system answered; XDEV for what is in the mount.
    pub(super) fn open(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let mut at = open("/", STEP | OFlags::DIRECTORY, Mode::empty())?;
        let mut parts = path.components().peekable();
        // For the root itself.
        let mut last = OsStr::new(".");
        while let Some(part) = parts.next() {
            let name = match part {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name,
                Component::ParentDir | Component::Prefix(_) => return Err(Errno::XDEV.into()),
            };
            if parts.peek().is_none() {
                last = name;
                break;
            }
            at = self.step(&at, name, OFlags::DIRECTORY)?;
        }
        let found = self.step(&at, last, OFlags::empty())?;
        if flags.contains(OFlags::PATH) {
            return Ok(found.into());
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&at, last, flags, Mode::empty())?.into())
    }

    fn step(&self, at: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
        let next = openat(at, name, STEP | flags, Mode::empty())?;
        let Some(own) = self.own.get() else {
            return Ok(next);
        };
        // Told by the kernel alone: who serves it is not asked.
        let not_asked = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        match statx(&next, c"", not_asked, StatxFlags::empty()) {
            Ok(told) if makedev(told.stx_dev_major, told.stx_dev_minor) == *own => {
                Err(Errno::XDEV.into())
            }
            // Before Linux 4.11, or behind a filter of system calls, paths alone tell (`is_in_mount`).
            Ok(_) | Err(Errno::NOSYS | Errno::PERM) => Ok(next),
            Err(e) => Err(e.into()),
        }
    }
}

const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    const LOOK: OFlags = OFlags::PATH;
    const READ: OFlags = OFlags::RDONLY;

    #[test]
    fn a_directory_that_has_become_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::create_dir_all(at("secret/b")).unwrap();
        fs::write(at("a/b/f"), b"1").unwrap();
        fs::write(at("secret/b/f"), b"2").unwrap();
        symlink("f", at("a/b/l")).unwrap();
        let outside = Outside::default();
        let inode = |path: &str, flags| {
            let opened = outside.open(&at(path), flags);
            opened.map(|file| file.metadata().unwrap().ino()).ok()
        };
        for flags in [LOOK, READ] {
            let meta = fs::metadata(at("a/b/f")).unwrap();
            assert_eq!(inode("a/b/f", flags), Some(meta.ino()));
            assert!(inode("a/b", flags).is_some() && inode("a/b/f/x", flags).is_none());
            assert!(outside.open(Path::new("/"), flags).is_ok());
        }
        assert!(inode("a/b/l", LOOK).is_some() && inode("a/b/l", READ).is_none());
        fs::rename(at("a"), at("before")).unwrap();
        symlink("secret", at("a")).unwrap();
        for flags in [LOOK, READ] {
            assert_eq!(inode("a/b/f", flags), None);
        }
    }

    /// /proc stands for the mount: it lies on a device of its own.
    #[test]
    fn what_lies_on_the_device_of_the_mount_is_not_entered() {
        let outside = Outside::default();
        let open = |path: &str, flags| outside.open(Path::new(path), flags).map(drop);
        for flags in [LOOK, READ] {
            open("/proc/version", flags).unwrap();
        }
        outside.refuse(fs::metadata("/proc").unwrap().dev());
        for flags in [LOOK, READ] {
            for path in ["/proc", "/proc/version", "/proc/none/x"] {
                let error = open(path, flags).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EXDEV), "{path}");
            }
            open("/", flags).unwrap();
        }
    }
}
