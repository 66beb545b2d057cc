//! Faults in memory maps: pages of files that cannot be had.
//!
//! Touching a page of a map that lies beyond the end of the file, or that the disk cannot deliver,
//! raises SIGBUS, whose default action ends the process: one damaged archive would take down the
//! mounts of all the others. A handler replaces the map by anonymous zeros instead, so that the access
//! returns, and counts it, so that whoever reads learns that what they read may be zeros.
//!
//! All of the map, and not the one page: what is read together lies together, and is lost as a whole. A disk
//! that fails may take seconds for each page that it is asked for, and would be asked for all of them, one after
//! the other.
//!
//! The handler acts on watched addresses alone and passes every other SIGBUS on. It needs to find
//! them without a lock, hence the one global of the crate: a list of slots that only grows, and whose
//! slots are used again.

#![expect(unsafe_code, reason = "a signal handler; see each SAFETY")]

use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// The addresses of a map that the handler acts on, until this is dropped, which must come before the
/// map is unmapped: the handler must never act on a foreign map.
#[derive(Debug)]
pub(super) struct Watched(&'static Slot);

impl Watched {
    /// Watches addresses; the handler must be installed.
    pub fn new(addresses: Range<usize>) -> Self {
        Self(Slot::claim(addresses.start, addresses.end))
    }

    /// How many faults there were so far.
    pub fn faults(&self) -> u64 {
        self.0.begun.load(Ordering::Acquire)
    }

    /// How many of these are undone. Where this was as many as `faults` tells later, nothing was replaced by zeros
    /// from before this was asked until then.
    pub fn mended(&self) -> u64 {
        self.0.mended.load(Ordering::Acquire)
    }

    /// How many faults there were so far, if the handler is at work on none of them. Whoever maps the file
    /// again then has undone them (`mend`).
    pub fn settled(&self) -> Option<u64> {
        let ended = self.0.ended.load(Ordering::Acquire);
        (self.faults() == ended).then_some(ended)
    }

    /// Says that the file was mapped again after so many faults were settled.
    pub fn mend(&self, faults: u64) {
        // Several may be at it: the last word is that of the one who knows of most.
        self.0.mended.fetch_max(faults, Ordering::AcqRel);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// One entry of the handler's list: the addresses `start..end`, or `end == 0` for a free slot.
#[derive(Debug)]
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    /// Faults, counted before the map is replaced, so that nobody reads zeros that were not counted.
    begun: AtomicU64,
    /// Faults, counted when it was replaced.
    ended: AtomicU64,
    /// Faults that are undone.
    mended: AtomicU64,
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
            slot.mended
                .store(slot.begun.load(Ordering::Acquire), Ordering::Release);
            slot.end.store(end, Ordering::Release);
            return slot;
        }
        let slot = Box::leak(Box::new(Slot {
            start: AtomicUsize::new(start),
            end: AtomicUsize::new(end),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            mended: AtomicU64::new(0),
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

/// Has the process survive faults in watched addresses from now on.
///
/// # Errors
/// If the system does not let it.
pub(super) fn install_handler() -> io::Result<()> {
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
        let start = slot.start.load(Ordering::Acquire);
        // The last page of a map is mapped as a whole.
        let end = slot
            .end
            .load(Ordering::Acquire)
            .next_multiple_of(handler.page_bytes);
        slot.begun.fetch_add(1, Ordering::AcqRel);
        // SAFETY: these are the pages of a live map of ours (the faulting thread borrows it, so it
        // cannot be unmapped meanwhile); replacing them by private pages of zeros keeps them readable.
        let replaced = unsafe {
            libc::mmap(
                start as *mut libc::c_void,
                end.saturating_sub(start),
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        slot.ended.fetch_add(1, Ordering::AcqRel);
        if replaced != libc::MAP_FAILED {
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

    #[test]
    fn slots_are_used_again() {
        for i in 1..100 {
            let watched = Watched::new(i..i + 1);
            assert_eq!(watched.faults(), watched.mended());
        }
        // Other tests have theirs.
        assert!(Slot::iter().count() < 50);
    }

    #[test]
    fn a_fault_is_undone_only_by_who_came_when_it_was_settled() {
        let watched = Watched::new(1..2);
        let start = watched.settled().unwrap();
        watched.0.begun.fetch_add(2, Ordering::Relaxed);
        watched.0.ended.fetch_add(1, Ordering::Relaxed);
        assert_eq!(watched.settled(), None, "a page may be replaced any time");
        assert_ne!(watched.faults(), watched.mended());
        watched.0.ended.fetch_add(1, Ordering::Relaxed);
        let settled = watched.settled().unwrap();
        assert_eq!(settled, start + 2);
        watched.mend(settled);
        watched.mend(start);
        assert_eq!(watched.mended(), watched.faults(), "one that is late");
    }
}
