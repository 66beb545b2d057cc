//! Numbers of files that no other file ever has.
//!
//! File systems give the number of a file that is gone to the next one that is made: the kernel, which may still know the
//! former, must not take one for the other. Their handles tell one from the other, but ask for a system call and for the file
//! to be open. So what was asked is kept, under the number below and the time at which the file was made.

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use lru::LruCache;

use super::stat::Stat;
use crate::format::checksum;
use crate::os::file_handle;
use crate::sync::lock;

/// So many are kept, some 120 bytes each.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(64 << 10).expect("not zero");
/// Longer than any file system's clock stands still between two ticks.
const TICK: Duration = Duration::from_secs(2);

/// A file, as far as the file system's own number and its clock tell it from others.
type Key = (u64, u64);

#[derive(Debug, Clone, Copy)]
struct Kept {
    born: SystemTime,
    number: u64,
    /// When a file of this number and time was seen first.
    since: Instant,
    /// Another file of this number and time cannot come any more: when this one was asked for its handle, the clock had gone
    /// on since it was made.
    is_sure: bool,
}

/// All that is kept.
#[derive(Debug)]
pub(super) struct LastingNumbers {
    kept: Mutex<LruCache<Key, Kept>>,
}

impl LastingNumbers {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::new(LruCache::new(MAX_KEPT)),
        }
    }

    /// The number of a file, if it was asked for its handle before.
    pub(super) fn known(&self, stat: &Stat) -> Option<u64> {
        let kept = lock(&self.kept);
        // Not to order them anew costs less than to ask again for one that was pushed out.
        let kept = kept.peek(&key(stat))?;
        (kept.is_sure && stat.born == Some(kept.born)).then_some(kept.number)
    }

    /// The number of a file that is open, at least as a path.
    pub(super) fn ask(&self, file: &File, stat: &Stat) -> u64 {
        let now = Instant::now();
        let number = number(file, stat);
        if let Some(born) = stat.born {
            self.keep(stat, born, number, now);
        }
        number
    }

    /// Keeps the number of a file that was asked for its handle at a time.
    fn keep(&self, stat: &Stat, born: SystemTime, number: u64, asked: Instant) {
        let mut kept = lock(&self.kept);
        let before = kept.peek(&key(stat));
        let same = before.filter(|kept| (kept.born, kept.number) == (born, number));
        let since = same.map_or(asked, |kept| kept.since);
        let is_sure = asked.saturating_duration_since(since) > TICK;
        let now = Kept {
            born,
            number,
            since,
            is_sure,
        };
        kept.put(key(stat), now);
    }
}

fn key(stat: &Stat) -> Key {
    (stat.stamp.dev, stat.stamp.ino)
}

fn number(file: &File, stat: &Stat) -> u64 {
    let handle = file_handle(file).or_else(|| {
        let since = stat.born?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let mut bytes = stat.stamp.ino.to_le_bytes().to_vec();
        bytes.extend_from_slice(&since.as_nanos().to_le_bytes());
        Some(bytes)
    });
    handle.map_or(stat.stamp.ino, |handle| checksum(&handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_believed_once_no_other_file_can_have_its_time() {
        let file = tempfile::tempfile().unwrap();
        let stat = Stat::of(&file).unwrap();
        let Some(born) = stat.born else { return };
        let numbers = LastingNumbers::new();
        let start = Instant::now();
        let asked = |after: Duration, number| {
            numbers.keep(&stat, born, number, start + after);
            numbers.known(&stat)
        };
        let tick = TICK + Duration::from_millis(1);
        assert_eq!(asked(Duration::ZERO, 1), None);
        assert_eq!(asked(TICK, 1), None);
        // Another one, made at the same tick.
        assert_eq!(asked(tick, 2), None);
        assert_eq!(asked(2 * tick, 2), Some(2));
        let later = Stat {
            born: Some(born + Duration::from_nanos(1)),
            ..stat
        };
        assert_eq!(numbers.known(&later), None);
        assert_eq!(numbers.known(&stat), Some(2));
        // Nothing is believed of files whose time is not known.
        let unknown = Stat { born: None, ..stat };
        assert_eq!(numbers.known(&unknown), None);
    }
}
