//! Readers of one file that race each other: what they read is compared byte by byte.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use fastrand::Rng;
use memmap2::{Advice, Mmap, MmapOptions, UncheckedAdvice};
use rustix::fs::{Advice as FileAdvice, fadvise};

use crate::support::{Mount, Place, model, ok, signal};

pub const PAGE: usize = 4096;

/// How mounts are made for readers that race. Whatever changes how readers are served, add it.
pub const OPTIONS: &[&[&str]] = &[
    &["--readahead", "4M"],
    // Pages are pushed ahead, as for ordinary users.
    &["--readahead", "128K"],
    &["--readahead", "4M", "--push", "always"],
    &["--readahead", "128K", "--push", "never"],
];

/// How long a race takes; `WEIGHTFS_TEST_SECONDS` makes it as long as one likes.
pub fn race_time() -> Duration {
    let seconds = std::env::var("WEIGHTFS_TEST_SECONDS");
    seconds.map_or(Duration::from_secs(1), |seconds| {
        Duration::from_secs(seconds.parse().unwrap())
    })
}

/// No mount of a race lives longer.
pub fn limit() -> Duration {
    Duration::from_secs(120) + 4 * race_time()
}

/// Waits for up to so long, to provoke a race; nothing depends on how long it takes.
pub fn pause(random: &mut Rng, longest: Duration) {
    let longest = u64::try_from(longest.as_micros()).unwrap();
    std::thread::sleep(Duration::from_micros(random.u64(..longest.max(1))));
}

/// A file of a mount and the bytes it must have.
pub struct Subject<'a> {
    pub file: File,
    pub original: &'a [u8],
    path: &'a Path,
    /// So that several readers come to the same places at about the same time.
    ticks: AtomicU64,
}

impl<'a> Subject<'a> {
    pub fn open(path: &'a Path, original: &'a [u8]) -> Self {
        Self::of(File::open(path).unwrap(), path, original)
    }

    /// What is open already.
    pub fn of(file: File, path: &'a Path, original: &'a [u8]) -> Self {
        Self {
            file,
            original,
            path,
            ticks: AtomicU64::new(0),
        }
    }

    /// Reads a range and compares it.
    pub fn read(&self, file: &File, buffer: &mut [u8], at: usize) -> io::Result<()> {
        let expected = &self.original[at..self.original.len().min(at + buffer.len())];
        let mut done = 0;
        while done < expected.len() {
            let part = &mut buffer[done..];
            let read = file.read_at(part, (at + done) as u64)?;
            assert!(read > 0, "the file ends at {}", at + done);
            assert!(
                part[..read] == expected[done..done + read],
                "wrong bytes in {read} from {}",
                at + done
            );
            done += read;
        }
        Ok(())
    }

    /// Compares a range of a map.
    pub fn see(&self, map: &Mmap, range: Range<usize>) {
        let range = range.start..range.end.min(self.original.len());
        assert!(
            map[range.clone()] == self.original[range.clone()],
            "wrong bytes in {range:?}"
        );
    }

    /// A place, a multiple of `unit`, that a few other readers come to just now.
    pub fn shared_place(&self, unit: usize) -> usize {
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed) / 8;
        Rng::with_seed(tick).usize(..(self.original.len() / unit).max(1)) * unit
    }

    pub fn drop_pages(&self) {
        drop_pages(&self.file);
    }

    pub fn shared_map(&self) -> Arc<Mmap> {
        // SAFETY: the mount is read-only, so nobody changes the file.
        #[expect(unsafe_code, reason = "a client that maps a file")]
        let map = unsafe { MmapOptions::new().map(&self.file) };
        Arc::new(map.unwrap())
    }

    pub fn private_map(&self) -> Arc<Mmap> {
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "a client that maps a file")]
        let map = unsafe { MmapOptions::new().map_copy_read_only(&self.file) };
        Arc::new(map.unwrap())
    }

    /// A map whose pages are all there when this returns.
    fn populated_map(&self, private: bool) -> Mmap {
        let mut options = MmapOptions::new();
        options.populate();
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "a client that maps a file")]
        let map = unsafe {
            if private {
                options.map_copy_read_only(&self.file)
            } else {
                options.map(&self.file)
            }
        };
        map.unwrap()
    }
}

/// Forgets what the kernel has cached of a file, but for what is mapped just now.
pub fn drop_pages(file: &File) {
    fadvise(file, 0, None, FileAdvice::DontNeed).unwrap();
}

/// Takes the pages out of a map, so that they can be dropped and are faulted in again.
pub fn forget(map: &Mmap) {
    // SAFETY: the map is read-only, so a page comes back with the bytes of the file.
    #[expect(unsafe_code, reason = "a client that maps a file")]
    let forgotten = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
    forgotten.unwrap();
}

