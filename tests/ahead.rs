//! What is fetched ahead of readers, seen from a page cache that is none: every byte that is stored
//! there is compared, and that it is stored where the rules allow it.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use support::{Place, model, noise, safetensors, weights};
use weightfs::file::PageCache;
use weightfs::fs::{Inode, ModelTree, ROOT_INODE, Source};

const PAGE: u64 = 4096;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Nothing that is expected takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// What the kernel would have.
#[derive(Default)]
struct Pages {
    files: BTreeMap<Inode, Vec<u8>>,
    stored: BTreeMap<Inode, Vec<Range<u64>>>,
    reading: Vec<(Inode, Range<u64>)>,
    wrong: Option<String>,
}

impl Pages {
    fn store(&mut self, inode: Inode, at: u64, bytes: &[u8]) {
        let range = at..at + bytes.len() as u64;
        let Some(file) = self.files.get(&inode) else {
            self.wrong = Some(format!("{range:?} of an unknown file"));
            return;
        };
        let end = file.len() as u64;
        let whole = at.is_multiple_of(PAGE) && (range.end.is_multiple_of(PAGE) || range.end == end);
        if !whole || range.is_empty() || range.end > end {
            self.wrong = Some(format!("{range:?} of {end} bytes"));
        } else if file[at as usize..range.end as usize] != *bytes {
            self.wrong = Some(format!("wrong bytes in {range:?}"));
        }
        self.stored.entry(inode).or_default().push(range);
    }
}

/// A mount without a kernel.
struct Mounted {
    place: Place,
    tree: Arc<ModelTree>,
    pages: Arc<(Mutex<Pages>, Condvar)>,
}

impl Mounted {
    fn new(files: &[(&str, &[u8])], reads_ahead: bool) -> Self {
        let place = Place::new();
        for (name, bytes) in files {
            place.pack(name, bytes);
        }
        let source = Source::open(&place.source).unwrap();
        let threads = 2.try_into().unwrap();
        let tree = Arc::new(ModelTree::new(source, 64 << 20, threads).unwrap());
        let pages = Arc::<(Mutex<Pages>, Condvar)>::default();
        let shared = Arc::clone(&pages);
        tree.read_ahead(Some(PageCache {
            store: Box::new(move |inode, at, bytes| {
                shared.0.lock().unwrap().store(inode, at, bytes);
                shared.1.notify_all();
                Ok(())
            }),
            reads_ahead,
        }));
        let mounted = Self { place, tree, pages };
        for (name, bytes) in files {
            let inode = mounted.inode(name);
            let mut pages = mounted.pages.0.lock().unwrap();
            pages.files.insert(inode, bytes.to_vec());
        }
        mounted
    }

    fn inode(&self, name: &str) -> Inode {
        let found = self.tree.lookup(ROOT_INODE, name.as_ref()).unwrap();
        found.inode
    }

    /// Reads a range of a file in pieces, as a kernel that has none of it, and compares it.
    fn read(&self, name: &str, range: Range<u64>, piece: u64, direct: bool) {
        let inode = self.inode(name);
        let original = self.pages.0.lock().unwrap().files[&inode].clone();
        let handle = self.tree.open(inode).unwrap().handle;
        for at in range.clone().step_by(piece as usize) {
            let read = at..(at + piece).min(range.end).min(original.len() as u64);
            let expected = &original[at as usize..read.end as usize];
            let reading = (inode, read);
            self.pages.0.lock().unwrap().reading.push(reading.clone());
            let same = |bytes: &[u8]| {
                let mut pages = self.pages.0.lock().unwrap();
                pages.reading.retain(|other| *other != reading);
                bytes == expected
            };
            let read = self.tree.read(handle, at, expected.len(), direct, same);
            assert!(read.unwrap(), "at {at}");
        }
        self.tree.release(handle);
    }

    /// Waits until something that holds a byte of a file is stored.
    fn wait_for(&self, name: &str, byte: u64) -> bool {
        self.wait_within(name, byte, LIMIT)
    }

    fn wait_within(&self, name: &str, byte: u64, limit: Duration) -> bool {
        let (inode, start) = (self.inode(name), Instant::now());
        let mut pages = self.pages.0.lock().unwrap();
        loop {
            let stored = pages.stored.get(&inode);
            if stored.is_some_and(|stored| stored.iter().any(|range| range.contains(&byte))) {
                return true;
            }
            let Some(left) = limit.checked_sub(start.elapsed()) else {
                return false;
            };
            (pages, _) = self.pages.1.wait_timeout(pages, left).unwrap();
        }
    }

    /// All that was stored was right.
    fn check(self) {
        let Self { place, tree, pages } = self;
        let prefetch = tree.stats().prefetch;
        drop((tree, place));
        let pages = pages.0.lock().unwrap();
        assert_eq!(pages.wrong, None);
        let stored: u64 = pages
            .stored
            .values()
            .flatten()
            .map(|range| range.end - range.start)
            .sum();
        assert!(prefetch.pushed_bytes <= stored && stored <= prefetch.issued_bytes);
    }
}

