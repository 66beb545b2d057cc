//! Attributes of what is shown.

use std::time::SystemTime;

use super::facts::{Facts, Kind};
use super::inode::Inode;
use crate::format::Superblock;

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
    /// Time of last access.
    pub atime: SystemTime,
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
    /// The number of the device that it stands for.
    pub rdev: u64,
}

impl Attr {
    /// Those of something that is shown as it is.
    pub(super) fn plain(inode: Inode, kind: Kind, facts: &Facts) -> Self {
        Self {
            inode,
            kind,
            size: facts.size,
            blocks: facts.blocks,
            atime: facts.atime,
            mtime: facts.mtime,
            ctime: facts.ctime,
            mode: facts.mode,
            nlink: facts.nlink,
            uid: facts.uid,
            gid: facts.gid,
            rdev: facts.rdev,
        }
    }

    /// Those of the file an archive stands for: its own length and time of modification, the
    /// archive's owner, permissions and space on disk.
    pub(super) fn archived(
        inode: Inode,
        superblock: &Superblock,
        modified: SystemTime,
        facts: &Facts,
    ) -> Self {
        Self {
            size: superblock.original_bytes,
            mtime: modified,
            ..Self::plain(inode, Kind::File, facts)
        }
    }
}
