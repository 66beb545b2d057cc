//! A file system of one file that costs nothing to read: what `bench-mount` holds a mount against. Its root
//! tells what the kernel has offered.
//!
//! Invariant: the kernel sees the settings of the real server (`set_up`, `open_flags`, attributes,
//! threads, readahead); only what stands behind a READ is missing. The bytes mean nothing.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileHandle, Filesystem, Generation, INodeNo, KernelConfig, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyEntry, ReplyOpen, ReplyXattr, Request,
};

use super::attributes::file_attr;
use super::mount::{Mounted, serve};
use super::offer::KernelOffer;
use super::options::MountOptions;
use super::server::{answer_xattr, open_flags, set_up};
use super::unmount::clear_mountpoint;
use crate::error::Result;
use crate::fs::{Attr, Inode, Kind, ROOT_INODE};

/// The name of the file.
pub(crate) const NULL_FILE_NAME: &str = "null";
/// The attribute of the root that tells what the kernel has offered, as JSON (`KernelOffer`).
pub(crate) const OFFER_XATTR: &str = "user.weightfs.kernel";
const FILE_INODE: Inode = ROOT_INODE + 1;
/// The kernel asks for no more than this at a time, 256 pages unless its default was changed.
const BUFFER_BYTES: usize = 16 << 20;

/// Answers the kernel from one buffer.
pub(super) struct NullServer {
    root: Attr,
    file: Attr,
    ttl: Duration,
    buffer: Vec<u8>,
    offer: Option<KernelOffer>,
}

impl NullServer {
    pub(super) fn new(bytes: u64, ttl: Duration) -> Self {
        let file = Attr {
            inode: FILE_INODE,
            kind: Kind::File,
            atime: SystemTime::UNIX_EPOCH,
            rdev: 0,
            size: bytes,
            blocks: bytes.div_ceil(512),
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            mode: 0o444,
            nlink: 1,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        let root = Attr {
            inode: ROOT_INODE,
            kind: Kind::Directory,
            size: 0,
            blocks: 0,
            mode: 0o555,
            nlink: 2,
            ..file
        };
        Self {
            root,
            file,
            ttl,
            // Written to, so that it is memory and not the one page of zeros.
            buffer: vec![0x5a; BUFFER_BYTES],
            offer: None,
        }
    }

    /// What a READ is answered with: all that was asked for, or up to the end of the file.
    fn bytes(&self, offset: u64, size: u32) -> Option<&[u8]> {
        let left = self.file.size.saturating_sub(offset);
        let len = usize::try_from(left.min(size.into())).ok()?;
        self.buffer.get(..len)
    }
}

impl Filesystem for NullServer {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.offer = Some(KernelOffer::of(config));
        set_up(config);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent.0 == ROOT_INODE && name == NULL_FILE_NAME {
            reply.entry(&self.ttl, &file_attr(&self.file), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        match inode.0 {
            ROOT_INODE => reply.attr(&self.ttl, &file_attr(&self.root)),
            FILE_INODE => reply.attr(&self.ttl, &file_attr(&self.file)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _req: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), open_flags(true));
    }

    fn read(
        &self,
        _req: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.bytes(offset, size) {
            Some(bytes) => reply.data(bytes),
            None => reply.error(Errno::EIO),
        }
    }

    fn getxattr(&self, _req: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let offer = (inode.0 == ROOT_INODE && name == OFFER_XATTR).then_some(self.offer.as_ref());
        match offer.flatten().map(serde_json::to_vec) {
            Some(Ok(json)) => answer_xattr(&json, size, reply),
            _ => reply.error(Errno::NO_XATTR),
        }
    }
}

/// Mounts one file of `bytes` that nothing is decoded for, as `mount` mounts: what it is read with is
/// what FUSE allows. The file is called `NULL_FILE_NAME`.
///
/// # Errors
/// As `mount`.
pub(crate) fn mount_null(bytes: u64, mountpoint: &Path, options: &MountOptions) -> Result<Mounted> {
    clear_mountpoint(mountpoint)?;
    let server = NullServer::new(bytes, options.ttl);
    serve(server, Arc::default(), mountpoint, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_gets_all_it_asked_for_unless_the_file_ends() {
        let server = NullServer::new((1 << 40) + 10, Duration::ZERO);
        let len = |offset, size| server.bytes(offset, size).map(<[u8]>::len);
        assert_eq!(len(0, 4096), Some(4096));
        assert_eq!(len(1 << 39, 1 << 20), Some(1 << 20));
        assert_eq!(len(1 << 40, 4096), Some(10));
        assert_eq!(len((1 << 40) + 10, 4096), Some(0));
        assert_eq!(len(u64::MAX, 4096), Some(0));
        assert_eq!(len(0, u32::MAX), None);
    }
}
