//! Listings of directories that the kernel keeps in its page cache.
//!
//! Who lists a directory again within moments reads it from there: nobody is asked. The kernel drops a listing when the mount
//! changes the directory. What others change is seen by the directory's state when it is opened, and where it stays open the
//! kernel is told to drop what it has at intervals.
//!
//! In its cache the kernel goes by the offsets of entries: what is read is appended where the cache ends, whoever reads it, and
//! who does not find his place in it asks. So the offsets of each listing are its own, and no two are mixed. One at a time who has
//! a directory open reads it by way of the cache, so that what is on its way to one is not taken for what another asks for.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::fs::{Identity, Inode, Listed};
use crate::sync::lock;

/// Directories, and names in each: some 7 MiB if all are used.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
const MAX_NAMES: usize = 256;
/// After that the kernel has forgotten what is under the names, and is better told of it along with them.
const MAX_AGE: Duration = Duration::from_secs(2);
/// Offsets of a listing, or several times as many, more than it has names.
const OFFSETS: u64 = 2 * MAX_NAMES as u64;
/// Programs of old know offsets of 31 bits. Then the first come again.
const ALL_OFFSETS: u64 = 1 << 31;

/// Names of a directory as they are read.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) all: Arc<Vec<Listed>>,
    /// What their offsets begin with: they are the kernel's to keep.
    first_offset: u64,
}

impl Names {
    /// Names that the kernel does not keep.
    pub(super) const fn passing(all: Arc<Vec<Listed>>) -> Self {
        Self {
            all,
            first_offset: 0,
        }
    }

    /// The names from an offset on, each with that of the next one. An offset of another listing of the directory is taken as
    /// its place there: servers of files (NFS) open a directory for each piece that they read.
    pub(super) fn from(&self, offset: u64) -> impl Iterator<Item = (u64, &Listed)> {
        let end = self.first_offset + self.all.len() as u64;
        let place = match offset {
            0 => 0,
            _ if (self.first_offset..=end).contains(&offset) => offset - self.first_offset,
            _ => offset % OFFSETS,
        };
        let skip = usize::try_from(place).unwrap_or(usize::MAX);
        (self.first_offset + 1..).zip(self.all.iter()).skip(skip)
    }
}

/// How a directory was opened that the kernel has a listing of.
#[derive(Debug, Clone)]
pub(super) struct Again {
    pub(super) names: Names,
    /// It is read from the cache.
    pub(super) is_cached: bool,
}

#[derive(Debug)]
struct Kept {
    names: Names,
    state: Identity,
    since: Instant,
}

#[derive(Debug)]
struct Table {
    kept: LruCache<Inode, Kept>,
    /// Directories that somebody who has them open reads by way of the cache.
    in_use: HashSet<Inode>,
    /// The offsets from here on were not used of late.
    next_offset: u64,
    /// Nobody lists any more.
    is_over: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct CachedListings {
    table: Mutex<Table>,
    changed: Condvar,
    max_age: Duration,
}

impl CachedListings {
    /// None yet. They are kept for as long as the kernel believes names, some seconds at most.
    pub(super) fn new(ttl: Duration) -> Self {
        let table = Table {
            kept: LruCache::new(MAX_KEPT),
            in_use: HashSet::new(),
            next_offset: OFFSETS,
            is_over: false,
        };
        Self {
            table: Mutex::new(table),
            changed: Condvar::new(),
            max_age: ttl.min(MAX_AGE),
        }
    }

    /// The state of a directory of which the kernel has a listing that is not old.
    pub(super) fn state(&self, directory: Inode) -> Option<Identity> {
        let table = lock(&self.table);
        let kept = table.kept.peek(&directory)?;
        (kept.since.elapsed() < self.max_age).then_some(kept.state)
    }

    /// Opens a directory that is in a state; `None` if what the kernel has is of another one.
    pub(super) fn open_again(&self, directory: Inode, state: Identity) -> Option<Again> {
        let mut table = lock(&self.table);
        let kept = table.kept.get(&directory);
        let names = kept.filter(|kept| kept.state == state)?.names.clone();
        let is_cached = self.begin_use(&mut table, directory);
        Some(Again { names, is_cached })
    }

