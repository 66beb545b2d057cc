//! Files of this machine: the facts that the system tells of them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

use super::stat::Stat;
use crate::fs::facts::{Facts, FileId, FileNumber, Identity, Kind, Listed};
use crate::fs::rights::Rights;
use crate::os::{ACCESS_LIST, Entrance, FileStamp, access_list, entrance};

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
    let stat = Stat::of(file)?;
    let list = access_list(file, ACCESS_LIST)?;
    let list = list.as_deref();
    Ok(Rights::new(stat.uid, stat.gid, stat.mode, list))
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

/// What the system tells of something of this number. `in_full`: with what is not shown where nothing is written.
pub(super) fn facts(stat: &Stat, number: FileNumber, in_full: bool) -> Facts {
    Facts {
        kind: kind(stat.kind).filter(|kind| in_full || !is_special(*kind)),
        size: stat.stamp.size,
        blocks: stat.blocks,
        atime: in_full.then_some(stat.atime),
        mtime: stat.mtime,
        ctime: stat.ctime,
        mode: stat.mode,
        nlink: stat.nlink,
        uid: stat.uid,
        gid: stat.gid,
        rdev: stat.rdev,
        identity: identity(&stat.stamp),
        number,
    }
}

const fn kind(file_type: FileType) -> Option<Kind> {
    Some(match file_type {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Pipe,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharacterDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        _ => return None,
    })
}

const fn is_special(kind: Kind) -> bool {
    !matches!(kind, Kind::Directory | Kind::File | Kind::Link)
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
            // Of others, the directory does not say what is shown.
            let is_plain = |kind: &Kind| matches!(kind, Kind::Directory | Kind::File);
            let kind = kind(entry.file_type()).filter(is_plain);
            found.push(Listed {
                name: name.to_os_string(),
                plain: kind.map(|kind| (kind, file_id(device, entry.ino()))),
            });
        }
    }
    Ok(found)
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
