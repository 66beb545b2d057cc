//! Reads and writes at an offset, and the stamp that tells whether a file was changed meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, SystemTime};

use rustix::fs::Timespec;

/// Reads at `offset` until `buf` is full or the file ends; returns how many bytes were read.
///
/// # Errors
/// What the system answered; interrupted calls are repeated.
pub fn read_full_at(file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let mut total = 0;
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => break,
            Ok(n) => {
                total += n;
                offset += n as u64;
                buf = &mut buf[n..];
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(total)
}

/// Writes all of `buf` at `offset`.
///
/// # Errors
/// What the system answered.
pub fn write_all_at(file: &File, buf: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(buf, offset)
}

/// What identifies one state of a file: two equal stamps mean that nobody wrote to it in between
/// (as far as the file system keeps times).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Time of last modification, nanoseconds since the epoch.
    pub mtime_ns: i128,
    /// Time of last change of data or metadata, nanoseconds since the epoch.
    pub ctime_ns: i128,
}

impl FileStamp {
    /// The stamp of an open file, now.
    ///
    /// # Errors
    /// What the system answered.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from_metadata(&file.metadata()?))
    }

    /// The stamp that a file's metadata tell.
    pub fn from_metadata(meta: &std::fs::Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            mtime_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// A time of the kernel: seconds since the epoch, nanoseconds of the second. One that cannot be
/// represented becomes the epoch.
pub fn system_time(seconds: i64, nanoseconds: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    base.and_then(|base| base.checked_add(Duration::from_nanos(nanoseconds.into())))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Seconds and nanoseconds since 1970, rounded down, so that the nanoseconds count up also before 1970.
pub fn since_epoch(time: SystemTime) -> (i64, u32) {
    let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (whole(since), since.subsec_nanos()),
        Err(before) => match before.duration() {
            before if before.subsec_nanos() == 0 => (-whole(before), 0),
            before => (-whole(before) - 1, 1_000_000_000 - before.subsec_nanos()),
        },
    }
}

/// A time as the system takes it.
pub fn timespec(time: SystemTime) -> Timespec {
    let (tv_sec, nanoseconds) = since_epoch(time);
    Timespec {
        tv_sec,
        tv_nsec: nanoseconds.into(),
    }
}

/// A time of the kernel in nanoseconds since the epoch.
pub fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}
