//! What is known of a file of the source, wherever it lies.
//!
//! What makes them (`source`) knows of devices, inode numbers and `stat`; who reads them here does not,
//! since what is no local file has neither.

use std::ffi::OsString;
use std::time::SystemTime;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device of characters.
    CharacterDevice,
    /// A device of blocks.
    BlockDevice,
}

/// What is known of a file, a directory or a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// What it is; `None` for what is not shown: pipes, sockets and devices, where nothing is written.
    pub(super) kind: Option<Kind>,
    /// Length in bytes.
    pub(super) size: u64,
    /// Space it takes, in units of 512 bytes.
    pub(super) blocks: u64,
    /// Time of last access; `None` where nothing is written, not even that.
    pub(super) atime: Option<SystemTime>,
    /// Time of last modification of the contents.
    pub(super) mtime: SystemTime,
    /// Time of last change.
    pub(super) ctime: SystemTime,
    /// Permission bits.
    pub(super) mode: u16,
    /// Number of names.
    pub(super) nlink: u32,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// The number of the device that it stands for.
    pub(super) rdev: u64,
    /// Which file it is, in which state.
    pub(super) identity: Identity,
    /// Which file it is, in every mount of the source.
    pub(super) number: FileNumber,
}

impl Facts {
    pub(super) fn is_directory(&self) -> bool {
        self.kind == Some(Kind::Directory)
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind == Some(Kind::File)
    }

    pub(super) fn is_link(&self) -> bool {
        self.kind == Some(Kind::Link)
    }
}

/// Tells a file from every other one of a source, now and when it is mounted again. Bytes to make a number
/// of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileNumber {
    /// The same for all that lie on one device; 0 for the source's own.
    pub(super) device: u64,
    /// Its number there.
    pub(super) file: u64,
}

impl FileNumber {
    /// True if it lies on another device than the source.
    pub(super) const fn is_elsewhere(self) -> bool {
        self.device != 0
    }
}

/// Tells a file from every other one as long as it exists, whatever is written to it.
pub(super) type FileId = [u8; 16];

/// Tells a file from every other one, and a state of it from its other states. Bytes to be compared;
/// only who made them knows what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Which file.
    pub(super) file: FileId,
    /// Which state: others, once somebody wrote to the file (as far as its times are kept).
    pub(super) state: [u8; 40],
}

/// A name in a directory, and what listing that has told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: OsString,
    /// The file or directory under it, if it is shown as it is.
    pub(super) plain: Option<(Kind, FileId)>,
}

/// What is in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its names, sorted.
    pub names: Vec<Listed>,
    /// The state in which the directory has just these names; `None` where that does not tell, or was a moment ago.
    pub state: Option<Identity>,
}

impl Listed {
    /// A name of which nothing else is known.
    pub const fn of(name: OsString) -> Self {
        Self { name, plain: None }
    }
}
