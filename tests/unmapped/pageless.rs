//! A file system that keeps no pages (FOPEN_DIRECT_IO), as some of networks and unions do: nothing of it can
//! be mapped so that it is shared. It passes all on to a directory; files whose names say `bad` cannot be
//! read from `BAD_FROM` on.
//!
//! A process of its own serves it, which is this test program again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, Session,
    TimeOrNow, WriteFlags,
};

use crate::support::Mount;

/// What tells the server what to serve, and where.
const VARIABLE: &str = "WEIGHTFS_TEST_PAGELESS";
/// From here on, a bad file cannot be read: behind the tables.
pub const BAD_FROM: u64 = 300_000;
const TTL: Duration = Duration::ZERO;
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Default)]
struct State {
    paths: HashMap<u64, PathBuf>,
    open: HashMap<u64, (Arc<File>, bool)>,
}

struct Pageless {
    state: Mutex<State>,
    next: AtomicU64,
}

impl Pageless {
    fn path(&self, inode: INodeNo) -> io::Result<PathBuf> {
        let state = self.state.lock().unwrap();
        let path = state.paths.get(&inode.0).cloned();
        path.ok_or_else(|| io::Error::from_raw_os_error(libc::ESTALE))
    }

    fn file(&self, handle: FileHandle) -> io::Result<(Arc<File>, bool)> {
        let state = self.state.lock().unwrap();
        let open = state.open.get(&handle.0).cloned();
        open.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    fn open_as(&self, path: &Path, options: &fs::OpenOptions) -> io::Result<FileHandle> {
        let file = options.open(path)?;
        let is_bad = path.file_name().unwrap().to_str().unwrap().contains("bad");
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap();
        state.open.insert(handle, (Arc::new(file), is_bad));
        Ok(FileHandle(handle))
    }

    /// Notes where an inode is, and tells what it is.
    fn found(&self, path: PathBuf) -> io::Result<FileAttr> {
        let attr = attr_of(&path.symlink_metadata()?);
        self.state.lock().unwrap().paths.insert(attr.ino.0, path);
        Ok(attr)
    }

    fn attr(&self, inode: INodeNo, handle: Option<FileHandle>) -> io::Result<FileAttr> {
        let meta = match handle {
            Some(handle) => self.file(handle)?.0.metadata()?,
            None => self.path(inode)?.symlink_metadata()?,
        };
        let attr = attr_of(&meta);
        Ok(FileAttr { ino: inode, ..attr })
    }
}

fn attr_of(meta: &fs::Metadata) -> FileAttr {
    let time = |seconds: i64, nanoseconds: i64| {
        let since = Duration::new(seconds.try_into().unwrap(), nanoseconds.try_into().unwrap());
        SystemTime::UNIX_EPOCH + since
    };
    let kind = meta.file_type();
    FileAttr {
        ino: INodeNo(meta.ino()),
        size: meta.size(),
        blocks: meta.blocks(),
        atime: time(meta.atime(), meta.atime_nsec()),
        mtime: time(meta.mtime(), meta.mtime_nsec()),
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        crtime: SystemTime::UNIX_EPOCH,
        kind: if kind.is_dir() {
            FileType::Directory
        } else if kind.is_symlink() {
            FileType::Symlink
        } else {
            FileType::RegularFile
        },
        perm: (meta.mode() & 0o7777).try_into().unwrap(),
        nlink: meta.nlink().try_into().unwrap(),
        uid: meta.uid(),
        gid: meta.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

macro_rules! answer {
    ($reply:ident, $result:expr, $good:expr) => {
        match $result {
            Ok(found) => $good(found),
            Err(error) => $reply.error(Errno::from(error)),
        }
    };
}

fn entry(reply: ReplyEntry, found: io::Result<FileAttr>) {
    answer!(reply, found, |attr| reply.entry(&TTL, &attr, Generation(0)));
}

fn done(reply: ReplyEmpty, done: io::Result<()>) {
    answer!(reply, done, |()| reply.ok());
}

impl Filesystem for Pageless {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(
            reply,
            self.path(parent)
                .and_then(|path| self.found(path.join(name))),
        );
    }

    fn getattr(&self, _req: &Request, inode: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.attr(inode, fh), |attr| reply.attr(&TTL, &attr));
    }

    fn setattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            let path = self.path(inode)?;
            if let Some(mode) = mode {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777))?;
            }
            if uid.is_some() || gid.is_some() {
                std::os::unix::fs::chown(&path, uid, gid)?;
            }
            if let Some(size) = size {
                File::options().write(true).open(&path)?.set_len(size)?;
            }
            if let Some(time) = mtime {
                let time = match time {
                    TimeOrNow::SpecificTime(time) => time,
                    TimeOrNow::Now => SystemTime::now(),
                };
                File::open(&path)?.set_modified(time)?;
            }
            self.attr(inode, fh)
        };
        answer!(reply, set(), |attr| reply.attr(&TTL, &attr));
    }

    fn readlink(&self, _req: &Request, inode: INodeNo, reply: ReplyData) {
        let target = self.path(inode).and_then(fs::read_link);
        answer!(reply, target, |target: PathBuf| {
            reply.data(target.as_os_str().as_encoded_bytes());
        });
    }

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let make = || {
            let path = self.path(parent)?.join(name);
            fs::create_dir(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777))?;
            self.found(path)
        };
        entry(reply, make());
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let path = self.path(parent).map(|path| path.join(name));
        done(reply, path.and_then(fs::remove_file));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let path = self.path(parent).map(|path| path.join(name));
        done(reply, path.and_then(fs::remove_dir));
    }

    fn symlink(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let make = || {
            let path = self.path(parent)?.join(name);
            symlink(target, &path)?;
            self.found(path)
        };
        entry(reply, make());
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = || {
            let (from, to) = (
                self.path(parent)?.join(name),
                self.path(newparent)?.join(newname),
            );
            // As many of those file systems do.
            if !flags.is_empty() {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            fs::rename(&from, &to)?;
            for path in self.state.lock().unwrap().paths.values_mut() {
                if let Ok(below) = path.strip_prefix(&from) {
                    *path = if below == Path::new("") {
                        to.clone()
                    } else {
                        to.join(below)
                    };
                }
            }
            Ok(())
        };
        done(reply, rename());
    }

    fn link(
        &self,
        _req: &Request,
        inode: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        let link = || {
            let to = self.path(newparent)?.join(newname);
            fs::hard_link(self.path(inode)?, &to)?;
            self.found(to)
        };
        entry(reply, link());
    }

    fn open(&self, _req: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let open = || {
            let writes = flags.0 & libc::O_ACCMODE != libc::O_RDONLY;
            let path = self.path(inode)?;
            self.open_as(&path, File::options().read(true).write(writes))
        };
        answer!(reply, open(), |handle| {
            reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO);
        });
    }

    fn read(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = || {
            let (file, is_bad) = self.file(handle)?;
            if is_bad && offset + u64::from(size) > BAD_FROM {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            let mut bytes = vec![0; size as usize];
            let mut len = 0;
            while len < bytes.len() {
                match file.read_at(&mut bytes[len..], offset + len as u64)? {
                    0 => break,
                    more => len += more,
                }
            }
            bytes.truncate(len);
            Ok(bytes)
        };
        answer!(reply, read(), |bytes: Vec<u8>| reply.data(&bytes));
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
        let write = || self.file(handle)?.0.write_all_at(data, offset);
        answer!(reply, write(), |()| reply
            .written(data.len().try_into().unwrap()));
    }

    fn flush(
        &self,
        _req: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
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
        self.state.lock().unwrap().open.remove(&handle.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        done(
            reply,
            self.file(handle).and_then(|(file, _)| file.sync_all()),
        );
    }

    fn readdir(
        &self,
        _req: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let read = || {
            let mut names = Vec::new();
            for entry in fs::read_dir(self.path(inode)?)? {
                let entry = entry?;
                let attr = attr_of(&entry.path().symlink_metadata()?);
                names.push((entry.file_name(), attr));
            }
            names.sort_by(|one, other| one.0.cmp(&other.0));
            Ok::<_, io::Error>(names)
        };
        answer!(reply, read(), |names: Vec<(
            std::ffi::OsString,
            FileAttr
        )>| {
            let start = usize::try_from(offset).unwrap();
            for (number, (name, attr)) in names.iter().enumerate().skip(start) {
                if reply.add(attr.ino, number as u64 + 1, attr.kind, name) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let create = || {
            let path = self.path(parent)?.join(name);
            let mut options = File::options();
            options
                .read(true)
                .write(true)
                .create_new(true)
                .mode(mode & 0o7777);
            let handle = self.open_as(&path, &options)?;
            Ok::<_, io::Error>((handle, self.found(path)?))
        };
        answer!(reply, create(), |(handle, attr)| {
            reply.created(
                &TTL,
                &attr,
                Generation(0),
                handle,
                FopenFlags::FOPEN_DIRECT_IO,
            );
        });
    }
}

#[test]
#[ignore = "not a test: the process that serves the file system of others"]
fn serve() {
    let Ok(told) = std::env::var(VARIABLE) else {
        return;
    };
    let (directory, mountpoint) = told.split_once('\n').unwrap();
    let mut state = State::default();
    state.paths.insert(1, directory.into());
    let file_system = Pageless {
        state: Mutex::new(state),
        next: AtomicU64::new(1),
    };
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("pageless".into())];
    config.n_threads = Some(2);
    let session = Session::new(file_system, mountpoint, &config).unwrap();
    println!("\nready: {mountpoint}");
    io::stdout().flush().unwrap();
    session.run().unwrap();
    // What tells of passed tests has lost its reader.
    std::process::exit(0);
}

/// Serves a directory on a mount point, both of which are made.
pub fn serve_on(directory: &Path, mountpoint: &Path) -> Mount {
    fs::create_dir(directory).unwrap();
    fs::create_dir(mountpoint).unwrap();
    let told = [directory, mountpoint].map(|path| path.to_str().unwrap());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["pageless::serve", "--exact", "--ignored", "--nocapture"])
        .env(VARIABLE, told.join("\n"));
    Mount::spawn(command, mountpoint, LIMIT)
}

/// Ends it; nobody has anything of it open any more.
pub fn stop(mount: Mount) {
    let unmounted = Command::new("umount").arg(&mount.mountpoint).status();
    assert!(unmounted.unwrap().success());
    assert!(mount.wait().success());
}
