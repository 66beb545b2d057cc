//! What the system tells of a file that is open, or that has a name in an open directory.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::io::Errno;

use crate::os::{FileStamp, nanoseconds, system_time};

/// What it tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat {
    pub(super) kind: FileType,
    pub(super) stamp: FileStamp,
    /// Space it takes, in units of 512 bytes.
    pub(super) blocks: u64,
    pub(super) atime: SystemTime,
    pub(super) mtime: SystemTime,
    pub(super) ctime: SystemTime,
    /// When it was made, where that is known.
    pub(super) born: Option<SystemTime>,
    /// Permission bits.
    pub(super) mode: u16,
    pub(super) nlink: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) rdev: u64,
}

impl Stat {
    /// Of what is open, at least as a path.
    ///
    /// # Errors
    /// What the system answered.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from_metadata(&file.metadata()?))
    }

    /// Of a name in a directory, links not followed; `None` where the system lacks the call for it.
    ///
    /// # Errors
    /// What the system answered.
    pub(super) fn at(directory: &File, name: &OsStr) -> io::Result<Option<Self>> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        match statx(directory, name, flags, wanted) {
            Ok(told) => Ok(Some(Self::from_statx(&told))),
            // Before Linux 4.11, and in containers whose filter of system calls does not know it.
            Err(Errno::NOSYS | Errno::PERM) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn from_metadata(meta: &Metadata) -> Self {
        let time =
            |seconds, nanoseconds| system_time(seconds, u32::try_from(nanoseconds).unwrap_or(0));
        Self {
            kind: FileType::from_raw_mode(meta.mode()),
            stamp: FileStamp::from_metadata(meta),
            blocks: meta.blocks(),
            atime: time(meta.atime(), meta.atime_nsec()),
            mtime: time(meta.mtime(), meta.mtime_nsec()),
            ctime: time(meta.ctime(), meta.ctime_nsec()),
            born: meta.created().ok(),
            mode: permissions(meta.mode()),
            nlink: u32::try_from(meta.nlink()).unwrap_or(u32::MAX),
            uid: meta.uid(),
            gid: meta.gid(),
            rdev: meta.rdev(),
        }
    }

    fn from_statx(told: &Statx) -> Self {
        let time = |time: StatxTimestamp| system_time(time.tv_sec, time.tv_nsec);
        let nanoseconds = |time: StatxTimestamp| nanoseconds(time.tv_sec, time.tv_nsec.into());
        let mode = u32::from(told.stx_mode);
        let knows_birth = StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::BTIME);
        Self {
            kind: FileType::from_raw_mode(mode),
            stamp: FileStamp {
                dev: makedev(told.stx_dev_major, told.stx_dev_minor),
                ino: told.stx_ino,
                size: told.stx_size,
                mtime_ns: nanoseconds(told.stx_mtime),
                ctime_ns: nanoseconds(told.stx_ctime),
            },
            blocks: told.stx_blocks,
            atime: time(told.stx_atime),
            mtime: time(told.stx_mtime),
            ctime: time(told.stx_ctime),
            born: knows_birth.then(|| time(told.stx_btime)),
            mode: permissions(mode),
            nlink: told.stx_nlink,
            uid: told.stx_uid,
            gid: told.stx_gid,
            rdev: makedev(told.stx_rdev_major, told.stx_rdev_minor),
        }
    }
}

fn permissions(mode: u32) -> u16 {
    let [low, high, ..] = mode.to_le_bytes();
    u16::from_le_bytes([low, high]) & 0o7777
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Who compares what was told in one way with what was told in the other must not take one file for two.
    #[test]
    fn a_name_tells_the_same_as_the_open_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), [1; 5_000]).unwrap();
        fs::set_permissions(at("file"), fs::Permissions::from_mode(0o4_751)).unwrap();
        fs::hard_link(at("file"), at("again")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        symlink("file", at("link")).unwrap();
        let before_epoch = SystemTime::UNIX_EPOCH - std::time::Duration::from_millis(1_500);
        let file = File::options().write(true).open(at("file")).unwrap();
        file.set_modified(before_epoch).unwrap();
        let directory = File::open(dir.path()).unwrap();
        for name in ["file", "again", "directory", "link"] {
            let meta = fs::symlink_metadata(at(name)).unwrap();
            let told = Stat::at(&directory, name.as_ref()).unwrap().unwrap();
            let expected = Stat::from_metadata(&meta);
            assert_eq!(format!("{told:?}"), format!("{expected:?}"));
        }
        let null = Stat::at(&File::open("/dev").unwrap(), "null".as_ref());
        let null = null.unwrap().unwrap();
        assert_eq!(null.rdev, fs::metadata("/dev/null").unwrap().rdev());
        let error = Stat::at(&directory, "none".as_ref()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
