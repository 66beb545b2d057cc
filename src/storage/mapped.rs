//! A read-only memory map that survives the truncation of its file.
//!
//! Touching a page of a map that lies beyond the end of the file, or that the disk cannot deliver,
//! raises SIGBUS, whose default action ends the process: one damaged archive would take down the
//! mounts of all the others. A handler replaces the page by an anonymous page of zeros instead, so
//! that the access returns; the checksum of the block then fails and the reader gets an error.
//! No byte of such a page can be served, because every byte served has passed a checksum. When the
//! reader is done (`release`), the file is mapped again, so that pages of zeros neither pile up nor
//! stay after the file is whole again.
//!
//! The handler acts on the maps of this module alone and passes every other SIGBUS on. It needs to
//! find them without a lock, hence the one global of the crate: a list of slots that only grows,
//! and whose slots are used again.

#![expect(
    unsafe_code,
    reason = "memory maps and a signal handler; see each SAFETY"
)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::sync::lock;
use memmap2::{Advice, Mmap, MmapOptions, UncheckedAdvice};

/// What the kernel maps around a fault, unless its default was changed.
const FAULT_WINDOW_BYTES: usize = 64 * 1024;

/// What is given back at once: with each block, it would cost more to tell the other processors of it
/// than to map it.
const MOST_USED_BYTES: usize = 4 << 20;

/// A file mapped for reading.
///
/// The contents of the slice may change if somebody writes to the file: whoever reads it must
/// treat it as untrusted bytes and check what it made of them.
#[derive(Debug)]
pub struct MappedFile {
    // `None` for an empty file, which cannot be mapped.
    map: Option<Registered>,
}

impl MappedFile {
    /// Maps the whole file as long as it is now.
    ///
    /// # Errors
    /// What the system answered, or `Unsupported` if the SIGBUS handler cannot be installed.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read only. Rust's rule that nobody changes it meanwhile cannot be
        // enforced for a file; all readers copy or decode from it with bounds that do not depend on
        // the bytes staying the same between two looks, and check the result (see `block::decode`).
        // Truncation is handled by the SIGBUS handler above.
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
        let map = map(MmapOptions::new().len(len))?;
        Ok(Self {
            map: Some(Registered::new(map, is_shared, file.try_clone()?)),
        })
    }

    /// The bytes of the file.
    pub fn as_slice(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |registered| &registered.map)
    }

    /// Tells the system that the file is read from its start to its end: it reads ahead of faults,
    /// in large pieces. (Asking for ranges by `MADV_WILLNEED` would fill the page cache with single
    /// pages, which take four times as long to map.)
    pub fn expect_sequential(&self) {
        if let Some(registered) = &self.map {
            // Only a wish: speed is all that depends on it.
            let _ = registered.map.advise(Advice::Sequential);
        }
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

    /// True if a page could not be had since the map was made or released: what was read there are
    /// zeros.
    pub fn faulted(&self) -> bool {
        let registered = self.map.as_ref();
        registered.is_some_and(|registered| registered.slot.faulted.load(Ordering::Acquire))
    }

    /// To be called after reading a range: gives back the memory that it has mapped, together with that
    /// of other ranges once it is some megabytes, and undoes at once what the SIGBUS handler did. The
    /// pages stay in the page cache; who reads the range again maps them again. Private maps keep all.
    pub fn release(&self, range: Range<usize>) {
        let Some(registered) = self.map.as_ref().filter(|map| map.is_shared) else {
            return;
        };
        let map = &registered.map;
        // A fault maps a whole window of pages that are in the page cache, so windows are released.
        let start = range.start.min(map.len()) / FAULT_WINDOW_BYTES * FAULT_WINDOW_BYTES;
        let end = range.end.min(map.len());
        let end = end.next_multiple_of(FAULT_WINDOW_BYTES).min(map.len());
        let faulted = registered.slot.faulted.load(Ordering::Acquire);
        for range in registered.used.add(start..end, faulted) {
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
        if registered.slot.faulted.swap(false, Ordering::AcqRel) {
            // SAFETY: replaces our own map, at its address and of its length, by the same map of the
            // same file; whoever reads it meanwhile reads the file's bytes or faults again.
            let mapped = unsafe {
                libc::mmap(
                    map.as_ptr().cast_mut().cast(),
                    map.len(),
                    libc::PROT_READ,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                    registered.file.as_raw_fd(),
                    0,
                )
            };
            if mapped == libc::MAP_FAILED {
                // The old map is still there, with its pages of zeros; try again next time.
                registered.slot.faulted.store(true, Ordering::Release);
            }
        }
    }
}

/// A map that the handler knows of.
#[derive(Debug)]
struct Registered {
    map: Mmap,
    is_shared: bool,
    slot: &'static Slot,
    /// To map it again.
    file: File,
    used: Used,
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
        if all || bytes >= MOST_USED_BYTES {
            std::mem::take(&mut used)
        } else {
            Vec::new()
        }
    }
}

