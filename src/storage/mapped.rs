//! A read-only memory map that survives the truncation of its file.
//!
//! A map of which a page cannot be had reads as zeros (`sigbus`), and that is counted. What was read of a map is
//! looked at as bytes of the file only if it was not replaced meanwhile; else the range is read again by
//! position, which says what is wrong with it, or gives the bytes if it was another range. When the
//! reader is done (`release`), the file is mapped again, so that zeros do not stay after the file is whole
//! again.

#![expect(unsafe_code, reason = "memory maps; see each SAFETY")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{Ordering, fence};

use memmap2::{Advice, Mmap, MmapOptions, UncheckedAdvice};

use super::access::{Hints, Storage, within};
use super::positional::read_range;
use super::sigbus::{Watched, install_handler};
use crate::sync::lock;

/// What the kernel maps around a fault, unless its default was changed.
const FAULT_WINDOW_BYTES: usize = 64 * 1024;

/// What is given back at once: with each block, it would cost more to tell the other processors of it
/// (a TLB shootdown) than to map it.
const ENOUGH_USED_BYTES: usize = 4 << 20;

/// A file mapped for reading.
///
/// The contents of the slice may change if somebody writes to the file: whoever reads it must
/// treat it as untrusted bytes and check what it made of them.
#[derive(Debug)]
pub struct MappedFile {
    // `None` for an empty file, which cannot be mapped.
    map: Option<Registered>,
}

/// A map that the handler knows of.
#[derive(Debug)]
struct Registered {
    // Dropped first: the handler must not know of it any more when it is unmapped.
    watched: Watched,
    map: Mmap,
    is_shared: bool,
    /// To map it again, and to read what cannot be mapped.
    file: File,
    used: Used,
}

impl MappedFile {
    /// Maps the whole file as long as it is now.
    ///
    /// # Errors
    /// What the system answered (ENODEV of a file that cannot be mapped), or if the SIGBUS handler cannot
    /// be installed.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read only. Rust's rule that nobody changes it meanwhile cannot be
        // enforced for a file; all readers copy or decode from it with bounds that do not depend on
        // the bytes staying the same between two looks, and check the result (see `block::decode`).
        // Truncation is handled by the SIGBUS handler.
        Self::made_by(file, true, |options| unsafe { options.map(file) })
    }

    /// As `new`, private to this process (`MAP_PRIVATE`), which is how most loaders of models map.
    ///
    /// # Errors
    /// As `new`.
    pub fn private(file: &File) -> io::Result<Self> {
        // SAFETY: as in `new`.
        Self::made_by(file, false, |options| unsafe {
            options.map_copy_read_only(file)
        })
    }

    fn made_by(
        file: &File,
        is_shared: bool,
        map: impl FnOnce(&MmapOptions) -> io::Result<Mmap>,
    ) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if len == 0 {
            return Ok(Self { map: None });
        }
        install_handler()?;
        // First, so that nothing can fail once the handler watches the map.
        let file = file.try_clone()?;
        let map = map(MmapOptions::new().len(len))?;
        let start = map.as_ptr() as usize;
        Ok(Self {
            map: Some(Registered {
                watched: Watched::new(start..start + len),
                map,
                is_shared,
                file,
                used: Used::default(),
            }),
        })
    }

    /// The bytes of the file; zeros once some of them cannot be had (`faulted`).
    pub fn as_slice(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |registered| &registered.map)
    }

    /// Asks the system to read all of the file now (`MADV_WILLNEED`).
    ///
    /// # Errors
    /// What the system answered.
    pub fn ask_for_all(&self) -> io::Result<()> {
        match &self.map {
            Some(registered) => registered.map.advise(Advice::WillNeed),
            None => Ok(()),
        }
    }

    /// True if a page could not be had since the map was made or released: what was read of it may be zeros.
    pub fn faulted(&self) -> bool {
        let registered = self.map.as_ref();
        registered.is_some_and(|Registered { watched, .. }| watched.faults() != watched.mended())
    }
}

