//! What the kernel was told of names, and may believe.
//!
//! Whoever lists a directory need not look again at what it was told a moment ago, if the directory says that it is still the
//! same file: what the kernel believes is no better. Only files and directories that are shown as they are, under their own
//! names, are kept here: whether archives and links are hangs on more than what their directory says.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::facts::{FileId, Kind, Listed};
use super::inode::Inode;
use crate::sync::lock;

/// So many are kept, some 150 bytes each.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(64 << 10).expect("not zero");
/// Nothing is believed for longer, since the kernel may have forgotten it, and another file may have got its number below.
const MAX_AGE: Duration = Duration::from_secs(2);
/// What a program is taken to need for each name of a directory, from when it begins to list it to when it has looked at it.
const TIME_OF_NAME: Duration = Duration::from_micros(100);
/// So many names of a directory stand for all of them.
const MAX_ASKED: usize = 32;

/// What was told of a name.
#[derive(Debug, Clone, Copy)]
struct Known {
    file: FileId,
    kind: Kind,
    inode: Inode,
    when: Instant,
}

/// All that is kept, by a hash of directory and name; should two have the same one, they differ by their files.
#[derive(Debug)]
pub(super) struct KnownNames {
    hasher: RandomState,
    known: Mutex<LruCache<u64, Known>>,
}

impl KnownNames {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            known: Mutex::new(LruCache::new(MAX_KEPT)),
        }
    }

    /// Notes that the kernel is told of a name of a directory.
    pub(super) fn note(
        &self,
        directory: Inode,
        name: &OsStr,
        file: FileId,
        kind: Kind,
        inode: Inode,
    ) {
        let known = Known {
            file,
            kind,
            inode,
            when: Instant::now(),
        };
        let key = self.key(directory, name);
        lock(&self.known).put(key, known);
    }

    /// Notes that a name was taken away.
    pub(super) fn forget(&self, directory: Inode, name: &OsStr) {
        let key = self.key(directory, name);
        lock(&self.known).pop(&key);
    }

    /// What is under a name that was listed of a directory, if the kernel was told of that less than `ttl` ago.
    pub(super) fn get(
        &self,
        directory: Inode,
        listed: &Listed,
        now: Instant,
        ttl: Duration,
    ) -> Option<(Kind, Inode)> {
        let (kind, file) = listed.plain?;
        let key = self.key(directory, &listed.name);
        let known = lock(&self.known).peek(&key).copied()?;
        let age = now.saturating_duration_since(known.when);
        let is_same = (known.file, known.kind) == (file, kind);
        (is_same && age < ttl.min(MAX_AGE)).then_some((kind, known.inode))
    }

    /// True if that is so of three quarters of the names of a directory, and likely to be until a program has looked at each.
    pub(super) fn are_most(&self, directory: Inode, names: &[Listed], ttl: Duration) -> bool {
        let time = u32::try_from(names.len()).map_or(Duration::MAX, |len| TIME_OF_NAME * len);
        let Some(ttl) = ttl.min(MAX_AGE).checked_sub(time) else {
            return false;
        };
        let now = Instant::now();
        let asked = names.iter().step_by(names.len().div_ceil(MAX_ASKED).max(1));
        let all = asked.len();
        let is_known = |listed: &&Listed| self.get(directory, listed, now, ttl).is_some();
        let known = asked.filter(is_known).count();
        // A look at one that is not known costs as much as several of those that are in vain.
        known > 0 && known >= all - all / 4
    }

    fn key(&self, directory: Inode, name: &OsStr) -> u64 {
        self.hasher.hash_one((directory, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(1);

    fn listed(name: &str, file: u8) -> Listed {
        Listed {
            name: name.into(),
            plain: Some((Kind::File, [file; 16])),
        }
    }

    fn known(names: &[Listed]) -> KnownNames {
        let known = KnownNames::new();
        for (number, listed) in (10..).zip(names) {
            let (kind, file) = listed.plain.unwrap();
            known.note(1, &listed.name, file, kind, number);
        }
        known
    }

    #[test]
    fn a_name_is_known_as_what_was_told_of_it_until_that_is_old() {
        let known = known(&[listed("a", 1), listed("b", 2)]);
        let now = Instant::now();
        let get = |directory, listed: &Listed, now| known.get(directory, listed, now, TTL);
        assert_eq!(get(1, &listed("a", 1), now), Some((Kind::File, 10)));
        assert_eq!(get(1, &listed("b", 2), now), Some((Kind::File, 11)));
        // In another directory, under another name, another file, another kind, not as it is.
        assert_eq!(get(2, &listed("a", 1), now), None);
        assert_eq!(get(1, &listed("c", 1), now), None);
        assert_eq!(get(1, &listed("a", 2), now), None);
        let directory = Listed {
            plain: Some((Kind::Directory, [1; 16])),
            ..listed("a", 1)
        };
        assert_eq!(get(1, &directory, now), None);
        assert_eq!(get(1, &Listed::of("a".into()), now), None);
        assert_eq!(get(1, &listed("a", 1), now + TTL), None);
        let old = now + MAX_AGE;
        assert_eq!(known.get(1, &listed("a", 1), old, Duration::MAX), None);
        known.forget(1, "a".as_ref());
        assert_eq!(get(1, &listed("a", 1), now), None);
        assert_eq!(get(1, &listed("b", 2), now), Some((Kind::File, 11)));
    }

    #[test]
    fn most_names_are_known_if_three_quarters_are_and_long_enough() {
        let names: Vec<_> = (0..100).map(|name| listed(&name.to_string(), 1)).collect();
        let (all, most, half) = (known(&names), known(&names[..80]), known(&names[..50]));
        assert!(all.are_most(1, &names, TTL));
        assert!(most.are_most(1, &names, TTL));
        assert!(!half.are_most(1, &names, TTL));
        assert!(!all.are_most(2, &names, TTL));
        assert!(!all.are_most(1, &[], TTL));
        // It would be forgotten while it is looked at.
        assert!(!all.are_most(1, &names, TIME_OF_NAME * 100));
        assert!(!all.are_most(1, &names, Duration::ZERO));
        let many = |names| vec![listed("0", 1); names];
        assert!(!all.are_most(1, &many(12_000), TTL));
        assert!(all.are_most(1, &many(12_000), MAX_AGE));
        assert!(!all.are_most(1, &many(24_000), Duration::MAX));
    }
}
