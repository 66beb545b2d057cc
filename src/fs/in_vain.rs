//! Searches for inodes by number: how many threads they may take, and one that has seen all there is and did
//! not find it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::inode::Inode;

/// It is believed for so long, and for as long as it took: who asks again and again for what does not exist
/// keeps no more than half a processor busy, or one with ever other numbers in a tree that is too large to
/// be noted.
const BELIEVED: Duration = Duration::from_secs(1);

/// Those who search or wait for a search: half of the threads, so that the others answer readers.
#[derive(Debug)]
pub(super) struct Searchers {
    now: AtomicUsize,
    most: usize,
}

impl Searchers {
    pub(super) fn of(threads: NonZeroUsize) -> Self {
        Self {
            now: AtomicUsize::new(0),
            most: (threads.get() / 2).max(1),
        }
    }

    /// `None` while there are as many as there may be.
    pub(super) fn join(&self) -> Option<Searcher<'_>> {
        let more = |now| (now < self.most).then_some(now + 1);
        let joined = self
            .now
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        joined.is_ok().then(|| Searcher(self))
    }
}

/// One of them, until it is dropped.
pub(super) struct Searcher<'a>(&'a Searchers);

impl Drop for Searcher<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct InVain {
    inode: Inode,
    /// All that was seen was noted as well, so that no other inode is there that is not known.
    all_noted: bool,
    ended: Instant,
    took: Duration,
}

impl InVain {
    /// One that ends now.
    pub(super) fn since(started: Instant, inode: Inode, all_noted: bool) -> Self {
        Self {
            inode,
            all_noted,
            ended: Instant::now(),
            took: started.elapsed(),
        }
    }

    pub(super) fn is_believed_of(&self, inode: Inode) -> bool {
        (self.all_noted || self.inode == inode) && self.ended.elapsed() < self.took.max(BELIEVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_believed_of_its_inode_and_of_all_if_all_was_noted() {
        for all_noted in [true, false] {
            // Of a long search, so that it holds for as long as the test takes.
            let mut search = InVain::since(Instant::now(), 7, all_noted);
            search.took = Duration::from_secs(3600);
            assert!(search.is_believed_of(7));
            assert_eq!(search.is_believed_of(8), all_noted);
        }
    }

    #[test]
    fn no_more_than_half_of_the_threads_search() {
        for (threads, most) in [(1, 1), (2, 1), (3, 1), (8, 4)] {
            let searchers = Searchers::of(NonZeroUsize::new(threads).unwrap());
            for _ in 0..2 {
                let all: Vec<_> = std::iter::from_fn(|| searchers.join()).collect();
                assert_eq!(all.len(), most, "{threads}");
            }
        }
    }
}