impl Registered {
    fn new(map: Mmap, is_shared: bool, file: File) -> Self {
        let start = map.as_ptr() as usize;
        let slot = Slot::claim(start, start + map.len());
        Self {
            map,
            is_shared,
            slot,
            file,
            used: Used::default(),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Before the field `map` is unmapped, so that the handler never acts on a foreign map.
        self.slot.release();
    }
}

/// One entry of the handler's list: the addresses `start..end`, or `end == 0` for a free slot.
#[derive(Debug)]
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    /// Set by the handler when it has replaced a page.
    faulted: AtomicBool,
    next: *const Slot,
}

// SAFETY: `next` is written once, before the slot is published, and slots are never freed.
unsafe impl Sync for Slot {}

static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());
/// A slot whose `end` is this is taken, but not filled in yet.
const CLAIMED: usize = 1;

impl Slot {
    fn iter() -> impl Iterator<Item = &'static Slot> {
        let mut at = SLOTS.load(Ordering::Acquire).cast_const();
        std::iter::from_fn(move || {
            // SAFETY: null or a slot that was leaked on purpose, so it lives for ever.
            let slot = unsafe { at.as_ref() }?;
            at = slot.next;
            Some(slot)
        })
    }

    fn claim(start: usize, end: usize) -> &'static Slot {
        let free = Self::iter().find(|slot| {
            slot.end
                .compare_exchange(0, CLAIMED, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        });
        if let Some(slot) = free {
            slot.start.store(start, Ordering::Release);
            slot.faulted.store(false, Ordering::Release);
            slot.end.store(end, Ordering::Release);
            return slot;
        }
        let slot = Box::leak(Box::new(Slot {
            start: AtomicUsize::new(start),
            end: AtomicUsize::new(end),
            faulted: AtomicBool::new(false),
            next: ptr::null(),
        }));
        let mut head = SLOTS.load(Ordering::Acquire);
        loop {
            slot.next = head;
            match SLOTS.compare_exchange_weak(head, slot, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return slot,
                Err(now) => head = now,
            }
        }
    }

    fn release(&self) {
        self.end.store(0, Ordering::Release);
    }

    fn contains(&self, address: usize) -> bool {
        let end = self.end.load(Ordering::Acquire);
        (self.start.load(Ordering::Acquire)..end).contains(&address)
    }
}

struct Handler {
    previous: libc::sigaction,
    page_bytes: usize,
}

static HANDLER: OnceLock<Option<Handler>> = OnceLock::new();

fn install_handler() -> io::Result<()> {
    let installed = HANDLER.get_or_init(|| {
        // SAFETY: plain calls with valid pointers; all-zero is a valid sigaction.
        unsafe {
            let page_bytes = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).ok()?;
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_sigbus as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            let mut previous: libc::sigaction = std::mem::zeroed();
            (libc::sigaction(libc::SIGBUS, &raw const action, &raw mut previous) == 0).then_some(
                Handler {
                    previous,
                    page_bytes,
                },
            )
        }
    });
    installed
        .as_ref()
        .map(|_| ())
        .ok_or_else(|| io::Error::other("cannot install the SIGBUS handler"))
}

/// Runs in signal context: it may only use atomics and system calls.
extern "C" fn on_sigbus(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid siginfo, whose si_addr is set for SIGBUS.
    let address = unsafe { (*info).si_addr() } as usize;
    let handler = HANDLER.get().and_then(Option::as_ref);
    if let Some(handler) = handler
        && let Some(slot) = Slot::iter().find(|slot| slot.contains(address))
    {
        let page = address & !(handler.page_bytes - 1);
        // SAFETY: the page belongs to a live map of ours (the faulting thread borrows it, so it
        // cannot be unmapped meanwhile); replacing it by a private page of zeros keeps it readable.
        let replaced = unsafe {
            libc::mmap(
                page as *mut libc::c_void,
                handler.page_bytes,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if replaced != libc::MAP_FAILED {
            slot.faulted.store(true, Ordering::Release);
            return;
        }
    }
    // Not ours: do what would have been done without this handler.
    // SAFETY: restores a disposition that sigaction gave us, or the default one; the faulting
    // instruction runs again on return and meets it. A handler installed before is called directly.
    unsafe {
        match handler.map(|h| h.previous) {
            Some(previous)
                if previous.sa_flags & libc::SA_SIGINFO != 0
                    && previous.sa_sigaction != libc::SIG_DFL
                    && previous.sa_sigaction != libc::SIG_IGN =>
            {
                let call: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(previous.sa_sigaction);
                call(signal, info, context);
            }
            _ => {
                libc::signal(libc::SIGBUS, libc::SIG_DFL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

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
            map.release(page..page + 4096);
        }
        file.set_len(64 * 1024).unwrap();
        crate::os::write_all_at(&file, &[8; 64 * 1024], 0).unwrap();
        assert!(map.as_slice().iter().all(|&byte| byte == 8));
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

    #[test]
    fn slots_are_used_again() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        for _ in 0..100 {
            drop(MappedFile::new(&file).unwrap());
        }
        assert!(Slot::iter().count() < 50);
    }
}
