//! Attributes of what is shown.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use super::nodes::Inode;
use crate::format::Superblock;
use crate::os::system_time;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

/// Attributes, as `stat` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// Number of the inode.
    pub inode: Inode,
    /// What it is.
    pub kind: Kind,
    /// Length in bytes.
    pub size: u64,
    /// Space it takes on disk, in units of 512 bytes.
    pub blocks: u64,
    /// Time of last modification of the contents.
    pub mtime: SystemTime,
    /// Time of last change.
    pub ctime: SystemTime,
    /// Permission bits.
    pub mode: u16,
    /// Number of names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Attr {
    /// Those of something that is shown as it is.
    pub(super) fn plain(inode: Inode, kind: Kind, meta: &Metadata) -> Self {
        let [low, high, ..] = meta.mode().to_le_bytes();
        Self {
            inode,
            kind,
            size: meta.size(),
            blocks: meta.blocks(),
            mtime: time(meta.mtime(), meta.mtime_nsec()),
            ctime: time(meta.ctime(), meta.ctime_nsec()),
            mode: u16::from_le_bytes([low, high]) & 0o7777,
            nlink: u32::try_from(meta.nlink()).unwrap_or(u32::MAX),
            uid: meta.uid(),
            gid: meta.gid(),
        }
    }

    /// Those of the file an archive stands for: its own length and time of modification, the
    /// archive's owner, permissions and space on disk.
    pub(super) fn archived(inode: Inode, superblock: &Superblock, meta: &Metadata) -> Self {
        Self {
            size: superblock.original_bytes,
            mtime: superblock.modified(),
            ..Self::plain(inode, Kind::File, meta)
        }
    }
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    system_time(seconds, u32::try_from(nanoseconds).unwrap_or(0))
}
