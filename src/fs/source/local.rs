//! Files of this machine: the facts that the system tells of them.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::fs::facts::{Facts, Identity, Kind};
use crate::os::{FileStamp, system_time};

/// What the system knows of a path, links not followed.
pub(in crate::fs) fn facts_at(path: &Path) -> io::Result<Facts> {
    Ok(facts(&path.symlink_metadata()?))
}

/// What the system knows of an open file, now.
pub(in crate::fs) fn facts_of(file: &File) -> io::Result<Facts> {
    Ok(facts(&file.metadata()?))
}

/// A handle of what is at a path, links not followed, that reads nothing and opens nothing.
pub(in crate::fs) fn handle(path: &Path) -> io::Result<File> {
    // Read access is not asked for with O_PATH, though the standard library wants it said.
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    File::options().read(true).custom_flags(flags).open(path)
}

/// Opens a file for reading, unless the path is a link.
pub(in crate::fs) fn open_file(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        // What was a file when it was looked at may be a FIFO now: not to wait for a writer.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

fn facts(meta: &Metadata) -> Facts {
    let [low, high, ..] = meta.mode().to_le_bytes();
    let kind = meta.file_type();
    Facts {
        kind: if kind.is_dir() {
            Some(Kind::Directory)
        } else if kind.is_file() {
            Some(Kind::File)
        } else {
            kind.is_symlink().then_some(Kind::Link)
        },
        size: meta.size(),
        blocks: meta.blocks(),
        mtime: time(meta.mtime(), meta.mtime_nsec()),
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        mode: u16::from_le_bytes([low, high]) & 0o7777,
        nlink: u32::try_from(meta.nlink()).unwrap_or(u32::MAX),
        uid: meta.uid(),
        gid: meta.gid(),
        identity: identity(&FileStamp::from_metadata(meta)),
    }
}

/// The file is its device and inode number, its state the length and times that a write changes.
fn identity(stamp: &FileStamp) -> Identity {
    let mut file = [0; 16];
    let (dev, ino) = file.split_at_mut(8);
    dev.copy_from_slice(&stamp.dev.to_le_bytes());
    ino.copy_from_slice(&stamp.ino.to_le_bytes());
    let mut state = [0; 40];
    let (size, times) = state.split_at_mut(8);
    let (mtime, ctime) = times.split_at_mut(16);
    size.copy_from_slice(&stamp.size.to_le_bytes());
    mtime.copy_from_slice(&stamp.mtime_ns.to_le_bytes());
    ctime.copy_from_slice(&stamp.ctime_ns.to_le_bytes());
    Identity { file, state }
}

fn time(seconds: i64, nanoseconds: i64) -> std::time::SystemTime {
    system_time(seconds, u32::try_from(nanoseconds).unwrap_or(0))
}