/// Does a round of reading.
pub type Reader<'a> = Box<dyn FnMut(&mut Rng) + Send + 'a>;
/// Readers of a file.
pub type Readers = for<'a> fn(&'a Subject<'a>) -> Vec<Reader<'a>>;

/// Lets readers race for that long; then something happens and they go on for a while.
pub fn run(readers: Vec<Reader<'_>>, time: Duration, happens: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let (end, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        for (seed, mut reader) in (1..).zip(readers) {
            let on_panic = StopOnPanic(&stop, end.clone());
            scope.spawn(move || {
                let stop = &on_panic;
                let mut random = Rng::with_seed(seed);
                loop {
                    reader(&mut random);
                    if stop.0.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        if ended.recv_timeout(time).is_err() {
            happens();
            let _ = ended.recv_timeout(time / 4);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// One reader that fails ends the race.
struct StopOnPanic<'a>(&'a AtomicBool, mpsc::Sender<()>);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
            let _ = self.1.send(());
        }
    }
}

/// Has all these readers race, on a mount made in each of these ways; near the end it is unmounted
/// under them.
pub fn race(options: &[&[&str]], readers: &[Readers]) {
    let place = Place::new();
    let original = model(30, 20);
    place.pack("m", &original);
    for (round, options) in options.iter().enumerate() {
        let mount = Mount::with(&place.source, &place.mountpoint, options, limit());
        let path = mount.path("m");
        let subject = Subject::open(&path, &original);
        let readers = readers.iter().flat_map(|readers| readers(&subject));
        run(readers.collect(), race_time(), || unmount(&mount, round));
        drop(subject);
        let status = mount.wait();
        assert!(status.success(), "{options:?}: {status}");
    }
}

/// Frees the mount point in one way or another; those who have files open go on.
pub fn unmount(mount: &Mount, way: usize) {
    if way.is_multiple_of(2) {
        signal(mount.pid(), "TERM");
    } else {
        let mountpoint = mount.mountpoint.as_os_str();
        ok(["umount".as_ref(), "--lazy".as_ref(), mountpoint]);
    }
}

/// Faults in random pages and in adjacent ones, while others go through the whole of the same map.
pub fn faults<'a>(subject: &'a Subject<'a>) -> Vec<Reader<'a>> {
    let map = subject.shared_map();
    let mut readers: Vec<Reader<'a>> = Vec::new();
    for _ in 0..4 {
        readers.push(random_pages(subject, Arc::clone(&map)));
        readers.push(adjacent_pages(subject, Arc::clone(&map)));
    }
    for _ in 0..2 {
        readers.push(all_pages(subject, Arc::clone(&map)));
    }
    readers.push(dropped_pages(subject, vec![map]));
    readers
}

pub fn random_pages<'a>(subject: &'a Subject<'a>, map: Arc<Mmap>) -> Reader<'a> {
    Box::new(move |random| {
        for _ in 0..16 {
            let at = random.usize(..map.len());
            subject.see(&map, at..at + 1);
            let page = at / PAGE * PAGE;
            subject.see(&map, page..page + PAGE);
        }
    })
}

/// Pages of a few blocks, in any order, where others are as well.
pub fn adjacent_pages<'a>(subject: &'a Subject<'a>, map: Arc<Mmap>) -> Reader<'a> {
    const NEAR: usize = 1 << 20;
    Box::new(move |random| {
        let start = subject.shared_place(NEAR);
        for _ in 0..64 {
            let page = start + random.usize(..NEAR / PAGE) * PAGE;
            subject.see(&map, page..page + PAGE);
        }
    })
}

/// From start to end, a piece in each round.
pub fn all_pages<'a>(subject: &'a Subject<'a>, map: Arc<Mmap>) -> Reader<'a> {
    let mut pages = (0..map.len()).step_by(PAGE).cycle();
    Box::new(move |_| {
        for page in pages.by_ref().take(512) {
            subject.see(&map, page..page + PAGE);
        }
    })
}

/// Drops pages now and then, from the maps as well.
pub fn dropped_pages<'a>(subject: &'a Subject<'a>, maps: Vec<Arc<Mmap>>) -> Reader<'a> {
    Box::new(move |random| {
        pause(random, Duration::from_millis(40));
        maps.iter().for_each(|map| forget(map));
        subject.drop_pages();
    })
}

/// Sixteen threads on one descriptor: half of them share the file out, the others read anywhere.
pub fn descriptor<'a>(subject: &'a Subject<'a>) -> Vec<Reader<'a>> {
    const STRIPE: usize = 64 << 10;
    let mut readers: Vec<Reader<'a>> = Vec::new();
    for thread in 0..8 {
        let mut buffer = vec![0; STRIPE];
        let stripes = (thread * STRIPE..subject.original.len()).step_by(8 * STRIPE);
        let mut stripes = stripes.cycle();
        readers.push(Box::new(move |_| {
            for at in stripes.by_ref().take(16) {
                subject.read(&subject.file, &mut buffer, at).unwrap();
            }
        }));
        readers.push(random_reads(subject));
    }
    readers.push(dropped_pages(subject, Vec::new()));
    readers
}

pub fn random_reads<'a>(subject: &'a Subject<'a>) -> Reader<'a> {
    let mut buffer = vec![0; 300_000];
    Box::new(move |random| {
        for _ in 0..4 {
            let at = random.usize(..subject.original.len());
            let len = random.usize(..buffer.len());
            subject.read(&subject.file, &mut buffer[..len], at).unwrap();
        }
    })
}

/// Maps of every kind beside each other, with all that the kernel can be told of them.
pub fn advised_maps<'a>(subject: &'a Subject<'a>) -> Vec<Reader<'a>> {
    let (random, wanted, private) = (
        subject.shared_map(),
        subject.shared_map(),
        subject.private_map(),
    );
    random.advise(Advice::Random).unwrap();
    let all = vec![
        Arc::clone(&random),
        Arc::clone(&wanted),
        Arc::clone(&private),
    ];
    let mut readers = vec![
        random_pages(subject, Arc::clone(&random)),
        adjacent_pages(subject, Arc::clone(&random)),
        adjacent_pages(subject, random),
        random_pages(subject, Arc::clone(&wanted)),
        adjacent_pages(subject, Arc::clone(&wanted)),
        all_pages(subject, Arc::clone(&private)),
        adjacent_pages(subject, private),
        dropped_pages(subject, all),
    ];
    readers.push(Box::new(move |_| {
        wanted.advise(Advice::WillNeed).unwrap();
        subject.see(&wanted, 0..subject.original.len());
    }));
    for private in [true, false] {
        readers.push(Box::new(move |_| {
            let map = subject.populated_map(private);
            subject.see(&map, 0..subject.original.len());
        }));
    }
    readers
}

/// Reads past the page cache, reads through it, and maps, all of the same ranges.
pub fn direct<'a>(subject: &'a Subject<'a>) -> Vec<Reader<'a>> {
    const UNIT: usize = 512 << 10;
    let map = subject.shared_map();
    let mut readers: Vec<Reader<'a>> = Vec::new();
    for _ in 0..3 {
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_DIRECT);
        let file = options.open(subject.path).unwrap();
        let mut space = vec![0; UNIT + PAGE];
        readers.push(Box::new(move |random| {
            let skip = space.as_ptr().align_offset(PAGE);
            let len = (1 + random.usize(..UNIT / PAGE)) * PAGE;
            let at = subject.shared_place(UNIT);
            let buffer = &mut space[skip..skip + len];
            subject.read(&file, buffer, at).unwrap();
        }));
        let mut buffer = vec![0; UNIT];
        readers.push(Box::new(move |_| {
            let at = subject.shared_place(UNIT);
            subject.read(&subject.file, &mut buffer, at).unwrap();
        }));
        let map = Arc::clone(&map);
        readers.push(Box::new(move |_| {
            let at = subject.shared_place(UNIT);
            subject.see(&map, at..at + UNIT);
        }));
    }
    readers.push(dropped_pages(subject, vec![map]));
    readers
}

