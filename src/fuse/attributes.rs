//! Attributes as the kernel wants them, and as it wants them changed.

use std::time::SystemTime;

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};

use crate::fs::{Attr, Inode, Kind, NewAttr, NewTime};

/// What `stat` advises as the size of a read; programs that read past the page cache align to it.
pub(super) const IO_BLOCK_BYTES: u32 = 4096;

pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Link => FileType::Symlink,
        Kind::Pipe => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharacterDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
    }
}

/// What mknod(2) is to make; `None` for what it does not.
pub(super) const fn kind_of_mode(mode: u32) -> Option<Kind> {
    Some(match mode & libc::S_IFMT {
        0 | libc::S_IFREG => Kind::File,
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharacterDevice,
        libc::S_IFBLK => Kind::BlockDevice,
        _ => return None,
    })
}

/// Attributes as the kernel wants them.
pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.inode),
        size: attr.size,
        blocks: attr.blocks,
        atime: attr.atime,
        mtime: attr.mtime,
        ctime: attr.ctime,
        crtime: attr.mtime,
        kind: file_type(attr.kind),
        perm: attr.mode,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        // The kernel has but 32 bits for it, which hold what is used.
        rdev: u32::try_from(attr.rdev).unwrap_or(0),
        blksize: IO_BLOCK_BYTES,
        flags: 0,
    }
}

/// Those of something of which no more is known than what it is.
pub(super) fn unknown(inode: Inode, kind: Kind) -> FileAttr {
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(inode),
        size: 0,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: file_type(kind),
        perm: 0,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: IO_BLOCK_BYTES,
        flags: 0,
    }
}

/// What is to be changed.
pub(super) fn new_attr(
    (mode, uid, gid): (Option<u32>, Option<u32>, Option<u32>),
    size: Option<u64>,
    (atime, mtime): (Option<TimeOrNow>, Option<TimeOrNow>),
) -> NewAttr {
    NewAttr {
        mode,
        uid,
        gid,
        size,
        atime: atime.map(new_time),
        mtime: mtime.map(new_time),
    }
}

fn new_time(time: TimeOrNow) -> NewTime {
    match time {
        TimeOrNow::SpecificTime(time) => NewTime::At(time),
        TimeOrNow::Now => NewTime::Now,
    }
}
