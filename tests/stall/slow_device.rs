//! Archives on a device that takes its time, or that cannot read all of it: the mount's daemon waits
//! in page faults of its own.
//!
//! The device is a file system that a process of its own serves, which is this test program again.

use std::collections::HashSet;
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
use weightfs::archive::ArchiveReader;

use crate::race::{
    OPTIONS, PAGE, Reader, Subject, adjacent_pages, all_pages, dropped_pages, limit, pause,
    race_time, random_pages, random_reads, run, unmount,
};
use crate::support::{Mount, Place, model};

/// What tells the server what to serve.
const VARIABLE: &str = "WEIGHTFS_SLOW_DEVICE";
const THREADS: usize = 2;

/// A directory of files, read slowly.
struct Device {
    directory: PathBuf,
    names: Vec<String>,
    /// Each READ takes up to so long.
    delay: Duration,
    /// Where no file can be read.
    bad: Range<u64>,
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
        pause(&mut Rng::with_seed(count), self.delay);
        let end = offset + u64::from(size);
        if offset < self.bad.end && self.bad.start < end {
            return Err(Errno::EIO);
        }
        let file = File::open(self.path(inode).ok_or(Errno::ENOENT)?)?;
        let end = end.min(file.metadata()?.len());
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap()];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
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
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
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
#[ignore = "not a test: the process that serves the slow device of others"]
fn serve() {
    let Ok(told) = std::env::var(VARIABLE) else {
        return;
    };
    let [directory, mountpoint, delay, start, end] =
        told.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let names = fs::read_dir(directory).unwrap();
    let device = Device {
        directory: directory.into(),
        names: names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect(),
        delay: Duration::from_millis(delay.parse().unwrap()),
        bad: start.parse().unwrap()..end.parse().unwrap(),
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

/// Has a process serve a directory on a mount point.
fn start(directory: &Path, mountpoint: &Path, delay: Duration, bad: Range<u64>) -> Mount {
    fs::create_dir(mountpoint).unwrap();
    let told = [
        directory.to_str().unwrap(),
        mountpoint.to_str().unwrap(),
        &delay.as_millis().to_string(),
        &bad.start.to_string(),
        &bad.end.to_string(),
    ];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["slow_device::serve", "--exact", "--ignored", "--nocapture"])
        .env(VARIABLE, told.join("\n"));
    Mount::spawn(command, mountpoint, limit())
}

/// A source with an archive on a slow device and one on a fast one.
struct Slow {
    place: Place,
    original: Vec<u8>,
    archive: PathBuf,
    device: Mount,
}

impl Slow {
    fn new(delay: Duration, bad: impl FnOnce(&Path) -> Range<u64>) -> Self {
        let place = Place::new();
        let original = model(60, 16);
        let packed = place.pack("../device/m", &original);
        place.pack("fast", &original[..FAST_BYTES]);
        let mountpoint = place.source.join("slow");
        let device = start(packed.parent().unwrap(), &mountpoint, delay, bad(&packed));
        Self {
            archive: mountpoint.join("m.wfz"),
            place,
            original,
            device,
        }
    }

    /// The bytes of the archive that lies beside the device.
    fn fast(&self) -> &[u8] {
        &self.original[..FAST_BYTES]
    }

    fn mount(&self, options: &[&str]) -> Mount {
        Mount::with(&self.place.source, &self.place.mountpoint, options, limit())
    }

    /// Nobody has anything of it open any more.
    fn stop(self) {
        let umount = if rustix::process::geteuid().is_root() {
            Command::new("umount").arg(&self.device.mountpoint).status()
        } else {
            Command::new("fusermount3")
                .arg("-u")
                .arg(&self.device.mountpoint)
                .status()
        };
        assert!(umount.unwrap().success());
        assert!(self.device.wait().success());
    }
}

const FAST_BYTES: usize = 2 << 20;
const NOWHERE: Range<u64> = 0..0;

#[test]
fn faults_and_readahead_of_an_archive_on_a_slow_device() {
    let slow = Slow::new(Duration::from_millis(20), |_| NOWHERE);
    for (round, options) in OPTIONS.iter().enumerate() {
        let mount = slow.mount(options);
        let path = mount.path("slow/m");
        let subject = Subject::open(&path, &slow.original);
        let map = subject.shared_map();
        let archive = File::open(&slow.archive).unwrap();
        let mut readers: Vec<Reader<'_>> = Vec::new();
        for _ in 0..4 {
            readers.push(random_pages(&subject, map.clone()));
            readers.push(adjacent_pages(&subject, map.clone()));
            readers.push(random_reads(&subject));
        }
        readers.push(all_pages(&subject, map.clone()));
        readers.push(dropped_pages(&subject, vec![map]));
        readers.push(Box::new(|random| {
            pause(random, Duration::from_millis(200));
            crate::race::drop_pages(&archive);
        }));
        run(readers, race_time(), || unmount(&mount, round));
        drop((subject, archive));
        assert!(mount.wait().success());
    }
    slow.stop();
}

#[test]
fn readers_of_a_fast_device_are_done_while_those_of_a_slow_one_are_still_at_work() {
    let slow = Slow::new(Duration::from_millis(20), |_| NOWHERE);
    for options in OPTIONS {
        // Without a cache, so that the slow ones never find anything.
        let mount = slow.mount(&[options, &["--cache-size", "0"][..]].concat());
        let paths = [mount.path("slow/m"), mount.path("fast")];
        let waiting = Subject::open(&paths[0], &slow.original);
        let fast = Subject::open(&paths[1], slow.fast());
        let archive = File::open(&slow.archive).unwrap();
        // More than there are workers.
        let workers = 2 * std::thread::available_parallelism().unwrap().get();
        let map = waiting.shared_map();
        let mut readers: Vec<Reader<'_>> = Vec::new();
        for _ in 0..workers {
            readers.push(random_pages(&waiting, map.clone()));
            readers.push(random_reads(&waiting));
        }
        readers.push(dropped_pages(&waiting, vec![map]));
        readers.push(Box::new(|random| {
            pause(random, Duration::from_millis(20));
            crate::race::drop_pages(&archive);
        }));
        run(readers, Duration::from_millis(100), || {
            let mut buffer = vec![0; 64 << 10];
            for at in (0..fast.original.len()).step_by(buffer.len()) {
                fast.read(&fast.file, &mut buffer, at).unwrap();
            }
            fast.drop_pages();
            fast.see(&fast.private_map(), 0..fast.original.len());
        });
        drop((waiting, fast, archive));
        mount.stop();
    }
    slow.stop();
}

/// The blocks of which something is stored in a range.
fn blocks_stored_in(archive: &Path, bad: &Range<u64>) -> HashSet<u64> {
    let archive = ArchiveReader::open(archive).unwrap();
    (0..archive.geometry().block_count())
        .filter(|&block| {
            let entry = archive.entry(block).unwrap();
            let end = entry.offset + u64::from(entry.stored_len);
            entry.offset < bad.end && bad.start < end
        })
        .collect()
}

#[test]
fn what_a_device_cannot_read_is_an_error_and_the_rest_reads_on() {
    let mut lost = HashSet::new();
    let mut geometry = None;
    let slow = Slow::new(Duration::from_millis(2), |packed| {
        let middle = packed.metadata().unwrap().len() / 2 / PAGE as u64 * PAGE as u64;
        let bad = middle..middle + (400 << 10);
        lost = blocks_stored_in(packed, &bad);
        geometry = Some(ArchiveReader::open(packed).unwrap().geometry().clone());
        bad
    });
    let geometry = geometry.unwrap();
    for options in OPTIONS {
        let mount = slow.mount(options);
        let path = mount.path("slow/m");
        let subject = Subject::open(&path, &slow.original);
        let len = slow.original.len();
        // Whether a page can be read depends on nothing but the blocks it is made of.
        let check = |page: usize| {
            let last = (page + PAGE).min(len) as u64 - 1;
            let blocks = geometry.block_at(page as u64).unwrap()..=geometry.block_at(last).unwrap();
            let is_lost = blocks.into_iter().any(|block| lost.contains(&block));
            match subject.read(&subject.file, &mut [0; PAGE], page) {
                Ok(()) => assert!(!is_lost, "{page}"),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EIO));
                    assert!(is_lost, "{page}: {error}");
                }
            }
        };
        let mut readers: Vec<Reader<'_>> = Vec::new();
        for _ in 0..6 {
            readers.push(Box::new(|random| check(random.usize(..len) / PAGE * PAGE)));
        }
        for _ in 0..2 {
            let mut pages = (0..len).step_by(PAGE).cycle();
            readers.push(Box::new(move |_| pages.by_ref().take(64).for_each(check)));
        }
        readers.push(dropped_pages(&subject, Vec::new()));
        run(readers, race_time(), || ());
        // At least once in each block.
        (0..len).step_by(128 << 10).for_each(check);
        drop(subject);
        mount.stop();
    }
    slow.stop();
}
