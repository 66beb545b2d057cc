//! Requests of the kernel, answered from the tree.
//!
//! Each request is handled on the thread that read it from the kernel, and no thread waits for
//! another request: all it may wait for is the decoding of a block by another thread, and of blocks by
//! those who came before where memory has no room for more at once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::process::geteuid;

use super::attributes::{IO_BLOCK_BYTES, file_attr, new_attr};
use super::backings::Backings;
use super::cached_listings::{CachedListings, Names};
use super::messages::Messages;
use super::progress::Progress;
use crate::error::Error;
use crate::fs::{ModelTree, STATS_XATTR};

/// READs in flight that are not waited for, which is what readahead is. With few, many readers at
/// once make the kernel cut READs down to single pages.
const MAX_BACKGROUND: u16 = 128;
/// From here on the kernel holds readahead back.
const CONGESTION_THRESHOLD: u16 = 96;
/// Room for the statistics, however many digits they get.
const STATS_ROOM_BYTES: u32 = 4096;
/// What the kernel is asked for when it connects, whoever answers it.
pub(super) fn set_up(config: &mut KernelConfig) {
    // Each is a wish: an older kernel goes without.
    let _ = config.set_max_background(MAX_BACKGROUND);
    let _ = config.set_congestion_threshold(CONGESTION_THRESHOLD);
    let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
    let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
}

/// How files are opened. `keep_cache`: what the page cache holds of the file is still right.
pub(super) fn open_flags(keep_cache: bool) -> FopenFlags {
    let mut flags = FopenFlags::FOPEN_NOFLUSH;
    flags.set(FopenFlags::FOPEN_KEEP_CACHE, keep_cache);
    flags
}

/// A directory that is open.
#[derive(Clone)]
pub(super) struct OpenDirectory {
    /// What is under its names is looked at as they are read.
    pub(super) names: Names,
    /// Somebody has begun to read it.
    pub(super) is_read: bool,
    /// It is read by way of the kernel's cache.
    pub(super) is_cached: bool,
}

/// Answers the kernel.
pub(super) struct Server {
    pub(super) tree: Arc<ModelTree>,
    /// How long the kernel may believe names and attributes.
    pub(super) ttl: Duration,
    pub(super) directories: Mutex<HashMap<u64, OpenDirectory>>,
    pub(super) next_directory: AtomicU64,
    pub(super) listings: Arc<CachedListings>,
    pub(super) messages: Arc<Messages>,
    pub(super) backings: Backings,
    progress: Arc<Progress>,
}

impl Server {
    pub(super) fn new(
        tree: Arc<ModelTree>,
        ttl: Duration,
        listings: Arc<CachedListings>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            tree,
            ttl,
            directories: Mutex::default(),
            next_directory: AtomicU64::new(1),
            listings,
            messages: Arc::new(Messages::new()),
            backings: Backings::default(),
            progress,
        }
    }
}

