//! What was found while names changed.
//!
//! A file that was replaced between the kernel's look at its name and its next question is answered by
//! ESTALE, which has the kernel look again, but once only. So for some time after such an answer what a
//! look finds is kept open, and the questions that follow are answered whatever becomes of the name.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::inode::Inode;
use super::open_files::Opened;
use crate::sync::lock;

/// As many readers can be between look and question at once. What is removed takes no room on the disk
/// for longer than some seconds, nor more files than these.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");
/// As long after a name has changed, and as long after a look: more than a reader takes on to its
/// next question on a busy machine.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Clone)]
pub(super) enum Found {
    /// A file, opened.
    File(Opened),
    /// A link, which says itself where it leads.
    Link,
}

/// All that is kept.
pub(super) struct Lately {
    start: Instant,
    /// Till when, in milliseconds from `start`.
    until: AtomicU64,
    kept: Mutex<LruCache<Inode, (Instant, Found)>>,
}

impl Lately {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            until: AtomicU64::new(0),
            kept: Mutex::new(LruCache::new(MAX_KEPT)),
        }
    }

    /// A name was found to be another thing than a moment ago.
    pub(super) fn name_changed(&self) {
        let until = self.start.elapsed() + KEPT_FOR;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.until.store(until, Ordering::Relaxed);
    }

    /// True while what is found is to be kept.
    pub(super) fn is_restless(&self) -> bool {
        let now = self.start.elapsed().as_millis();
        now < u128::from(self.until.load(Ordering::Relaxed))
    }

    /// Keeps what was found; what is no longer kept is to be closed.
    #[must_use]
    pub(super) fn keep(&self, inode: Inode, found: Found) -> Vec<Found> {
        let pushed = lock(&self.kept).push(inode, (Instant::now(), found));
        let mut gone = self.take_old();
        gone.extend(pushed.map(|(_, (_, found))| found));
        gone
    }

    /// What was found, unless that was too long ago.
    pub(super) fn get(&self, inode: Inode) -> Option<Found> {
        lock(&self.kept)
            .peek(&inode)
            .filter(|(since, _)| !is_old(*since))
            .map(|(_, found)| found.clone())
    }

    /// What was kept for long enough.
    #[must_use]
    pub(super) fn take_old(&self) -> Vec<Found> {
        let mut kept = lock(&self.kept);
        let mut old = Vec::new();
        while kept
            .peek_lru()
            .is_some_and(|(_, (since, _))| is_old(*since))
        {
            old.extend(kept.pop_lru().map(|(_, (_, found))| found));
        }
        old
    }
}

fn is_old(since: Instant) -> bool {
    since.elapsed() > KEPT_FOR
}

#[cfg(test)]
impl Lately {
    /// Has all be old that is kept; false if nothing is.
    pub(super) fn make_old(&self) -> bool {
        let mut kept = lock(&self.kept);
        for (_, (since, _)) in kept.iter_mut() {
            *since = since.checked_sub(2 * KEPT_FOR).unwrap();
        }
        !kept.is_empty()
    }

    pub(super) fn end_restlessness(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.kept).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_can_be_asked_for_at_once() {
        let lately = Lately::new();
        assert!(!lately.is_restless());
        lately.name_changed();
        assert!(lately.is_restless());
        let most = MAX_KEPT.get() as u64;
        for inode in 0..most {
            assert_eq!(lately.keep(inode, Found::Link).len(), 0);
        }
        // The oldest goes, or what was known of the same.
        assert_eq!(lately.keep(most, Found::Link).len(), 1);
        assert_eq!(lately.keep(most, Found::Link).len(), 1);
        assert!(lately.get(0).is_none() && lately.get(1).is_some() && lately.get(most).is_some());
    }
}
