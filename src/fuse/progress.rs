//! Whether the workers make progress.
//!
//! Requests are counted by when they began, in a ring of counters that turns with time. The ring
//! does not turn on to a counter that is not back at zero: a request that old is still in work. On
//! the path of a request this costs two atomic additions; there is no lock and no clock.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests that began since the last turn, in the turn before that, and in the one before.
const TURNS_KEPT: usize = 3;

/// The requests that are in work.
#[derive(Debug, Default)]
pub struct Progress {
    turn: AtomicUsize,
    in_work: [AtomicUsize; TURNS_KEPT],
}

impl Progress {
    /// A request begins; it ends when what this returns is dropped.
    pub(crate) fn begin(&self) -> Work<'_> {
        // A turn in between only makes the request look older or younger by it.
        let slot = &self.in_work[self.turn.load(Ordering::Relaxed) % TURNS_KEPT];
        slot.fetch_add(1, Ordering::Relaxed);
        Work(slot)
    }

    /// How many requests are in work.
    pub fn in_work(&self) -> usize {
        let counters = self.in_work.iter();
        counters.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Turns the ring; false, and nothing is turned, while a request is in work that began two
    /// turns ago or earlier. Only one thread may do this.
    pub fn turn(&self) -> bool {
        let next = self.turn.load(Ordering::Relaxed).wrapping_add(1);
        let free = self.in_work[next % TURNS_KEPT].load(Ordering::Relaxed) == 0;
        if free {
            self.turn.store(next, Ordering::Relaxed);
        }
        free
    }
}

/// A request in work.
pub(crate) struct Work<'a>(&'a AtomicUsize);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_turns_until_it_meets_a_request_that_is_still_in_work() {
        let progress = Progress::default();
        for _ in 0..10 {
            drop(progress.begin());
            assert!(progress.turn());
        }
        let old = progress.begin();
        assert!(progress.turn());
        let young = progress.begin();
        assert!(progress.turn());
        for _ in 0..5 {
            assert!(!progress.turn(), "the old one is two turns old");
        }
        drop(old);
        assert!(progress.turn());
        assert!(!progress.turn(), "now the young one is");
        drop(young);
        for _ in 0..10 {
            assert!(progress.turn());
        }
    }
}