impl Filesystem for Server {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        set_up(config);
        // Then the kernel asks for access lists, and decides by them.
        if config.add_capabilities(InitFlags::FUSE_POSIX_ACL).is_err() {
            self.tree.show_no_access_lists();
        }
        // Then it asks for inodes by number that it has forgotten and somebody else has not (NFS).
        let _ = config.add_capabilities(InitFlags::FUSE_EXPORT_SUPPORT);
        if self.tree.source().is_writable() {
            // A directory may have a list that says which permissions are for what is made in it.
            let _ = config.add_capabilities(InitFlags::FUSE_DONT_MASK);
            // Most who list a directory look at what is in it.
            let _ = config.add_capabilities(
                InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_READDIRPLUS_AUTO,
            );
            let passes = geteuid().is_root()
                && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
                && config.set_max_stack_depth(1).is_ok();
            if passes {
                self.backings.offer();
            }
        }
        Ok(())
    }

    fn destroy(&mut self) {
        self.listings.end();
        self.tree.end_changes();
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _work = self.progress.begin();
        match self.tree.lookup(parent.0, name) {
            Ok(attr) => {
                // Inode numbers name generations already.
                reply.entry(&self.ttl, &file_attr(&attr), Generation(0));
            }
            Err(error) => reply.error(self.messages.errno("lookup", &error)),
        }
    }

    fn forget(&self, _req: &Request, inode: INodeNo, count: u64) {
        self.tree.forget(inode.0, count);
    }

    fn getattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let _work = self.progress.begin();
        let attr = match handle {
            Some(handle) => self.tree.open_attr(inode.0, handle.0),
            None => self.tree.attr(inode.0),
        };
        match attr {
            Ok(attr) => reply.attr(&self.ttl, &file_attr(&attr)),
            Err(error) => reply.error(self.messages.errno("getattr", &error)),
        }
    }

    fn readlink(&self, _req: &Request, inode: INodeNo, reply: ReplyData) {
        let _work = self.progress.begin();
        match self.tree.read_link(inode.0) {
            Ok(target) => reply.data(target.as_os_str().as_bytes()),
            Err(error) => reply.error(self.messages.errno("readlink", &error)),
        }
    }

    fn open(&self, _req: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let _work = self.progress.begin();
        let access = self.access(flags);
        match self.tree.open_as(inode.0, access) {
            Ok(open) => self.answer_open(inode.0, access, &open, reply),
            Err(error) => reply.error(self.messages.errno("open", &error)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let _work = self.progress.begin();
        // A panic would be a mistake of ours; it must cost this reader an error, not every reader
        // a worker thread. A reply that is dropped tells the kernel EIO.
        let mut reply = Some(reply);
        let read = catch_unwind(AssertUnwindSafe(|| {
            let direct = flags.0 & libc::O_DIRECT != 0;
            self.tree
                .read(handle.0, offset, size as usize, direct, |bytes| {
                    if let Some(reply) = reply.take() {
                        reply.data(bytes);
                    }
                })
        }));
        match read {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let errno = self.messages.errno("read", &error);
                if let Some(reply) = reply.take() {
                    reply.error(errno);
                }
            }
            Err(_) => tracing::error!("read panicked; the reader gets an error"),
        }
    }

    fn release(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.backings.release(handle.0);
        self.tree.release(handle.0);
        reply.ok();
    }

    fn opendir(&self, _req: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let _work = self.progress.begin();
        self.open_directory(inode.0, reply);
    }

    fn readdir(
        &self,
        _req: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let _work = self.progress.begin();
        self.list(inode.0, handle.0, offset, reply);
    }

    fn readdirplus(
        &self,
        _req: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let _work = self.progress.begin();
        self.list_looked_at(inode.0, handle.0, offset, reply);
    }

    fn releasedir(
        &self,
        _req: &Request,
        inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.close_directory(inode.0, handle.0);
        reply.ok();
    }

    fn getxattr(&self, _req: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let _work = self.progress.begin();
        match self.tree.xattr(inode.0, name) {
            // Whoever asks for the length comes back for as many bytes, and there may be more then.
            Ok(value) if size == 0 && name == STATS_XATTR => reply.size(
                STATS_ROOM_BYTES
                    .max(u32::try_from(value.len()).map_or(u32::MAX, |len| len.saturating_mul(2))),
            ),
            Ok(value) => answer_xattr(&value, size, reply),
            Err(error) => reply.error(self.messages.errno("getxattr", &error)),
        }
    }

    fn listxattr(&self, _req: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        let _work = self.progress.begin();
        match self.tree.xattr_names(inode.0) {
            Ok(names) => {
                let mut list = Vec::new();
                for name in names {
                    list.extend_from_slice(name.as_bytes());
                    list.push(0);
                }
                answer_xattr(&list, size, reply);
            }
            Err(error) => reply.error(self.messages.errno("listxattr", &error)),
        }
    }

    fn statfs(&self, _req: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        let _work = self.progress.begin();
        match self.tree.source().statvfs() {
            Ok(stat) => {
                // Some programs refuse to work beside a full disk, even to read.
                let least = u64::from(!self.tree.source().is_writable());
                let size = |value: u64| u32::try_from(value).unwrap_or(IO_BLOCK_BYTES);
                reply.statfs(
                    stat.f_blocks,
                    stat.f_bfree.max(least),
                    stat.f_bavail.max(least),
                    stat.f_files,
                    stat.f_ffree,
                    size(stat.f_bsize),
                    size(stat.f_namemax),
                    size(stat.f_frsize),
                );
            }
            Err(error) => reply.error(
                self.messages
                    .errno("statfs", &Error::io("cannot stat the source", error)),
            ),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let _work = self.progress.begin();
        let new = new_attr((mode, uid, gid), size, (atime, mtime));
        self.change_attr(inode.0, handle.map(|handle| handle.0), new, reply);
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let _work = self.progress.begin();
        self.make_node(req, parent, name, (mode, umask, rdev), reply);
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let _work = self.progress.begin();
        self.make_directory(req, parent, name, (mode, umask), reply);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _work = self.progress.begin();
        self.answer_empty("unlink", self.tree.remove_file(parent.0, name), reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _work = self.progress.begin();
        self.answer_empty("rmdir", self.tree.remove_directory(parent.0, name), reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let _work = self.progress.begin();
        self.make_link(req, parent, name, target, reply);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let _work = self.progress.begin();
        let (from, to) = ((parent.0, name), (new_parent.0, new_name));
        self.answer_empty("rename", self.tree.rename(from, to, flags.bits()), reply);
    }

    fn link(
        &self,
        _req: &Request,
        inode: INodeNo,
        new_parent: INodeNo,
        new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        let _work = self.progress.begin();
        let made = self.tree.add_name(inode.0, new_parent.0, new_name);
        self.answer_entry("link", made, reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let _work = self.progress.begin();
        self.make_file(req, parent, name, (mode, umask, flags), reply);
    }

    fn write(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _work = self.progress.begin();
        self.write_to(handle.0, offset, data, reply);
    }

    fn flush(
        &self,
        _req: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // Each write was answered when it was done; the kernel asks no more.
        reply.error(Errno::ENOSYS);
    }

    fn fsync(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let _work = self.progress.begin();
        self.answer_empty("fsync", self.tree.sync(handle.0, datasync), reply);
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let _work = self.progress.begin();
        self.answer_empty("fsync", self.tree.sync_directory(inode.0), reply);
    }

    fn setxattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let _work = self.progress.begin();
        let set = self
            .tree
            .set_xattr(inode.0, name, value, flags.cast_unsigned());
        self.answer_empty("setxattr", set, reply);
    }

    fn removexattr(&self, _req: &Request, inode: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _work = self.progress.begin();
        self.answer_empty("removexattr", self.tree.remove_xattr(inode.0, name), reply);
    }

    fn fallocate(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let _work = self.progress.begin();
        self.allocate(handle.0, (mode, offset, length), reply);
    }

    fn lseek(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let _work = self.progress.begin();
        let for_data = whence == libc::SEEK_DATA;
        let found = u64::try_from(offset)
            .map_err(|_| Error::io("lseek", io::Error::from_raw_os_error(libc::ENXIO)))
            .and_then(|offset| self.tree.seek(handle.0, offset, for_data));
        match found {
            Ok(offset) => reply.offset(i64::try_from(offset).unwrap_or(i64::MAX)),
            Err(error) => reply.error(self.messages.errno("lseek", &error)),
        }
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _from: INodeNo,
        from_handle: FileHandle,
        from_offset: u64,
        _to: INodeNo,
        to_handle: FileHandle,
        to_offset: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let _work = self.progress.begin();
        // The answer has 32 bits.
        let len = usize::try_from(len.min(1 << 30)).unwrap_or(1 << 30);
        let (from, to) = ((from_handle.0, from_offset), (to_handle.0, to_offset));
        match self.tree.copy_range(from, to, len) {
            Ok(copied) => reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
            Err(error) => reply.error(self.messages.errno("copy_file_range", &error)),
        }
    }
}

/// The bytes, or their number if that is what was asked for.
pub(super) fn answer_xattr(bytes: &[u8], size: u32, reply: ReplyXattr) {
    match u32::try_from(bytes.len()) {
        Ok(len) if size == 0 => reply.size(len),
        Ok(len) if len <= size => reply.data(bytes),
        _ => reply.error(Errno::from_i32(libc::ERANGE)),
    }
}
