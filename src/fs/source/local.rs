//! Files of this machine: the facts that the system tells of them.

use std::ffi::OsStr;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::RawDir;
use rustix::io::Errno;

use crate::format::checksum;
use crate::fs::facts::{Facts, FileId, FileNumber, Identity, Kind, Listed};
use crate::fs::rights::Rights;
use crate::os::{
    ACCESS_LIST, Entrance, FileStamp, access_list, entrance, file_handle, system_time,
};

/// So much of a directory is read at once.
const LISTING_BYTES: usize = 32 << 10;

/// Opens whatever is at a path of whoever mounts, the last part no link, only to ask about it.
pub(super) fn open_path(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(path)
}

/// Who may do what with a file or directory that is open, at least as a path.
pub(in crate::fs) fn rights_of(file: &File) -> io::Result<Rights> {
    let meta = file.metadata()?;
    let list = access_list(file, ACCESS_LIST)?;
    let list = list.as_deref();
    Ok(Rights::new(meta.uid(), meta.gid(), mode(&meta), list))
}

/// Adds what keeps anybody from reaching what is in a directory, or is not known to let them through.
pub(super) fn add_hindrances(directory: io::Result<File>, hindrances: &mut Vec<Rights>) {
    let Ok(directory) = directory else {
        return hindrances.push(Rights::of_nobody());
    };
    match rights_of(&directory) {
        Ok(rights) => hindrances.extend(rights.that_hinder()),
        Err(_) => hindrances.push(Rights::of_nobody()),
    }
    hindrances.extend(hindrance_of_mount(&directory));
}

/// What keeps anybody from entering the mount that something lies on.
pub(super) fn hindrance_of_mount(file: &File) -> Option<Rights> {
    match entrance(file) {
        Ok(Entrance::All) => None,
        Ok(Entrance::Only(user)) => Some(Rights::of_one(user)),
        Err(_) => Some(Rights::of_nobody()),
    }
}

fn mode(meta: &Metadata) -> u16 {
    let [low, high, ..] = meta.mode().to_le_bytes();
    u16::from_le_bytes([low, high]) & 0o7777
}

/// What the system knows of something on a device of this number (`FileNumber::device`). `in_full`: with what is not
/// shown where nothing is written, and a number that is never given again.
pub(super) fn facts(file: &File, meta: &Metadata, device: u64, in_full: bool) -> Facts {
    let number = if in_full {
        lasting_number(file, meta)
    } else {
        meta.ino()
    };
    Facts {
        kind: kind(meta.file_type()).filter(|kind| in_full || !is_special(*kind)),
        size: meta.size(),
        blocks: meta.blocks(),
        atime: in_full.then(|| time(meta.atime(), meta.atime_nsec())),
        mtime: time(meta.mtime(), meta.mtime_nsec()),
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        mode: mode(meta),
        nlink: u32::try_from(meta.nlink()).unwrap_or(u32::MAX),
        uid: meta.uid(),
        gid: meta.gid(),
        rdev: meta.rdev(),
        identity: identity(&FileStamp::from_metadata(meta)),
        number: FileNumber {
            device,
            file: number,
        },
    }
}

fn kind(file_type: FileType) -> Option<Kind> {
    Some(match file_type {
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_file() => Kind::File,
        kind if kind.is_symlink() => Kind::Link,
        kind if kind.is_fifo() => Kind::Pipe,
        kind if kind.is_socket() => Kind::Socket,
        kind if kind.is_char_device() => Kind::CharacterDevice,
        kind if kind.is_block_device() => Kind::BlockDevice,
        _ => return None,
    })
}

fn is_special(kind: Kind) -> bool {
    !matches!(kind, Kind::Directory | Kind::File | Kind::Link)
}

/// File systems give the number of a file that is gone to the next one that is made: the kernel, which may still know
/// the former, must not take one for the other.
fn lasting_number(file: &File, meta: &Metadata) -> u64 {
    let handle = file_handle(file).or_else(|| {
        let born = meta.created().ok()?;
        let since = born.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let mut bytes = meta.ino().to_le_bytes().to_vec();
        bytes.extend_from_slice(&since.as_nanos().to_le_bytes());
        Some(bytes)
    });
    handle.map_or(meta.ino(), |handle| checksum(&handle))
}

/// The file is its device and inode number, its state the length and times that a write changes.
fn identity(stamp: &FileStamp) -> Identity {
    let file = file_id(stamp.dev, stamp.ino);
    let mut state = [0; 40];
    let (size, times) = state.split_at_mut(8);
    let (mtime, ctime) = times.split_at_mut(16);
    size.copy_from_slice(&stamp.size.to_le_bytes());
    mtime.copy_from_slice(&stamp.mtime_ns.to_le_bytes());
    ctime.copy_from_slice(&stamp.ctime_ns.to_le_bytes());
    Identity { file, state }
}

/// What is in a directory, in no order.
pub(in crate::fs) fn list(mut directory: &File) -> io::Result<Vec<Listed>> {
    // It may have been listed before.
    directory.rewind()?;
    let device = directory.metadata()?.dev();
    let mut buffer = Vec::with_capacity(LISTING_BYTES);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Err(Errno::INTR) => continue,
            // It was removed meanwhile, so there is nothing in it.
            Err(Errno::NOENT) => break,
            entry => entry?,
        };
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            let kind = kind_of_entry(entry.file_type());
            found.push(Listed {
                name: name.to_os_string(),
                plain: kind.map(|kind| (kind, file_id(device, entry.ino()))),
            });
        }
    }
    Ok(found)
}

/// What an entry of a directory is, if that says what is shown of it.
const fn kind_of_entry(file_type: rustix::fs::FileType) -> Option<Kind> {
    match file_type {
        rustix::fs::FileType::Directory => Some(Kind::Directory),
        rustix::fs::FileType::RegularFile => Some(Kind::File),
        _ => None,
    }
}

/// Which file it is, by the numbers that the system tells of it. What a directory says of a name may be another number: that of
/// what another file system is mounted over, for one.
fn file_id(device: u64, inode: u64) -> FileId {
    let mut file = [0; 16];
    let (dev, ino) = file.split_at_mut(8);
    dev.copy_from_slice(&device.to_le_bytes());
    ino.copy_from_slice(&inode.to_le_bytes());
    file
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    system_time(seconds, u32::try_from(nanoseconds).unwrap_or(0))
}
