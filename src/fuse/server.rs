//! Requests of the kernel, answered from the tree.
//!
//! Each request is handled on the thread that read it from the kernel, and no thread waits for
//! another request: all it may wait for is the decoding of a block by another thread, and of blocks by
//! those who came before where memory has no room for more at once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenAccMode, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};

use lru::LruCache;

use super::progress::Progress;
use crate::error::Error;
use crate::format::checksum;
use crate::fs::{Attr, DirEntry, Kind, ModelTree, STATS_XATTR};
use crate::sync::lock;

/// READs in flight that are not waited for, which is what readahead is. With few, many readers at
/// once make the kernel cut READs down to single pages.
const MAX_BACKGROUND: u16 = 128;
/// From here on the kernel holds readahead back.
const CONGESTION_THRESHOLD: u16 = 96;
/// What `stat` advises as the size of a read; programs that read past the page cache align to it.
const IO_BLOCK_BYTES: u32 = 4096;
/// Room for the statistics, however many digits they get.
const STATS_ROOM_BYTES: u32 = 4096;
/// Messages that are not logged again while they are among so many last ones.
const MESSAGES_KEPT: NonZeroUsize = NonZeroUsize::new(1000).expect("not zero");

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

/// Answers the kernel.
pub(super) struct Server {
    tree: Arc<ModelTree>,
    /// How long the kernel may believe names and attributes.
    ttl: Duration,
    directories: Mutex<HashMap<u64, Arc<Vec<DirEntry>>>>,
    next_directory: AtomicU64,
    /// Checksums of the messages that were logged lately.
    logged: Mutex<LruCache<u64, ()>>,
    progress: Arc<Progress>,
}

impl Server {
    pub(super) fn new(tree: Arc<ModelTree>, ttl: Duration, progress: Arc<Progress>) -> Self {
        Self {
            tree,
            ttl,
            directories: Mutex::default(),
            next_directory: AtomicU64::new(1),
            logged: Mutex::new(LruCache::new(MESSAGES_KEPT)),
            progress,
        }
    }

    /// The errno of an error, which is logged here and nowhere else if an administrator should see
    /// it: once, since a program that meets damage may try it again and again.
    fn errno(&self, operation: &str, error: &Error) -> Errno {
        let errno = error.errno();
        // Names come and go; an archive that is open and cannot be read is news, whatever the errno.
        let expected = operation != "read"
            && matches!(
                errno,
                libc::ENOENT | libc::ESTALE | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ENODATA
            );
        let message = format!("{operation}: {error}");
        let known = || {
            let mut logged = lock(&self.logged);
            logged.put(checksum(message.as_bytes()), ()).is_some()
        };
        if expected || known() {
            tracing::debug!("{message}");
        } else {
            tracing::error!("{message}");
        }
        Errno::from_i32(errno)
    }

    fn directories(&self) -> MutexGuard<'_, HashMap<u64, Arc<Vec<DirEntry>>>> {
        lock(&self.directories)
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
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _work = self.progress.begin();
        match self.tree.lookup(parent.0, name) {
            Ok(attr) => {
                // Inode numbers name generations already.
                reply.entry(&self.ttl, &file_attr(&attr), Generation(0));
            }
            Err(error) => reply.error(self.errno("lookup", &error)),
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
            Err(error) => reply.error(self.errno("getattr", &error)),
        }
    }

    fn readlink(&self, _req: &Request, inode: INodeNo, reply: ReplyData) {
        let _work = self.progress.begin();
        match self.tree.read_link(inode.0) {
            Ok(target) => reply.data(target.as_os_str().as_bytes()),
            Err(error) => reply.error(self.errno("readlink", &error)),
        }
    }

    fn open(&self, _req: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        // The mount is read-only, so the kernel refuses this before it comes here, unless somebody
        // remounted it.
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            reply.error(Errno::EROFS);
            return;
        }
        let _work = self.progress.begin();
        match self.tree.open(inode.0) {
            Ok(opened) => {
                reply.opened(FileHandle(opened.handle), open_flags(opened.keep_cache));
            }
            Err(error) => reply.error(self.errno("open", &error)),
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
                let errno = self.errno("read", &error);
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
        self.tree.release(handle.0);
        reply.ok();
    }

    fn opendir(&self, _req: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let _work = self.progress.begin();
        match self.tree.read_directory(inode.0) {
            Ok(mut entries) => {
                let dot = |name: &str| DirEntry {
                    name: name.into(),
                    kind: Kind::Directory,
                    inode: inode.0,
                };
                entries.splice(0..0, [dot("."), dot("..")]);
                let handle = self.next_directory.fetch_add(1, Ordering::Relaxed);
                self.directories().insert(handle, Arc::new(entries));
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(self.errno("opendir", &error)),
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let _work = self.progress.begin();
        let Some(entries) = self.directories().get(&handle.0).cloned() else {
            reply.error(Errno::EBADF);
            return;
        };
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, entry) in (1..).zip(entries.iter()).skip(skip) {
            let full = reply.add(
                INodeNo(entry.inode),
                next,
                file_type(entry.kind),
                &entry.name,
            );
            if full {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.directories().remove(&handle.0);
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
            Err(error) => reply.error(self.errno("getxattr", &error)),
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
            Err(error) => reply.error(self.errno("listxattr", &error)),
        }
    }

    fn statfs(&self, _req: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        let _work = self.progress.begin();
        match self.tree.source().statvfs() {
            Ok(stat) => {
                let size = |value: u64| u32::try_from(value).unwrap_or(IO_BLOCK_BYTES);
                reply.statfs(
                    stat.f_blocks,
                    // Some programs refuse to work beside a full disk, even to read.
                    stat.f_bfree.max(1),
                    stat.f_bavail.max(1),
                    stat.f_files,
                    stat.f_ffree,
                    size(stat.f_bsize),
                    size(stat.f_namemax),
                    size(stat.f_frsize),
                );
            }
            Err(error) => {
                reply.error(self.errno("statfs", &Error::io("cannot stat the source", error)))
            }
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

fn file_type(kind: Kind) -> FileType {
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
