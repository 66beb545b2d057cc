//! Which files are to be packed, and when each is due.
//!
//! Pure: whoever asks says what time it is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// After how long a file is tried again that could not be packed: the first time, the second, and so on.
const TRY_AGAIN: [Duration; 4] = [
    MINUTE.saturating_mul(10),
    MINUTE.saturating_mul(60),
    MINUTE.saturating_mul(6 * 60),
    MINUTE.saturating_mul(24 * 60),
];
/// What somebody uses is looked at again no earlier.
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// Nor much later, however often that was so.
const MOST_WAIT: Duration = MINUTE.saturating_mul(60);

/// A file that is to be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// Relative to the root of the source.
    pub(super) path: PathBuf,
    /// Its length when it was last looked at.
    pub(super) bytes: u64,
    /// How often it could not be packed since somebody wrote to it.
    failures: u32,
    /// How often it was in use since then when it was to be packed.
    busy: u32,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    job: Job,
}

/// The files that wait.
#[derive(Debug)]
pub(super) struct Queue {
    after: Duration,
    waiting: HashMap<PathBuf, Waiting>,
}

impl Queue {
    /// One in which a file waits for so long after it was last touched.
    pub(super) fn new(after: Duration) -> Self {
        Self {
            after,
            waiting: HashMap::new(),
        }
    }

    /// A file was touched so long ago. What was known of it is forgotten.
    pub(super) fn touched(&mut self, path: &Path, bytes: u64, ago: Duration, now: Instant) {
        let job = Job {
            path: path.to_path_buf(),
            bytes,
            failures: 0,
            busy: 0,
        };
        let due = now + self.after.saturating_sub(ago);
        self.waiting
            .insert(path.to_path_buf(), Waiting { due, job });
    }

    /// It is to be packed no earlier than after so long.
    pub(super) fn later(&mut self, job: Job, wait: Duration, now: Instant) {
        self.put(job, now + wait);
    }

    /// It is in use, or was changed while it was packed: ever later, for packing it again has its cost.
    pub(super) fn busy(&mut self, mut job: Job, now: Instant) {
        let wait = self.after.max(LEAST_WAIT);
        let longer = 2u32.saturating_pow(job.busy);
        let wait = wait.saturating_mul(longer).min(MOST_WAIT.max(self.after));
        job.busy = job.busy.saturating_add(1);
        self.put(job, now + wait);
    }

    /// It could not be packed. True the first time, which is when it is told.
    pub(super) fn failed(&mut self, mut job: Job, now: Instant) -> bool {
        let tried = usize::try_from(job.failures).unwrap_or(usize::MAX);
        let wait = TRY_AGAIN[tried.min(TRY_AGAIN.len() - 1)];
        job.failures = job.failures.saturating_add(1);
        let is_first = job.failures == 1;
        self.put(job, now + wait);
        is_first
    }

    /// When the first one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// Takes the one that has been due for longest.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Job> {
        let is_due = |waiting: &&Waiting| waiting.due <= now;
        let due = self.waiting.values().filter(is_due);
        let first = due.min_by(|a, b| (a.due, &a.job.path).cmp(&(b.due, &b.job.path)))?;
        let path = first.job.path.clone();
        self.waiting.remove(&path).map(|waiting| waiting.job)
    }

    /// How many wait.
    pub(super) fn files(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// How long they are.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = self.waiting.values().map(|waiting| waiting.job.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// Somebody may have touched it meanwhile: then that counts.
    fn put(&mut self, job: Job, due: Instant) {
        let path = job.path.clone();
        self.waiting.entry(path).or_insert(Waiting { due, job });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);
    const NOT_AGO: Duration = Duration::ZERO;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn names(queue: &mut Queue, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| queue.take_due(now))
            .map(|job| job.path.display().to_string())
            .collect()
    }

    #[test]
    fn files_are_due_in_the_order_in_which_they_were_touched_last() {
        let (mut queue, start) = (Queue::new(AFTER), Instant::now());
        queue.touched("a".as_ref(), 1, NOT_AGO, start);
        queue.touched("b".as_ref(), 2, NOT_AGO, start + seconds(1));
        queue.touched("old".as_ref(), 4, seconds(1000), start + seconds(2));
        // Touched again, which moves it back.
        queue.touched("a".as_ref(), 8, NOT_AGO, start + seconds(3));
        assert_eq!((queue.files(), queue.bytes()), (3, 14));
        assert_eq!(queue.next_due(), Some(start + seconds(2)));
        assert_eq!(names(&mut queue, start + seconds(2)), ["old"]);
        assert_eq!(queue.take_due(start + seconds(60)), None);
        assert_eq!(names(&mut queue, start + seconds(63)), ["b", "a"]);
        assert_eq!((queue.files(), queue.next_due()), (0, None));
    }

    #[test]
    fn what_fails_is_told_once_and_tried_ever_later_until_somebody_writes_to_it() {
        let (mut queue, mut now) = (Queue::new(AFTER), Instant::now());
        queue.touched("a".as_ref(), 1, AFTER, now);
        let mut told = Vec::new();
        for wait in [600, 3600, 6 * 3600, 24 * 3600, 24 * 3600] {
            let job = queue.take_due(now).unwrap();
            told.push(queue.failed(job, now));
            assert_eq!(queue.take_due(now + seconds(wait - 1)), None);
            now += seconds(wait);
        }
        assert_eq!(told, [true, false, false, false, false]);
        queue.touched("a".as_ref(), 1, NOT_AGO, now);
        now += AFTER;
        let job = queue.take_due(now).unwrap();
        assert!(queue.failed(job, now), "another file by now");
    }

    #[test]
    fn what_is_in_use_is_waited_for_ever_longer_but_not_for_ever() {
        for (after, waits) in [
            (0, vec![1, 2, 4, 8, 16, 32, 64]),
            (60, vec![60, 120, 240, 480, 960, 1920, 3600, 3600]),
            (7200, vec![7200, 7200]),
        ] {
            let (mut queue, mut now) = (Queue::new(seconds(after)), Instant::now());
            queue.touched("a".as_ref(), 1, seconds(after), now);
            for wait in waits {
                let job = queue.take_due(now).unwrap();
                queue.busy(job, now);
                assert_eq!(queue.next_due(), Some(now + seconds(wait)), "{after}");
                now += seconds(wait);
            }
        }
    }

    #[test]
    fn what_is_touched_while_it_is_packed_is_another_file_from_then_on() {
        let (mut queue, now) = (Queue::new(AFTER), Instant::now());
        queue.touched("a".as_ref(), 1, AFTER, now);
        let job = queue.take_due(now).unwrap();
        queue.touched("a".as_ref(), 2, NOT_AGO, now + seconds(50));
        queue.later(job.clone(), seconds(1), now + seconds(51));
        queue.failed(job, now + seconds(52));
        assert_eq!(queue.next_due(), Some(now + seconds(110)));
        assert_eq!(queue.bytes(), 2);
    }
}