    /// Opens a directory that has these names in a state, to be read into the cache, from which all else of it is dropped;
    /// `None` if it is not to be kept.
    pub(super) fn open_first(
        &self,
        directory: Inode,
        all: &Arc<Vec<Listed>>,
        state: Option<Identity>,
    ) -> Option<Names> {
        if all.len() > MAX_NAMES || self.max_age.is_zero() {
            return None;
        }
        let state = state?;
        let mut table = lock(&self.table);
        if !self.begin_use(&mut table, directory) {
            return None;
        }
        let is_old = |kept: &Kept| kept.since.elapsed() >= self.max_age;
        while table.kept.peek_lru().is_some_and(|(_, kept)| is_old(kept)) {
            table.kept.pop_lru();
        }
        let names = table.names(all);
        let kept = Kept {
            names: names.clone(),
            state,
            since: Instant::now(),
        };
        table.kept.put(directory, kept);
        Some(names)
    }

    /// The names for who reads a directory by way of the cache and has begun anew: these, in a state.
    pub(super) fn list_again(
        &self,
        directory: Inode,
        all: &Arc<Vec<Listed>>,
        state: Option<Identity>,
    ) -> Names {
        let mut table = lock(&self.table);
        let kept = table.kept.peek(&directory);
        match kept.filter(|kept| Some(kept.state) == state) {
            Some(kept) => kept.names.clone(),
            None => {
                // What the kernel has may be of both.
                table.kept.pop(&directory);
                table.names(all)
            }
        }
    }

    /// Notes that who read a directory by way of the cache has closed it.
    pub(super) fn close(&self, directory: Inode) {
        lock(&self.table).in_use.remove(&directory);
    }

    /// Ends `drop_at_intervals`.
    pub(super) fn end(&self) {
        lock(&self.table).is_over = true;
        self.changed.notify_all();
    }