impl Storage for MappedFile {
    fn file(&self) -> Option<&File> {
        self.map.as_ref().map(|registered| &registered.file)
    }

    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let place = within(&range, self.len())?;
        let Some(Registered { watched, file, .. }) = &self.map else {
            read(&[]);
            return Ok(());
        };
        let mended = watched.mended();
        if watched.faults() == mended {
            read(&self.as_slice()[place]);
            // The bytes were read before the count, on every processor.
            fence(Ordering::Acquire);
            if watched.faults() == mended {
                return Ok(());
            }
        }
        // Somewhere in the file: it is rare enough to find out where by reading.
        read(read_range(file, &range, &mut Vec::new())?);
        Ok(())
    }

    /// Gives back the memory that a range has mapped, together with that of other ranges once it is some
    /// megabytes, and undoes at once what the SIGBUS handler did. The pages stay in the page cache; who
    /// reads the range again maps them again. Private maps keep all.
    fn release(&self, range: Range<u64>) {
        if let Some(registered) = self.map.as_ref().filter(|map| map.is_shared)
            && let (Ok(start), Ok(end)) = (range.start.try_into(), range.end.try_into())
        {
            registered.release(start..end);
        }
    }

    /// Tells the system, which then reads ahead of faults, in large pieces.
    fn expect_sequential(&self) {
        if let Some(registered) = &self.map {
            // Only a wish: speed is all that depends on it.
            let _ = registered.map.advise(Advice::Sequential);
        }
    }

    // No asking ahead: `MADV_WILLNEED` fills the page cache with single pages, which take four times as
    // long to map, and has made no reader of a local disk faster.
    fn hints(&self) -> Hints {
        Hints {
            in_place: true,
            ask_ahead_bytes: 0,
        }
    }
}

impl Registered {
    fn release(&self, range: Range<usize>) {
        let map = &self.map;
        // A fault maps a whole window of pages that are in the page cache, so windows are released.
        let start = range.start.min(map.len()) / FAULT_WINDOW_BYTES * FAULT_WINDOW_BYTES;
        let end = range.end.min(map.len());
        let end = end.next_multiple_of(FAULT_WINDOW_BYTES).min(map.len());
        let faulted = self.watched.faults() != self.watched.mended();
        let settled = self.watched.settled();
        for range in self.used.add(start..end, faulted) {
            // SAFETY: the map is shared with the file and never written to through it, so a page that
            // is dropped comes back with the bytes of the file.
            let advised = unsafe {
                map.unchecked_advise_range(
                    UncheckedAdvice::DontNeed,
                    range.start,
                    range.end.saturating_sub(range.start),
                )
            };
            // Only a wish: memory is all that depends on it.
            let _ = advised;
        }
        if faulted {
            // Else there are zeros still; try again next time.
            if self.map_again()
                && let Some(faults) = settled
            {
                self.watched.mend(faults);
            }
        }
    }

    /// Replaces the map by the same map of the same file, and tells whether that could be done. The file is
    /// mapped elsewhere first and moved here then: a file system that refuses to map the file (a disk that
    /// is gone) would leave nothing at all where a map is made over another.
    fn map_again(&self) -> bool {
        let old = self.map.as_ptr().cast_mut().cast::<libc::c_void>();
        let len = self.map.len();
        // SAFETY: a new map, which nobody else knows of, goes to the address of our own and has its
        // length; whoever reads there meanwhile reads the file's bytes or faults again. If it cannot be
        // moved, it is unmapped.
        unsafe {
            let fresh = libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_SHARED,
                self.file.as_raw_fd(),
                0,
            );
            if fresh == libc::MAP_FAILED {
                return false;
            }
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            let moved = libc::mremap(fresh, len, len, flags, old) != libc::MAP_FAILED;
            if !moved {
                libc::munmap(fresh, len);
            }
            moved
        }
    }
}

/// Ranges that were read and not given back yet.
#[derive(Debug, Default)]
struct Used(Mutex<Vec<Range<usize>>>);

