//! Whether the machine has room for packing: on the disk, and in memory.
//!
//! Pure but for asking the system.

use std::time::{Duration, Instant};

use rustix::fs::StatVfs;

use crate::os::MemoryPressure;

/// What is left free at most, and as a part of the disk.
const MOST_RESERVE_BYTES: u64 = 1 << 30;
const RESERVE_PART: u64 = 20;
/// From so many percent of the time on in which somebody waits for memory, it is short.
const SHORT_PERCENT: f64 = 10.0;
/// The system reckons with the last ten seconds.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Whether a file system has room for an archive of a file of so many bytes, and for others beside it.
pub(super) fn has_room(bytes: u64, disk: &StatVfs) -> bool {
    let of = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    let reserve = (of(disk.f_blocks) / RESERVE_PART).min(MOST_RESERVE_BYTES);
    of(disk.f_bavail) >= bytes.saturating_add(reserve)
}

/// Whether memory is short, asked as often as that may have changed.
pub(super) struct MemoryWatch {
    pressure: MemoryPressure,
    asked: Option<Instant>,
    short_since: Option<Instant>,
}

impl MemoryWatch {
    pub(super) fn of_this_process() -> Self {
        Self {
            pressure: MemoryPressure::of_this_process(),
            asked: None,
            short_since: None,
        }
    }

    /// For how long it has been short.
    pub(super) fn short_for(&mut self, now: Instant) -> Option<Duration> {
        let is_fresh = |asked| now.saturating_duration_since(asked) < ASK_AGAIN;
        if !self.asked.is_some_and(is_fresh) {
            self.asked = Some(now);
            let percent = self.pressure.percent();
            self.is_short(percent.is_some_and(|percent| percent >= SHORT_PERCENT), now);
        }
        self.short_since
            .map(|since| now.saturating_duration_since(since))
    }

    fn is_short(&mut self, is_short: bool, now: Instant) {
        self.short_since = is_short.then(|| self.short_since.unwrap_or(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_the_disk_is_left_to_others() {
        let disk = |all: u64, free: u64| StatVfs {
            f_bsize: 4096,
            f_frsize: 4096,
            f_blocks: all / 4096,
            f_bfree: free / 4096,
            f_bavail: free / 4096,
            f_files: 0,
            f_ffree: 0,
            f_favail: 0,
            f_fsid: 0,
            f_flag: rustix::fs::StatVfsMountFlags::empty(),
            f_namemax: 255,
        };
        let (mib, gib) = (1 << 20, 1 << 30);
        assert!(has_room(10 * mib, &disk(100 * mib, 16 * mib)));
        assert!(!has_room(12 * mib, &disk(100 * mib, 16 * mib)));
        assert!(has_room(10 * gib, &disk(10_000 * gib, 11 * gib)));
        assert!(!has_room(u64::MAX, &disk(u64::MAX, u64::MAX)));
    }

    #[test]
    fn memory_is_short_from_the_first_time_on_that_it_is() {
        let (mut watch, start) = (MemoryWatch::of_this_process(), Instant::now());
        watch.is_short(true, start);
        let later = start + Duration::from_secs(5);
        watch.is_short(true, later);
        assert_eq!(watch.short_since, Some(start));
        watch.is_short(false, later);
        assert_eq!(watch.short_since, None);
    }
}