    /// Has the kernel drop what it has of directories that stay open, until the end.
    pub(super) fn drop_at_intervals(&self, drop_listing: impl Fn(Inode)) {
        loop {
            let idle = |table: &mut Table| table.in_use.is_empty() && !table.is_over;
            let waited = self.changed.wait_while(lock(&self.table), idle);
            let table = waited.unwrap_or_else(PoisonError::into_inner);
            let over = |table: &mut Table| !table.is_over;
            let waited = self.changed.wait_timeout_while(table, self.max_age, over);
            let (table, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if table.is_over {
                return;
            }
            let open: Vec<_> = table.in_use.iter().copied().collect();
            drop(table);
            open.into_iter().for_each(&drop_listing);
        }
    }

    /// True if nobody else reads the directory by way of the cache.
    fn begin_use(&self, table: &mut Table, directory: Inode) -> bool {
        let is_first = table.in_use.is_empty();
        let begins = table.in_use.insert(directory);
        if is_first {
            self.changed.notify_all();
        }
        begins
    }
}

impl Table {
    /// Names with offsets of their own.
    fn names(&mut self, all: &Arc<Vec<Listed>>) -> Names {
        let offsets = (all.len() as u64 / OFFSETS + 1) * OFFSETS;
        if self.next_offset + offsets > ALL_OFFSETS {
            self.next_offset = OFFSETS;
        }
        let first_offset = self.next_offset;
        self.next_offset += offsets;
        let all = Arc::clone(all);
        Names { all, first_offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{ModelTree, ROOT_INODE, Source};

    /// Listings that do not become old while they are looked at.
    fn listings() -> CachedListings {
        CachedListings {
            max_age: Duration::MAX,
            ..CachedListings::new(MAX_AGE)
        }
    }

    fn names(count: usize) -> Arc<Vec<Listed>> {
        let name = |number: usize| Listed::of(number.to_string().into());
        Arc::new((0..count).map(name).collect())
    }

    /// Two states of a directory.
    fn states() -> [Identity; 2] {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::open(dir.path()).unwrap();
        let tree = ModelTree::new(source, 0, NonZeroUsize::MIN).unwrap();
        let before = tree.state(ROOT_INODE).unwrap();
        std::fs::write(dir.path().join("new"), b"").unwrap();
        let directory = std::fs::File::open(dir.path()).unwrap();
        directory.set_modified(std::time::UNIX_EPOCH).unwrap();
        let now = tree.state(ROOT_INODE).unwrap();
        assert_ne!(before, now);
        [before, now]
    }

    fn offsets(names: &Names, from: u64) -> Vec<u64> {
        names.from(from).map(|(next, _)| next).collect()
    }

    #[test]
    fn a_listing_is_read_again_in_the_state_it_is_of() {
        let [before, now] = states();
        let listings = listings();
        assert_eq!(listings.state(7), None);
        let first = listings.open_first(7, &names(3), Some(before)).unwrap();
        assert_eq!(listings.state(7), Some(before));
        listings.close(7);
        assert!(listings.open_again(7, now).is_none());
        assert!(listings.open_again(8, before).is_none());
        let again = listings.open_again(7, before).unwrap();
        assert!(again.is_cached);
        assert_eq!(again.names.all, names(3));
        assert_eq!(offsets(&again.names, 0), offsets(&first, 0));
        // Who begins anew goes on in what the kernel has, if that is the same.
        let same = listings.list_again(7, &names(3), Some(before));
        assert_eq!(offsets(&same, 0), offsets(&first, 0));
        assert_eq!(listings.state(7), Some(before));
        let other = listings.list_again(7, &names(3), Some(now));
        assert!(
            offsets(&other, 0)
                .iter()
                .all(|next| !offsets(&first, 0).contains(next))
        );
        assert_eq!(listings.state(7), None);
        let unsettled = listings.list_again(7, &names(3), None);
        assert!(
            offsets(&unsettled, 0)
                .iter()
                .all(|next| !offsets(&other, 0).contains(next))
        );
        listings.close(7);
        assert!(listings.open_again(7, now).is_none());
        assert!(listings.open_first(7, &names(4), Some(now)).is_some());
    }

    #[test]
    fn one_at_a_time_reads_a_directory_by_way_of_the_cache() {
        let [before, now] = states();
        let listings = listings();
        assert!(listings.open_first(7, &names(3), Some(before)).is_some());
        // Another one drops nothing, and has the names all the same.
        let beside = listings.open_again(7, before).unwrap();
        assert!(!beside.is_cached && beside.names.all == names(3));
        assert!(listings.open_first(7, &names(4), Some(now)).is_none());
        assert!(listings.open_first(8, &names(3), Some(before)).is_some());
        listings.close(7);
        assert!(listings.open_again(7, before).unwrap().is_cached);
        assert!(listings.open_first(7, &names(4), Some(now)).is_none());
        listings.close(7);
        assert!(listings.open_first(7, &names(4), Some(now)).is_some());
    }

    #[test]
    fn what_is_long_or_not_settled_or_old_is_not_kept() {
        let [state, _] = states();
        let listings = listings();
        assert!(listings.open_first(7, &names(3), None).is_none());
        assert!(
            listings
                .open_first(7, &names(MAX_NAMES + 1), Some(state))
                .is_none()
        );
        assert!(
            listings
                .open_first(7, &names(MAX_NAMES), Some(state))
                .is_some()
        );
        let never = CachedListings::new(Duration::ZERO);
        assert!(never.open_first(7, &names(3), Some(state)).is_none());
        let short = CachedListings::new(Duration::from_millis(1));
        assert!(short.open_first(7, &names(3), Some(state)).is_some());
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(short.state(7), None);
    }

    #[test]
    fn each_name_is_found_from_the_offset_of_the_one_before() {
        let passing = Names::passing(names(3));
        assert_eq!(offsets(&passing, 0), [1, 2, 3]);
        assert_eq!(offsets(&passing, 2), [3]);
        assert!(offsets(&passing, 3).is_empty() && offsets(&passing, u64::MAX).is_empty());
        let [state, _] = states();
        let listings = listings();
        let first = listings.open_first(7, &names(3), Some(state)).unwrap();
        for long in [3, 700, 3, 511, 512, 3] {
            let names = listings.list_again(8, &names(long), None);
            let all = offsets(&names, 0);
            assert_eq!(all.len(), long);
            for (place, next) in all.iter().enumerate() {
                assert_eq!(offsets(&names, *next), all[place + 1..]);
            }
            // Where another listing was, its place counts.
            let place = offsets(&first, 0)[1];
            assert_eq!(offsets(&names, place), all[2..]);
        }
        lock(&listings.table).next_offset = ALL_OFFSETS - 2 * OFFSETS;
        for _ in 0..4 {
            let names = listings.list_again(8, &names(600), None);
            let last = offsets(&names, 0)[599];
            assert!(last > OFFSETS && i32::try_from(last).is_ok());
        }
    }

    #[test]
    fn what_stays_open_is_dropped_again_and_again_and_nothing_else() {
        let [state, _] = states();
        let listings = CachedListings::new(Duration::from_millis(5));
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| listings.drop_at_intervals(|directory| tell.send(directory).unwrap()));
            listings.open_first(7, &names(3), Some(state));
            let first = (told.recv(), told.recv());
            listings.close(7);
            let quiet = |_| told.recv_timeout(Duration::from_millis(100)).is_err();
            let becomes_quiet = (0..100).any(quiet);
            listings.open_first(8, &names(3), Some(state));
            let second = told.recv();
            // Before anything fails, for which the thread would not end.
            listings.end();
            assert_eq!((first, second), ((Ok(7), Ok(7)), Ok(8)));
            assert!(becomes_quiet);
        });
    }
}