impl Used {
    /// Adds a range; returns what is to be given back now, which is all there is once it is much, or if
    /// `all` is set.
    fn add(&self, mut range: Range<usize>, all: bool) -> Vec<Range<usize>> {
        let mut used = lock(&self.0);
        used.retain(|other| {
            let meets = other.start <= range.end && range.start <= other.end;
            if meets {
                range = range.start.min(other.start)..range.end.max(other.end);
            }
            !meets
        });
        used.push(range);
        let bytes: usize = used.iter().map(ExactSizeIterator::len).sum();
        if all || bytes >= ENOUGH_USED_BYTES {
            std::mem::take(&mut used)
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::time::{Duration, Instant};

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn an_empty_file_maps_to_an_empty_slice() {
        let file = tempfile::tempfile().unwrap();
        assert!(MappedFile::new(&file).unwrap().as_slice().is_empty());
    }

    #[test]
    fn a_truncated_map_reads_as_zeros_instead_of_killing_the_process() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7u8; 64 * 1024]).unwrap();
        let first = MappedFile::new(&file).unwrap();
        let second = MappedFile::private(&file).unwrap();
        file.set_len(4096).unwrap();
        for map in [&first, &second] {
            assert_eq!(map.as_slice()[4095], 7);
            assert!(!map.faulted());
            assert_eq!(map.as_slice()[40_000], 0);
            assert_eq!(map.as_slice()[65_535], 0);
            assert!(map.faulted());
            assert_eq!(map.as_slice()[4095], 0, "and nothing is asked for again");
        }
    }

    #[test]
    fn a_file_that_is_whole_again_reads_right_again() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7u8; 64 * 1024]).unwrap();
        let map = MappedFile::new(&file).unwrap();
        file.set_len(0).unwrap();
        // Each fault splits the map; there is room for some 30,000.
        for round in 0..40_000 {
            let page = round % 16 * 4096;
            assert_eq!(map.as_slice()[page], 0);
            map.release(page as u64..page as u64 + 4096);
        }
        file.set_len(64 * 1024).unwrap();
        crate::os::write_all_at(&file, &[8; 64 * 1024], 0).unwrap();
        assert!(map.as_slice().iter().all(|&byte| byte == 8));
    }

    #[test]
    fn what_cannot_be_had_is_an_error_and_the_rest_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7u8; 64 * 1024]).unwrap();
        let map = MappedFile::new(&file).unwrap();
        let read = |range| {
            let mut seen = Vec::new();
            map.read(range, &mut |bytes| seen = bytes.to_vec())
                .map(|()| seen)
        };
        file.set_len(10_000).unwrap();
        for _ in 0..2 {
            let lost = read(20_000..30_000).unwrap_err();
            assert_eq!(lost.kind(), io::ErrorKind::UnexpectedEof);
            let lost = read(9_999..10_001).unwrap_err();
            assert_eq!(lost.kind(), io::ErrorKind::UnexpectedEof);
            // Beside what is lost.
            assert_eq!(read(5_000..10_000).unwrap(), [7; 5_000]);
        }
        file.set_len(64 * 1024).unwrap();
        crate::os::write_all_at(&file, &[8; 64 * 1024], 0).unwrap();
        assert!(map.faulted());
        assert_eq!(read(20_000..30_000).unwrap(), [8; 10_000], "by position");
        map.release(0..1);
        assert!(!map.faulted());
        assert_eq!(read(20_000..30_000).unwrap(), [8; 10_000], "in the map");
    }

    /// One thread cuts the file off and makes it whole again, while others read and map it again: they
    /// see what was there, or an error.
    #[test]
    fn nobody_reads_zeros_whatever_happens_meanwhile() {
        const LEN: usize = 256 * 1024;
        const READERS: u64 = 3;
        let file = tempfile::tempfile().unwrap();
        let fill = || crate::os::write_all_at(&file, &[7; LEN], 0).unwrap();
        fill();
        let map = MappedFile::new(&file).unwrap();
        let is_done = AtomicBool::new(false);
        let enough = |count: &AtomicU64| count.load(Ordering::Relaxed) > 2_000;
        let (whole, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for reader in 0..READERS {
                let (map, is_done, whole, lost) = (&map, &is_done, &whole, &lost);
                scope.spawn(move || {
                    for at in (reader..).step_by(5) {
                        let at = at * 4096 % LEN as u64;
                        let mut wrong = 0;
                        let read = map.read(at..at + 4096, &mut |bytes| {
                            wrong = bytes.iter().filter(|&&byte| byte != 7).count();
                        });
                        match read {
                            Ok(()) => whole.fetch_add(1, Ordering::Relaxed),
                            Err(_) => lost.fetch_add(1, Ordering::Relaxed),
                        };
                        assert!(read.is_err() || wrong == 0, "{wrong} at {at}");
                        map.release(at..at + 4096);
                        if is_done.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
            let start = Instant::now();
            while !(enough(&whole) && enough(&lost)) && start.elapsed() < LIMIT {
                file.set_len(0).unwrap();
                fill();
            }
            is_done.store(true, Ordering::Relaxed);
        });
        assert!(enough(&whole) && enough(&lost), "{whole:?} {lost:?}");
    }

    #[test]
    fn ranges_are_given_back_together() {
        let used = Used::default();
        let mib = 1 << 20;
        for at in (0..3).rev() {
            assert!(used.add(at * mib..(at + 1) * mib, false).is_empty());
        }
        assert!(used.add(mib / 2..3 * mib, false).is_empty(), "nothing new");
        let far = 50 * mib..51 * mib;
        assert_eq!(used.add(far.clone(), false), [0..3 * mib, far]);
        assert_eq!(used.add(0..5, true)[0], 0..5);
    }
}
