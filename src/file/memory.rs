//! How much memory is left, asked for now and then: for the cache, which gives back what it holds while
//! there is little, and for what is fetched ahead, which had better not be then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::os::{AvailableMemory, memory_limit};
use crate::sync::lock;

/// How long an answer is believed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Nobody needs more than this kept free.
const ENOUGH_FREE_BYTES: u64 = 64 << 20;
/// Of what the process may have, this part is kept free.
const FREE_PART: u64 = 8;

/// Of what the process may have, this part is for what is being decoded.
pub const ROOM_PART: u64 = 8;

/// What is known of it. All methods may be called from many threads at once.
pub(super) struct Memory {
    system: AvailableMemory,
    /// What could be had when it was last looked at.
    available: AtomicU64,
    looked: Stamp,
    /// Its own, so that the cache is told in time, however often those who fetch ahead look.
    told: Stamp,
    /// With less, memory is short.
    short_bytes: u64,
    /// For what is being decoded.
    pub room: Room,
}

impl Memory {
    pub fn new() -> Self {
        let may_have = memory_limit().map_or(u64::MAX, |limit| limit.bytes);
        let system = AvailableMemory::of_this_process();
        Self {
            available: AtomicU64::new(system.bytes().unwrap_or(u64::MAX)),
            system,
            looked: Stamp::default(),
            told: Stamp::default(),
            short_bytes: (may_have / FREE_PART).min(ENOUGH_FREE_BYTES),
            room: Room::new(usize::try_from(may_have / ROOM_PART).unwrap_or(usize::MAX)),
        }
    }

    /// What can be had, as it was lately.
    pub fn available_bytes(&self) -> u64 {
        if self.looked.is_due(Instant::now()) {
            self.look()
        } else {
            self.available.load(Ordering::Relaxed)
        }
    }

    /// How many bytes may be kept by one who keeps `kept_bytes` now: half of them while memory is short,
    /// else those and half of what is to be had. `None` if that was said lately, or somebody else is told
    /// just now.
    pub fn may_keep(&self, kept_bytes: usize) -> Option<usize> {
        self.may_keep_at(kept_bytes, Instant::now())
    }

    fn may_keep_at(&self, kept_bytes: usize, now: Instant) -> Option<usize> {
        let is_due = self.told.is_due(now);
        is_due.then(|| may_keep(kept_bytes, self.look(), self.short_bytes))
    }

    fn look(&self) -> u64 {
        let bytes = self.system.bytes().unwrap_or(u64::MAX);
        self.available.store(bytes, Ordering::Relaxed);
        bytes
    }
}

/// When something was last done.
#[derive(Default)]
struct Stamp(Mutex<Option<Instant>>);

impl Stamp {
    /// True for the one who is to do it again. Others go on meanwhile: it may take a while.
    fn is_due(&self, now: Instant) -> bool {
        let mut last = lock(&self.0);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= LOOK_AGAIN);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// How much may be decoded at once: who comes when it is full waits for others to have decoded, and for nothing
/// else. They get their parts in the order in which they came, so that who needs all of it gets it, too, while
/// others come and go with little. Blocks of usual length never fill it, but long ones do where memory is limited.
pub(super) struct Room {
    bytes: usize,
    line: Mutex<Line>,
    moved: Condvar,
}

/// Those who have a part, and those who wait for one.
struct Line {
    taken: usize,
    /// The number of who comes next.
    next: u64,
    /// The number of whose turn it is; all before have had theirs.
    turn: u64,
}

/// A part of the room, until it is dropped.
pub(super) struct Part<'a> {
    room: &'a Room,
    bytes: usize,
}

impl Room {
    const fn new(bytes: usize) -> Self {
        let line = Line {
            taken: 0,
            next: 0,
            turn: 0,
        };
        Self {
            bytes,
            line: Mutex::new(line),
            moved: Condvar::new(),
        }
    }

    /// Waits for those who came before, and until there is room. Who holds a part must not wait for anybody.
    pub fn take(&self, bytes: usize) -> Part<'_> {
        let mut line = lock(&self.line);
        let number = line.next;
        line.next += 1;
        // What has no room at all goes alone.
        while line.turn != number || line.taken > 0 && line.taken.saturating_add(bytes) > self.bytes
        {
            line = self
                .moved
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
        line.taken = line.taken.saturating_add(bytes);
        line.turn += 1;
        let is_waited_for = line.turn != line.next;
        drop(line);
        if is_waited_for {
            self.moved.notify_all();
        }
        Part { room: self, bytes }
    }

    /// True if there is room for so many times so much.
    pub const fn has_plenty(&self, bytes: usize, times: usize) -> bool {
        bytes.saturating_mul(times) <= self.bytes
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let mut line = lock(&self.room.line);
        line.taken = line.taken.saturating_sub(self.bytes);
        let is_waited_for = line.turn != line.next;
        drop(line);
        if is_waited_for {
            self.room.moved.notify_all();
        }
    }
}

fn may_keep(kept_bytes: usize, available_bytes: u64, short_bytes: u64) -> usize {
    match available_bytes.checked_sub(short_bytes) {
        Some(free) => kept_bytes.saturating_add(usize::try_from(free / 2).unwrap_or(usize::MAX)),
        None => kept_bytes / 2,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_room_for_but_by_one_alone() {
        let room = Room::new(100);
        assert!(room.has_plenty(20, 5) && !room.has_plenty(20, 6));
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for bytes in [30, 60, 70, 100, 150] {
                let (room, most) = (&room, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let part = room.take(bytes);
                        most.fetch_max(lock(&room.line).taken, Ordering::Relaxed);
                        std::thread::yield_now();
                        drop(part);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), lock(&room.line).taken), (150, 0));
    }

    #[test]
    fn who_needs_all_the_room_gets_it_before_those_who_come_later() {
        let room = Room::new(100);
        let waiting = |number: u64| {
            while lock(&room.line).next < number {
                std::thread::yield_now();
            }
        };
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let first = room.take(10);
            for (number, (name, bytes)) in (2..).zip([("all", 100), ("little", 10), ("none", 0)]) {
                let (room, order) = (&room, &order);
                scope.spawn(move || {
                    let part = room.take(bytes);
                    lock(order).push(name);
                    drop(part);
                });
                waiting(number);
            }
            assert!(lock(&order).is_empty(), "nobody goes before who came first");
            drop(first);
        });
        assert_eq!(lock(&order).first(), Some(&"all"));
        assert_eq!(lock(&order).len(), 3);
    }

    #[test]
    fn what_is_kept_follows_what_is_left() {
        for (kept, available, may) in [
            (0, 100, 40),
            (100, 100, 140),
            (100, 20, 100),
            (100, 19, 50),
            (100, 0, 50),
            (100, u64::MAX, usize::MAX / 2 + 90),
        ] {
            let is = may_keep(kept, available, 20);
            assert!(is.abs_diff(may) <= 1, "{kept} {available}: {is}");
        }
    }

    #[test]
    fn the_cache_is_told_in_time_however_often_others_look() {
        let memory = Memory::new();
        let start = Instant::now();
        for times in 0..3 {
            assert!(memory.available_bytes() > 0);
            let now = start + times * LOOK_AGAIN;
            assert!(memory.may_keep_at(1, now).is_some(), "{times}");
            assert!(memory.may_keep_at(1, now).is_none(), "it was said");
        }
        assert!(memory.may_keep(1).is_none(), "it was said for later");
    }
}
