//! Pages of an archive's index that were checked, for the blocks that are read next.
//!
//! What is kept are parsed entries and not places in the storage, whose bytes may change after they were
//! checked. How much is bounded: each page has one place where it may be, which it shares with others,
//! and the page that was read last has it. Nobody waits here: who meets somebody at the same place goes
//! without, and reads the page from the storage.

use std::sync::RwLock;

use crate::format::{BlockEntry, INDEX_PAGE_ENTRIES};

/// Places: pages of 8,128 blocks, 2 GiB of a model, in 256 KiB of memory.
const MAX_KEPT_PAGES: u64 = 64;

/// Parsed pages.
#[derive(Debug)]
pub(super) struct KeptPages(Box<[RwLock<Option<Page>>]>);

#[derive(Debug)]
struct Page {
    number: u64,
    entries: Box<[BlockEntry]>,
}

impl KeptPages {
    /// None yet, of the index of so many blocks.
    pub fn new(block_count: u64) -> Self {
        let pages = block_count.div_ceil(INDEX_PAGE_ENTRIES).min(MAX_KEPT_PAGES);
        Self((0..pages).map(|_| RwLock::default()).collect())
    }

    /// An entry, if its page is kept.
    pub fn get(&self, page: u64, row: u64) -> Option<BlockEntry> {
        let kept = self.place(page)?.try_read().ok()?;
        let kept = kept.as_ref().filter(|kept| kept.number == page)?;
        kept.entries.get(usize::try_from(row).ok()?).copied()
    }

    /// Keeps a page.
    pub fn keep(&self, page: u64, entries: Box<[BlockEntry]>) {
        if let Some(mut place) = self.place(page).and_then(|place| place.try_write().ok()) {
            *place = Some(Page {
                number: page,
                entries,
            });
        }
    }

    fn place(&self, page: u64) -> Option<&RwLock<Option<Page>>> {
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
        let none = KeptPages::new(0);
        none.keep(0, Box::default());
        assert_eq!(none.get(0, 0), None);
    }
}