#[test]
fn who_reads_on_and_on_finds_what_comes_next() {
    let original = model(1, 12);
    let mounted = Mounted::new(&[("m", &original)], false);
    let handle = mounted.tree.open(mounted.inode("m")).unwrap().handle;
    let end = original.len() as u64;
    let (mut at, mut read) = (0, 0);
    // As a kernel that reads 128 KiB ahead: only what is not there is asked for.
    while at < end {
        let is_mark = (at + PAGE).is_multiple_of(2 * MIB);
        let patience = Duration::from_millis(if is_mark { 0 } else { 50 });
        if mounted.wait_within("m", at, patience) {
            assert!(
                !is_mark,
                "{at} tells how far the reader is, and must be asked for"
            );
            at += PAGE;
        } else {
            let len = if is_mark { PAGE } else { 128 * KIB };
            mounted.read("m", at..at + len, len, false);
            read += len;
            at += len;
        }
    }
    assert!(read < end / 2, "{read} bytes were read");
    let prefetch = mounted.tree.stats().prefetch;
    assert!(prefetch.used_bytes > 8 * MIB, "{prefetch:?}");
    mounted.tree.release(handle);
    mounted.check();
}

#[test]
fn headers_here_and_there_and_readers_past_the_page_cache_store_nothing() {
    let original = model(2, 24);
    let mounted = Mounted::new(&[("m", &original)], false);
    mounted.read("m", 0..256 * KIB, 64 * KIB, false);
    for i in 0..200 {
        let at = i * 7919 % 5000 * PAGE;
        mounted.read("m", at..at + PAGE, PAGE, false);
    }
    assert_eq!(mounted.tree.stats().prefetch.issued_bytes, 0);
    mounted.read("m", 0..4 * MIB, 128 * KIB, true);
    let prefetch = mounted.tree.stats().prefetch;
    assert!(prefetch.issued_bytes > MIB, "blocks are decoded ahead");
    assert_eq!(prefetch.pushed_bytes, 0);
    mounted.check();
}

#[test]
fn the_next_part_of_a_model_is_ready_when_it_is_opened() {
    let names = [1, 2, 3].map(|part| format!("model-0000{part}-of-00003.safetensors"));
    let parts = [3, 4, 5].map(|seed| model(seed, 4));
    let files: Vec<_> = (names.iter().map(String::as_str))
        .zip(parts.iter().map(Vec::as_slice))
        .collect();
    for reads_ahead in [false, true] {
        let mounted = Mounted::new(&files, reads_ahead);
        // It may be closed before the next one was looked for.
        mounted.read(&names[0], 0..parts[0].len() as u64, MIB, false);
        assert!(mounted.wait_for(&names[1], MIB));
        // Not the one behind it as well.
        let third = mounted.inode(&names[2]);
        assert!(!mounted.pages.0.lock().unwrap().stored.contains_key(&third));
        mounted.check();
    }
}

#[test]
fn jumps_between_tensors_are_foreseen_once_their_order_is_known() {
    let names = ["l.0", "l.1", "l.10", "l.11", "l.2", "l.3", "l.30", "l.4"];
    let tensors: Vec<_> = (0..)
        .zip(names)
        .map(|(i, name)| (name, "BF16", &[MIB / 2][..], weights(i, 1 << 19)))
        .collect();
    let original = safetensors(&tensors);
    let start = original.len() as u64 - 8 * MIB;
    let tensor = |i: u64| start + i * MIB..start + (i + 1) * MIB;
    // A kernel that reads ahead itself: only jumps are left to fetch.
    let mounted = Mounted::new(&[("m", &original)], true);
    // What is known of a file goes with the last who has it open.
    let handle = mounted.tree.open(mounted.inode("m")).unwrap().handle;
    let begin = Instant::now();
    // The header is looked at by another thread, which may come too late for the first round.
    loop {
        for i in [0, 1, 4, 5] {
            mounted.read("m", tensor(i), 512 * KIB, false);
        }
        if mounted.wait_within("m", tensor(7).start + MIB / 2, Duration::from_millis(100)) {
            break;
        }
        assert!(begin.elapsed() < LIMIT, "{:?}", mounted.tree.stats());
    }
    mounted.tree.release(handle);
    let pages = mounted.pages.0.lock().unwrap();
    let stored: Vec<_> = pages.stored.values().flatten().cloned().collect();
    drop(pages);
    let between = tensor(6).start + MIB / 4..tensor(6).end - MIB / 4;
    assert!(!stored.iter().any(|range| range.contains(&between.start)));
    mounted.check();
}

#[test]
fn a_damaged_block_is_not_stored_and_its_reader_is_told() {
    let original = noise(6, 8 << 20);
    let mounted = Mounted::new(&[("m", &original)], false);
    let archive = mounted.place.source.join("m.wfz");
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // In place, so that it is the same generation.
    std::fs::write(&archive, bytes).unwrap();
    let handle = mounted.tree.open(mounted.inode("m")).unwrap().handle;
    for mark in 1..=4 {
        mounted.read("m", (mark - 1) * MIB / 2..mark * MIB / 2, 64 * KIB, false);
    }
    assert!(mounted.wait_for("m", 5 * MIB / 2));
    let damaged = (3 * MIB..5 * MIB).step_by(PAGE as usize).filter(|&at| {
        let read = mounted.tree.read(handle, at, PAGE as usize, false, |_| ());
        read.is_err()
    });
    let damaged: Vec<_> = damaged.collect();
    assert_eq!(damaged.len(), 64, "one block");
    mounted.tree.release(handle);
    let pages = mounted.pages.0.lock().unwrap();
    for range in pages.stored.values().flatten() {
        assert!(!damaged.iter().any(|at| range.contains(at)));
    }
    drop(pages);
    mounted.check();
}
