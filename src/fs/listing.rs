//! The names in a directory, and those that the kernel has kept.

use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::facts::{Identity, Kind};
use super::inode::Inode;
use crate::sync::lock;

/// So many names are kept in all, some 100 bytes each.
const MOST_NAMES: usize = 100_000;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
    /// Its inode.
    pub inode: Inode,
}

/// The names in a directory.
#[derive(Debug)]
pub struct Listing {
    /// The names, sorted, without `.` and `..`; some may turn out to be nothing that is shown.
    pub names: Vec<OsString>,
    /// True if they hold until the directory is in another state.
    pub may_be_kept: bool,
    /// That of the directory, if it was the same before and after they were read.
    pub(super) state: Option<Identity>,
}

/// Listings that the kernel was told to keep.
#[derive(Debug)]
pub(super) struct KeptListings {
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    kept: LruCache<Inode, Kept>,
    names: usize,
}

#[derive(Debug)]
struct Kept {
    listing: Arc<Listing>,
    /// When a name in the directory was looked up last.
    looked_into: Option<Instant>,
}

impl Default for KeptListings {
    fn default() -> Self {
        let table = Table {
            kept: LruCache::unbounded(),
            names: 0,
        };
        Self {
            table: Mutex::new(table),
        }
    }
}

impl KeptListings {
    pub(super) fn keep(&self, directory: Inode, listing: &Arc<Listing>) {
        let mut table = lock(&self.table);
        table.forget(directory);
        table.names += listing.names.len();
        let kept = Kept {
            listing: Arc::clone(listing),
            looked_into: None,
        };
        table.kept.put(directory, kept);
        while table.names > MOST_NAMES
            && let Some((_, oldest)) = table.kept.pop_lru()
        {
            table.names -= oldest.listing.names.len();
        }
    }

    pub(super) fn forget(&self, directory: Inode) {
        lock(&self.table).forget(directory);
    }

    /// Notes that a name in a directory was looked up.
    pub(super) fn looked_into(&self, directory: Inode) {
        if let Some(kept) = lock(&self.table).kept.peek_mut(&directory) {
            kept.looked_into = Some(Instant::now());
        }
    }

    /// What is kept of a directory in which a name was looked up not longer ago than this.
    pub(super) fn get(&self, directory: Inode, within: Duration) -> Option<Arc<Listing>> {
        let mut table = lock(&self.table);
        let kept = table.kept.get(&directory)?;
        let is_known = kept.looked_into.is_some_and(|when| when.elapsed() < within);
        is_known.then(|| Arc::clone(&kept.listing))
    }
}

impl Table {
    fn forget(&mut self, directory: Inode) {
        if let Some(kept) = self.kept.pop(&directory) {
            self.names -= kept.listing.names.len();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    fn listing(names: usize) -> Arc<Listing> {
        Arc::new(Listing {
            names: vec!["name".into(); names],
            may_be_kept: true,
            state: None,
        })
    }

    #[test]
    fn only_so_many_names_are_kept() {
        let kept = KeptListings::default();
        let is_there = |directory| {
            kept.looked_into(directory);
            kept.get(directory, Duration::MAX).is_some()
        };
        kept.keep(1, &listing(MOST_NAMES / 2));
        // Nobody has looked into it.
        assert!(kept.get(1, Duration::MAX).is_none());
        assert!(is_there(1));
        assert!(kept.get(1, Duration::ZERO).is_none());
        kept.keep(2, &listing(MOST_NAMES / 2));
        assert!(is_there(1) && is_there(2));
        kept.keep(3, &listing(1));
        assert!(!is_there(1) && is_there(2) && is_there(3));
        kept.keep(2, &listing(2));
        kept.keep(4, &listing(MOST_NAMES - 3));
        assert!(is_there(2) && is_there(3) && is_there(4));
        kept.forget(3);
        assert!(!is_there(3));
        kept.keep(5, &listing(MOST_NAMES + 1));
        assert!(!is_there(5) && !is_there(2));
        assert_eq!(lock(&kept.table).names, 0);
    }
}
