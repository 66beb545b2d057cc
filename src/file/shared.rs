//! What all files of a mount share: what they are decoded with, decoding ahead, counters.

use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::ahead::page_cache::PageCache;
use super::ahead::prefetch::Prefetcher;
use super::ahead::wiring::OpenNext;
use super::decoding::{Decoding, ReadContext};
use super::stats::{CacheStats, PrefetchStats, ReadCounters, ReadStats};
use crate::error::Result;
use crate::os::start_thread;

/// With less memory, what is decoded ahead would be lost before it is read.
pub const ENOUGH_TO_PREFETCH_BYTES: usize = 16 << 20;

/// How often memory is looked at while nobody reads.
const LOOK_AT_MEMORY: Duration = Duration::from_secs(1);

/// What a thread holds while it reads: an answer of the longest kind, and blocks being decoded.
pub const THREAD_BYTES: usize = (1 << 20) + (512 << 10);

/// What the process holds that is for no block: the program, its libraries, stacks.
const OTHER_BYTES: usize = 20 << 20;

/// What all files of a mount share.
pub struct ReadShared {
    pub(super) decoding: Arc<Decoding>,
    /// `None` if the cache has no room for what is decoded ahead.
    pub(super) prefetcher: Option<Prefetcher>,
    reads: ReadCounters,
}

impl ReadShared {
    /// For about as many reads at once as there are `threads`. `memory_bytes` are for all that is
    /// decoded: what the threads have in hand, and cached blocks, which get at least half.
    pub fn new(memory_bytes: usize, threads: NonZeroUsize) -> Self {
        let prefetcher = (memory_bytes >= ENOUGH_TO_PREFETCH_BYTES).then(Prefetcher::start);
        let prefetcher = prefetcher.flatten();
        let ahead = prefetcher.as_ref().map_or(0, Prefetcher::threads);
        let in_hand = threads.get().saturating_add(ahead);
        let in_hand = in_hand.saturating_mul(THREAD_BYTES);
        let cache_bytes = memory_bytes - in_hand.min(memory_bytes / 2);
        let decoding = Arc::new(Decoding::new(cache_bytes, threads));
        let weak = Arc::downgrade(&decoding);
        // Without it, memory is looked at only while somebody reads.
        let _ = start_thread("memory", move || look_at_memory(&weak));
        Self {
            prefetcher,
            decoding,
            reads: ReadCounters::default(),
        }
    }

    /// What the process may hold at most, all in all, with blocks of usual length.
    pub fn most_bytes(memory_bytes: usize, threads: NonZeroUsize) -> usize {
        let in_hand = threads.get().saturating_mul(THREAD_BYTES);
        let with_many_threads = (memory_bytes / 2).saturating_add(in_hand);
        OTHER_BYTES.saturating_add(memory_bytes.max(with_many_threads))
    }

    /// Has what is fetched ahead pushed into the kernel's page cache from now on.
    pub fn push_into(&self, page_cache: PageCache) {
        if let Some(prefetcher) = &self.prefetcher {
            prefetcher.wiring().push_into(page_cache);
        }
    }

    /// Has the file that follows one opened when that one is nearly read.
    pub fn open_next_with(&self, open_next: OpenNext) {
        if let Some(prefetcher) = &self.prefetcher {
            prefetcher.wiring().open_next_with(open_next);
        }
    }

    /// What the cache has done so far.
    pub fn cache_stats(&self) -> CacheStats {
        self.decoding.cache.stats()
    }

    /// What was read so far.
    pub fn read_stats(&self) -> ReadStats {
        self.reads.stats()
    }

    /// What was fetched ahead so far.
    pub fn prefetch_stats(&self) -> PrefetchStats {
        let prefetcher = self.prefetcher.as_ref();
        prefetcher.map_or_else(PrefetchStats::default, |prefetcher| {
            prefetcher.wiring().counters.stats()
        })
    }

    /// Counts a read: how many bytes it gave, or that it failed.
    pub fn count(&self, read: Option<usize>) {
        self.reads.count(read);
    }

    /// Lends a buffer of `len` bytes to a read that does not go through the cache.
    ///
    /// # Errors
    /// That of `read`, or `Io` for want of memory.
    pub fn with_buffer<R>(
        &self,
        len: usize,
        read: impl FnOnce(&mut [u8]) -> Result<R>,
    ) -> Result<R> {
        self.decoding
            .contexts
            .with(ReadContext::new, |context| read(context.with_len(len)?.1))
    }
}

/// Has the cache give back what it holds while others need it, also if nobody reads.
fn look_at_memory(decoding: &Weak<Decoding>) {
    while let Some(decoding) = decoding.upgrade() {
        if decoding.cache.cached_bytes() > 0 {
            decoding.heed_memory();
        }
        drop(decoding);
        std::thread::sleep(LOOK_AT_MEMORY);
    }
}
