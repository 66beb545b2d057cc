//! Whether the workers make progress, and telling the supervisor so.
//!
//! Requests are counted by when they began, in a ring of counters that turns with time. The ring
//! does not turn on to a counter that is not back at zero: a request that old is still in work. On
//! the path of a request this costs two atomic additions; there is no lock and no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::notify::Supervisor;

/// Requests that began since the last turn, in the turn before that, and in the one before.
const TURNS_KEPT: usize = 3;
/// However often the supervisor asks to be told.
const SHORTEST_TURN: Duration = Duration::from_millis(1);

/// The requests that are in work.
#[derive(Debug, Default)]
pub(super) struct Progress {
    turn: AtomicUsize,
    in_work: [AtomicUsize; TURNS_KEPT],
}

impl Progress {
    /// A request begins; it ends when what this returns is dropped.
    pub(super) fn begin(&self) -> Work<'_> {
        // A turn in between only makes the request look older or younger by it.
        let slot = &self.in_work[self.turn.load(Ordering::Relaxed) % TURNS_KEPT];
        slot.fetch_add(1, Ordering::Relaxed);
        Work(slot)
    }

    /// Turns the ring; false, and nothing is turned, while a request is in work that began two
    /// turns ago or earlier. Only one thread may do this.
    fn turn(&self) -> bool {
        let next = self.turn.load(Ordering::Relaxed).wrapping_add(1);
        let free = self.in_work[next % TURNS_KEPT].load(Ordering::Relaxed) == 0;
        if free {
            self.turn.store(next, Ordering::Relaxed);
        }
        free
    }
}

/// A request in work.
pub(super) struct Work<'a>(&'a AtomicUsize);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells the supervisor twice in each interval that the program is alive, from a thread of its own
/// and for as long as the process lives, except while a request has been in work for longer than
/// the interval. Does nothing for a supervisor that does not ask.
pub(super) fn watch(supervisor: Supervisor, progress: Arc<Progress>) {
    let Some(interval) = supervisor.watchdog_interval() else {
        return;
    };
    std::thread::spawn(move || {
        let mut stalled = false;
        loop {
            if progress.turn() {
                supervisor.alive();
                stalled = false;
            } else if !stalled {
                tracing::error!(
                    "a request has been in work for longer than {interval:?}; not telling the \
                     supervisor that all is well"
                );
                stalled = true;
            }
            std::thread::sleep((interval / 2).max(SHORTEST_TURN));
        }
    });
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
