//! Pages of an archive's index that were checked, for the blocks that are read next.
//!
//! What is kept are parsed entries and not places in the storage, whose bytes may change after they were
//! checked. How much is bounded: each page has one place where it may be, which it shares with others. A
//! page is kept when it is looked for a second time and nobody has looked for another of its place
//! meanwhile: whoever reads anywhere in a large file comes back to none, and parsing all entries of each
//! page costs ten times as much as checking it for one. Nobody waits here: who meets somebody at the same
//! place goes without, and reads the page from the storage.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::format::{BlockEntry, INDEX_PAGE_ENTRIES};

/// Places: pages of 8,128 blocks, 2 GiB of a model, in 256 KiB of memory.
const MAX_KEPT_PAGES: u64 = 64;
/// No page has this number: an archive would have to be longer than a file can be.
const NO_PAGE: u64 = u64::MAX;

/// Parsed pages.
#[derive(Debug)]
pub(super) struct KeptPages(Box<[Place]>);

#[derive(Debug)]
struct Place {
    kept: RwLock<Option<Page>>,
    /// The page that was looked for last and was not there.
    missed: AtomicU64,
}

#[derive(Debug)]
struct Page {
    number: u64,
    entries: Box<[BlockEntry]>,
}

impl KeptPages {
    /// None yet, of the index of so many blocks.
    pub fn new(block_count: u64) -> Self {
        let pages = block_count.div_ceil(INDEX_PAGE_ENTRIES).min(MAX_KEPT_PAGES);
        let place = |_| Place {
            kept: RwLock::default(),
            missed: AtomicU64::new(NO_PAGE),
        };
        Self((0..pages).map(place).collect())
    }

    /// An entry, if its page is kept.
    pub fn get(&self, page: u64, row: u64) -> Option<BlockEntry> {
        let kept = self.place(page)?.kept.try_read().ok()?;
        let kept = kept.as_ref().filter(|kept| kept.number == page)?;
        kept.entries.get(usize::try_from(row).ok()?).copied()
    }

    /// Notes that a page was not there; true if it is to be kept now.
    pub fn miss(&self, page: u64) -> bool {
        self.place(page)
            .is_some_and(|place| place.missed.swap(page, Ordering::Relaxed) == page)
    }

    /// Keeps a page.
    pub fn keep(&self, page: u64, entries: Box<[BlockEntry]>) {
        if let Some(mut kept) = self
            .place(page)
            .and_then(|place| place.kept.try_write().ok())
        {
            *kept = Some(Page {
                number: page,
                entries,
            });
        }
    }

    fn place(&self, page: u64) -> Option<&Place> {
        let place = page.checked_rem(self.0.len() as u64)?;
        self.0.get(usize::try_from(place).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_share_places_and_are_never_taken_for_another() {
        let kept = KeptPages::new(u64::MAX / 64);
        let entry = |offset| BlockEntry {
            offset,
            ..BlockEntry::default()
        };
        for page in [0, 1, 63, 64, 65, 1000] {
            assert_eq!(kept.get(page, 0), None);
            kept.keep(page, vec![entry(page), entry(page + 1)].into());
            assert_eq!(kept.get(page, 1), Some(entry(page + 1)));
            assert_eq!(kept.get(page, 2), None);
        }
        assert_eq!(kept.get(0, 0), None, "64 has its place");
        assert_eq!(kept.get(63, 0), Some(entry(63)));
        assert!(!kept.miss(7) && kept.miss(7), "the second time");
        assert!(
            !kept.miss(71) && !kept.miss(7),
            "each takes the other's place"
        );
        let none = KeptPages::new(0);
        assert!(!none.miss(0));
        none.keep(0, Box::default());
        assert_eq!(none.get(0, 0), None);
    }
}