/// Drops ranges as fast as it can.
pub fn drops<'a>(subject: &'a Subject<'a>) -> Vec<Reader<'a>> {
    let mut readers: Vec<Reader<'a>> = Vec::new();
    for _ in 0..2 {
        readers.push(Box::new(|random| {
            for _ in 0..64 {
                let at = random.usize(..subject.original.len()) as u64;
                let len = std::num::NonZeroU64::new(1 + random.usize(..4 << 20) as u64);
                fadvise(&subject.file, at, len, FileAdvice::DontNeed).unwrap();
            }
            std::thread::yield_now();
        }));
    }
    readers
}

/// Many that go through the file in steps, each by a descriptor of its own, so that blocks are
/// decoded ahead of them.
pub fn steps<'a>(subject: &'a Subject<'a>) -> Vec<Reader<'a>> {
    let mut readers: Vec<Reader<'a>> = Vec::new();
    for (thread, kib) in [4, 16, 64, 128, 128, 128].into_iter().enumerate() {
        let file = File::open(subject.path).unwrap();
        let mut buffer = vec![0; kib << 10];
        let len = subject.original.len();
        let mut at = thread * len / 12 / PAGE * PAGE;
        readers.push(Box::new(move |_| {
            for _ in 0..(512 / kib) {
                subject.read(&file, &mut buffer, at).unwrap();
                at += buffer.len();
                if at >= len {
                    at = 0;
                }
            }
        }));
    }
    for _ in 0..3 {
        readers.push(random_reads(subject));
    }
    readers.push(dropped_pages(subject, Vec::new()));
    readers
}
