//! Directories that were reached a moment ago.
//!
//! Who looks at all that is in a directory would walk to it for each name. The way is believed to lead there still for a
//! fraction of a second; what the mount itself moves or removes is forgotten at once.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::fs::facts::Facts;
use crate::sync::lock;

/// As many directories are looked into at once, by threads of a program or of many.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");
/// Nothing is believed for longer.
const MAX_AGE: Duration = Duration::from_millis(100);

/// A directory that is open as a path.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) file: File,
    pub(super) facts: Facts,
}

#[derive(Debug)]
struct Kept {
    /// `None` for one that is not to be kept open.
    directory: Option<Arc<Directory>>,
    since: Instant,
}

#[derive(Debug)]
struct Table {
    directories: LruCache<PathBuf, Kept>,
    /// How often something was moved or removed.
    changes: u64,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Reached {
    table: Mutex<Table>,
    max_age: Duration,
}

impl Reached {
    /// None are, until `believe_for` says so.
    pub(super) fn new() -> Self {
        let table = Table {
            directories: LruCache::new(MAX_KEPT),
            changes: 0,
        };
        Self {
            table: Mutex::new(table),
            max_age: Duration::ZERO,
        }
    }

    /// Has a way be believed for as long as the kernel believes a name, but a fraction of a second at most.
    pub(super) fn believe_for(&mut self, ttl: Duration) {
        self.max_age = ttl.min(MAX_AGE);
    }

    /// The directory at a path, opened unless it was a moment ago; `None` if it is not to be kept.
    pub(super) fn get(
        &self,
        path: &Path,
        open: impl FnOnce() -> io::Result<Directory>,
    ) -> Option<Arc<Directory>> {
        if self.max_age.is_zero() {
            return None;
        }
        let now = Instant::now();
        let changes = {
            let mut table = lock(&self.table);
            let is_young = |kept: &&Kept| now.saturating_duration_since(kept.since) < self.max_age;
            if let Some(kept) = table.directories.get(path).filter(is_young) {
                return kept.directory.clone();
            }
            table.changes
        };
        let kept = Kept {
            directory: open().ok().map(Arc::new),
            since: now,
        };
        let directory = kept.directory.clone();
        let mut table = lock(&self.table);
        // It may have been moved away while it was opened.
        let pushed_out = match table.changes == changes {
            true => table.directories.push(path.to_path_buf(), kept),
            false => None,
        };
        // Closing what is gone may take its time, while which others are not to wait.
        drop(table);
        drop(pushed_out);
        directory
    }

    /// Has a directory be opened anew.
    pub(super) fn forget(&self, path: &Path) {
        let mut table = lock(&self.table);
        table.changes += 1;
        let gone = table.directories.pop(path);
        drop(table);
        drop(gone);
    }

    /// Notes that what was at a path, and below it, was moved or removed.
    pub(super) fn forget_below(&self, path: &Path) {
        let mut table = lock(&self.table);
        table.changes += 1;
        let kept = table.directories.iter().map(|(kept, _)| kept);
        let gone: Vec<_> = kept
            .filter(|kept| kept.starts_with(path))
            .cloned()
            .collect();
        let gone: Vec<_> = gone
            .iter()
            .map(|gone| table.directories.pop(gone))
            .collect();
        drop(table);
        drop(gone);
    }

    /// Closes those that were reached too long ago.
    pub(super) fn let_go(&self) {
        let mut table = lock(&self.table);
        let mut gone = Vec::new();
        let is_old = |kept: &Kept| kept.since.elapsed() >= self.max_age;
        while table
            .directories
            .peek_lru()
            .is_some_and(|(_, kept)| is_old(kept))
        {
            gone.extend(table.directories.pop_lru());
        }
        drop(table);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use crate::fs::source::Source;

    use super::*;

    /// Counts how often directories are opened.
    struct Opening {
        source: Source,
        opened: Cell<usize>,
    }

    impl Opening {
        fn get(&self, reached: &Reached, path: &str) -> usize {
            let before = self.opened.get();
            reached.get(path.as_ref(), || {
                self.opened.set(before + 1);
                let file = self.source.open_to_ask(path.as_ref())?;
                let facts = self.source.facts_of(&file, path.as_ref())?;
                Ok(Directory { file, facts })
            });
            self.opened.get() - before
        }
    }

    fn opening(max_age: Duration) -> (tempfile::TempDir, Opening, Reached) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::create_dir_all(dir.path().join("ab")).unwrap();
        let opening = Opening {
            source: Source::open(dir.path()).unwrap(),
            opened: Cell::new(0),
        };
        let reached = Reached {
            max_age,
            ..Reached::new()
        };
        (dir, opening, reached)
    }

    #[test]
    fn a_directory_is_opened_once_until_what_is_there_is_moved() {
        let (_dir, opening, reached) = opening(Duration::MAX);
        let opened = || ["a", "a/b", "ab", "none"].map(|path| opening.get(&reached, path));
        assert_eq!(opened(), [1, 1, 1, 1]);
        assert_eq!(opened(), [0, 0, 0, 0]);
        reached.forget_below("a".as_ref());
        assert_eq!(opened(), [1, 1, 0, 0]);
        reached.forget_below("a/b".as_ref());
        assert_eq!(opened(), [0, 1, 0, 0]);
        reached.forget("a".as_ref());
        assert_eq!(opened(), [1, 0, 0, 0]);
    }

    #[test]
    fn nothing_is_kept_for_long() {
        let (_dir, opening, mut reached) = opening(Duration::from_nanos(1));
        assert_eq!(opening.get(&reached, "a"), 1);
        assert_eq!(opening.get(&reached, "a"), 1);
        reached.let_go();
        assert!(lock(&reached.table).directories.is_empty());
        reached.believe_for(Duration::ZERO);
        assert_eq!(opening.get(&reached, "a"), 0);
    }

    /// What was opened before it was moved away must not be kept after that.
    #[test]
    fn a_directory_that_is_moved_while_it_is_opened_is_not_kept() {
        let (_dir, opening, reached) = opening(Duration::MAX);
        reached.get("a".as_ref(), || {
            reached.forget("a".as_ref());
            Err(io::ErrorKind::NotFound.into())
        });
        assert_eq!(opening.get(&reached, "a"), 1);
        assert_eq!(opening.get(&reached, "a"), 0);
    }
}
