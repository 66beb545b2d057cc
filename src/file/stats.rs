//! What a mount counts of reads, of its cache and of what it fetches ahead, and what it tells of it.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Reads are counted by length: each up to one of these.
pub const READ_SIZES: [u64; 6] = [4 << 10, 16 << 10, 64 << 10, 128 << 10, 512 << 10, u64::MAX];

/// What was read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadStats {
    /// Bytes of answers.
    pub bytes: u64,
    /// Reads that ended in an error.
    pub failed: u64,
    /// Reads of at most 4, 16, 64, 128, 512 KiB, and of more.
    pub by_size: [u64; READ_SIZES.len()],
}

/// What was fetched ahead of readers so far, in bytes of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchStats {
    /// Asked for.
    pub issued_bytes: u64,
    /// Pushed into the kernel's page cache.
    pub pushed_bytes: u64,
    /// Passed by a reader since.
    pub used_bytes: u64,
    /// Fetched for a reader that did not come.
    pub wasted_bytes: u64,
    /// Asked for, and left for want of memory, or as there was too much to do, or the reader was there
    /// first.
    pub skipped_bytes: u64,
}

/// What a cache has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStats {
    /// Most bytes it may hold.
    pub budget_bytes: usize,
    /// Bytes it holds.
    pub cached_bytes: usize,
    /// Blocks that were there.
    pub hits: u64,
    /// Blocks that somebody else was decoding.
    pub waits: u64,
    /// Blocks that were decoded, or tried to.
    pub decodes: u64,
    /// Time that took, over all threads.
    pub decode_nanoseconds: u64,
}

/// Counts reads.
#[derive(Debug, Default)]
pub(super) struct ReadCounters {
    by_size: [AtomicU64; READ_SIZES.len()],
    bytes: AtomicU64,
    failed: AtomicU64,
}

impl ReadCounters {
    /// Counts a read: how many bytes it gave, or that it failed.
    pub fn count(&self, read: Option<usize>) {
        let Some(len) = read else {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let len = len as u64;
        self.bytes.fetch_add(len, Ordering::Relaxed);
        let size = READ_SIZES.iter().position(|&most| len <= most);
        if let Some(count) = size.and_then(|size| self.by_size.get(size)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was read so far.
    pub fn stats(&self) -> ReadStats {
        ReadStats {
            bytes: self.bytes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            by_size: self
                .by_size
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed)),
        }
    }
}

/// Counts what is fetched ahead, in bytes of files.
#[derive(Debug, Default)]
pub(super) struct PrefetchCounters {
    pub issued: AtomicU64,
    pub pushed: AtomicU64,
    pub used: AtomicU64,
    pub wasted: AtomicU64,
    pub skipped: AtomicU64,
}

impl PrefetchCounters {
    /// Counts what became of fetched bytes.
    pub fn settle(&self, used: u64, wasted: u64) {
        for (counter, bytes) in [(&self.used, used), (&self.wasted, wasted)] {
            if bytes > 0 {
                counter.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }

    /// What was fetched ahead so far.
    pub fn stats(&self) -> PrefetchStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PrefetchStats {
            issued_bytes: of(&self.issued),
            pushed_bytes: of(&self.pushed),
            used_bytes: of(&self.used),
            wasted_bytes: of(&self.wasted),
            skipped_bytes: of(&self.skipped),
        }
    }
}
