//! What all files of a mount share: the cache, buffers, decoding ahead, counters.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::VirtualFile;
use super::ahead::prefetch::{PageCache, Prefetcher};
use super::ahead::streams::Findings;
use crate::block::BlockDecoder;
use crate::error::Result;
use crate::file::cache::{BlockCache, CacheStats};
use crate::sync::Pool;

/// A smaller cache would lose what is decoded ahead before it is read.
const LEAST_PREFETCH_BYTES: usize = 16 << 20;

/// What a thread holds while it reads: an answer of the longest kind, and blocks being decoded.
const THREAD_BYTES: usize = (1 << 20) + (512 << 10);

/// Reads are counted by length: each up to one of these.
pub const READ_SIZES: [u64; 6] = [4 << 10, 16 << 10, 64 << 10, 128 << 10, 512 << 10, u64::MAX];

/// What all files of a mount share.
pub struct ReadShared {
    pub(super) cache: BlockCache,
    pub(super) contexts: Pool<ReadContext>,
    /// `None` if the cache has no room for what is decoded ahead.
    pub(super) prefetcher: Option<Prefetcher>,
    /// Where to push what is fetched ahead, once there is a kernel.
    pub(super) page_cache: OnceLock<PageCache>,
    pub(super) successor: OnceLock<FindSuccessor>,
    /// Blocks that are being decoded for readers who wait for them.
    pub(super) demand: Demand,
    pub(super) prefetched: PrefetchCounters,
    reads: [AtomicU64; READ_SIZES.len()],
    bytes: AtomicU64,
    failed: AtomicU64,
}

/// Finds the file that is read after the one of a generation, as the next part of a model is, and keeps
/// it open for a while.
pub type FindSuccessor = Box<dyn Fn(u64) -> Option<Successor> + Send + Sync>;

/// A file that will be read next.
pub struct Successor {
    /// The file.
    pub file: Arc<VirtualFile>,
    /// True if the kernel knows of it, so that something can be pushed into its page cache.
    pub is_known: bool,
}

/// What one read needs while it runs.
pub(super) struct ReadContext {
    pub decoder: BlockDecoder,
    buffer: Vec<u8>,
}

impl ReadContext {
    pub fn new() -> Result<Self> {
        Ok(Self {
            decoder: BlockDecoder::new()?,
            buffer: Vec::new(),
        })
    }

    /// The decoder, and a buffer of this length that holds anything.
    pub fn with_len(&mut self, len: usize) -> (&mut BlockDecoder, &mut [u8]) {
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        (&mut self.decoder, &mut self.buffer[..len])
    }
}

/// What was read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReadStats {
    /// Bytes of answers.
    pub bytes: u64,
    /// Reads that ended in an error.
    pub failed: u64,
    /// Reads of at most 4, 16, 64, 128, 512 KiB, and of more.
    pub by_size: [u64; READ_SIZES.len()],
}

/// What was fetched ahead of readers so far, in bytes of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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

#[derive(Debug, Default)]
pub(super) struct PrefetchCounters {
    pub issued: AtomicU64,
    pub pushed: AtomicU64,
    pub used: AtomicU64,
    pub wasted: AtomicU64,
    pub skipped: AtomicU64,
}

/// How many are at work.
#[derive(Debug, Default)]
pub(super) struct Demand(AtomicUsize);

/// One that is at work, until it is dropped.
pub(super) struct Busy<'a>(&'a AtomicUsize);

impl Demand {
    pub fn begin(&self) -> Busy<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Busy(&self.0)
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PrefetchCounters {
    pub fn count(&self, findings: &Findings) {
        for (counter, bytes) in [(&self.used, findings.used), (&self.wasted, findings.wasted)] {
            if bytes > 0 {
                counter.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }
}

impl ReadShared {
    /// For about as many reads at once as there are `threads`. `memory_bytes` are for all that is
    /// decoded: what the threads have in hand, and cached blocks, which get at least half.
    ///
    /// # Errors
    /// `Io` if no thread can be started.
    pub fn new(memory_bytes: usize, threads: NonZeroUsize) -> Result<Self> {
        let prefetcher = (memory_bytes >= LEAST_PREFETCH_BYTES).then(Prefetcher::start);
        let prefetcher = prefetcher.transpose()?;
        let ahead = prefetcher.as_ref().map_or(0, |_| Prefetcher::threads());
        let in_hand = threads.get().saturating_add(ahead);
        let in_hand = in_hand.saturating_mul(THREAD_BYTES);
        Ok(Self {
            prefetcher,
            cache: BlockCache::new(memory_bytes - in_hand.min(memory_bytes / 2)),
            contexts: Pool::new(threads),
            page_cache: OnceLock::new(),
            successor: OnceLock::new(),
            demand: Demand::default(),
            prefetched: PrefetchCounters::default(),
            reads: Default::default(),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Has what is fetched ahead pushed into the kernel's page cache from now on.
    pub fn push_into(&self, page_cache: PageCache) {
        let _ = self.page_cache.set(page_cache);
    }

    /// Has the file that follows one opened when that one is nearly read.
    pub fn find_successors(&self, find: FindSuccessor) {
        let _ = self.successor.set(find);
    }

    /// What the cache has done so far.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// What was read so far.
    pub fn read_stats(&self) -> ReadStats {
        ReadStats {
            bytes: self.bytes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            by_size: self
                .reads
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed)),
        }
    }

    /// What was fetched ahead so far.
    pub fn prefetch_stats(&self) -> PrefetchStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PrefetchStats {
            issued_bytes: of(&self.prefetched.issued),
            pushed_bytes: of(&self.prefetched.pushed),
            used_bytes: of(&self.prefetched.used),
            wasted_bytes: of(&self.prefetched.wasted),
            skipped_bytes: of(&self.prefetched.skipped),
        }
    }

    /// Counts a read: how many bytes it gave, or that it failed.
    pub fn count(&self, read: Option<usize>) {
        let Some(len) = read else {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let len = len as u64;
        self.bytes.fetch_add(len, Ordering::Relaxed);
        let size = READ_SIZES.iter().position(|&most| len <= most);
        if let Some(count) = size.and_then(|size| self.reads.get(size)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
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
        self.contexts
            .with(ReadContext::new, |context| read(context.with_len(len).1))
    }
}
