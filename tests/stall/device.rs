//! A device that is not well: it takes its time, refuses some reads, or answers them wrong.
//!
//! It is a file system that a process of its own serves, which is this test program again.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen, Request,
    Session,
};

use crate::race::{OPTIONS, limit, pause};
use crate::support::Mount;

/// What tells the server what to serve.
const VARIABLE: &str = "WEIGHTFS_TEST_DEVICE";
const THREADS: usize = 2;

/// Where a file of this name is in its directory, a device does not fail.
const CALM: &str = "calm";

/// What a device is like.
#[derive(Debug, Clone, Default)]
pub struct Ailment {
    /// Each READ takes up to so long.
    pub delay: Duration,
    /// Where no file can be read.
    pub bad: Range<u64>,
    /// One READ in so many fails, unless the device is calm.
    pub one_in: Option<u64>,
    /// No pages of it are kept, so that its files cannot be mapped.
    pub direct: bool,
}

impl Ailment {
    fn encode(&self) -> String {
        let delay = self.delay.as_millis();
        let one_in = self.one_in.unwrap_or(0);
        let Range { start, end } = self.bad;
        format!("{delay} {start} {end} {one_in} {}", u8::from(self.direct))
    }

    fn parse(text: &str) -> Self {
        let numbers = text.split(' ').map(|number| number.parse().unwrap());
        let [delay, start, end, one_in, direct]: [u64; 5] =
            numbers.collect::<Vec<_>>().try_into().unwrap();
        Self {
            delay: Duration::from_millis(delay),
            bad: start..end,
            one_in: Some(one_in).filter(|&one_in| one_in > 0),
            direct: direct > 0,
        }
    }
}

/// A directory of files, read with difficulty.
struct Device {
    directory: PathBuf,
    names: Vec<String>,
    ailment: Ailment,
    reads: AtomicU64,
}

impl Device {
    fn path(&self, inode: INodeNo) -> Option<PathBuf> {
        let index = usize::try_from(inode.0).ok()?.checked_sub(2)?;
        Some(self.directory.join(self.names.get(index)?))
    }

    fn attr(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, size) = match self.path(inode) {
            Some(path) => (FileType::RegularFile, path.metadata().ok()?.len()),
            None if inode == INodeNo::ROOT => (FileType::Directory, 0),
            None => return None,
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size.div_ceil(512),
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm: 0o555,
            nlink: 1,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn read(&self, inode: INodeNo, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let count = self.reads.fetch_add(1, Ordering::Relaxed);
        let mut random = Rng::with_seed(count);
        pause(&mut random, self.ailment.delay);
        let end = offset + u64::from(size);
        let bad = &self.ailment.bad;
        if offset < bad.end && bad.start < end {
            return Err(Errno::EIO);
        }
        let file = File::open(self.path(inode).ok_or(Errno::ENOENT)?)?;
        let end = end.min(file.metadata()?.len());
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap()];
        file.read_exact_at(&mut bytes, offset)?;
        let fails = |one_in| random.u64(..one_in) == 0;
        if self.ailment.one_in.is_some_and(fails) && !self.directory.join(CALM).exists() {
            self.fail(&mut random, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Refuses or, where the kernel keeps none of it, spoils what was read.
    fn fail(&self, random: &mut Rng, bytes: &mut Vec<u8>) -> Result<(), Errno> {
        match random.u8(..4) {
            1 if self.ailment.direct => bytes.truncate(random.usize(..=bytes.len())),
            2 if self.ailment.direct => {
                let mask = 1 << random.u8(..8);
                if !bytes.is_empty() {
                    let at = random.usize(..bytes.len());
                    bytes[at] ^= mask;
                }
            }
            3 => pause(random, Duration::from_millis(20)),
            _ => return Err(Errno::EIO),
        }
        Ok(())
    }
}

/// It never changes.
const TTL: Duration = Duration::from_secs(3600);

impl Filesystem for Device {
    fn lookup(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let index = self.names.iter().position(|known| name == known.as_str());
        let attr = index.and_then(|index| self.attr(INodeNo(index as u64 + 2)));
        match attr {
            Some(attr) => reply.entry(&TTL, &attr, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(inode) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _req: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let flags = if self.ailment.direct {
            FopenFlags::FOPEN_DIRECT_IO
        } else {
            FopenFlags::FOPEN_KEEP_CACHE
        };
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _req: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match Self::read(self, inode, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }
}

#[test]
#[ignore = "not a test: the process that serves the device of others"]
fn serve() {
    let Ok(told) = std::env::var(VARIABLE) else {
        return;
    };
    let [directory, mountpoint, ailment] = told.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let names = fs::read_dir(directory).unwrap();
    let device = Device {
        directory: directory.into(),
        names: names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect(),
        ailment: Ailment::parse(ailment),
        reads: AtomicU64::new(0),
    };
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("slow".into())];
    config.n_threads = Some(THREADS);
    let session = Session::new(device, mountpoint, &config).unwrap();
    println!("\nready: {mountpoint}");
    std::io::stdout().flush().unwrap();
    session.run().unwrap();
    // What tells of passed tests has lost its reader.
    std::process::exit(0);
}

/// A device that a process of its own serves.
pub struct Served {
    directory: PathBuf,
    mount: Mount,
}

impl Served {
    /// Serves a directory on a mount point.
    pub fn start(directory: &Path, mountpoint: &Path, ailment: &Ailment) -> Self {
        fs::create_dir(mountpoint).unwrap();
        let told = [
            directory.to_str().unwrap(),
            mountpoint.to_str().unwrap(),
            &ailment.encode(),
        ];
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["device::serve", "--exact", "--ignored", "--nocapture"])
            .env(VARIABLE, told.join("\n"));
        // It outlives a mount made in each of the ways.
        let limit = limit() * u32::try_from(OPTIONS.len()).unwrap();
        Self {
            directory: directory.to_path_buf(),
            mount: Mount::spawn(command, mountpoint, limit),
        }
    }

    /// Whether it is calm from now on.
    pub fn set_calm(&self, calm: bool) {
        let path = self.directory.join(CALM);
        if calm {
            fs::write(path, b"").unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// Nobody has anything of it open any more.
    pub fn stop(self) {
        let umount = if rustix::process::geteuid().is_root() {
            Command::new("umount").arg(&self.mount.mountpoint).status()
        } else {
            Command::new("fusermount3")
                .arg("-u")
                .arg(&self.mount.mountpoint)
                .status()
        };
        assert!(umount.unwrap().success());
        assert!(self.mount.wait().success());
    }
}
