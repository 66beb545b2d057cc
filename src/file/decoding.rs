//! What decoding for all files of a mount shares: the cache, buffers, and how many are at it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cache::BlockCache;
use super::memory::Memory;
use crate::block::BlockDecoder;
use crate::error::{Error, Result};
use crate::os::zeroed;
use crate::sync::Pool;

/// What all files of a mount decode with.
pub(super) struct Decoding {
    pub cache: BlockCache,
    pub contexts: Pool<ReadContext>,
    /// Blocks that are being decoded for readers who wait for them.
    pub demand: Demand,
    pub memory: Memory,
}

impl Decoding {
    /// For about as many reads at once as there are `threads`, and blocks of so many bytes.
    pub fn new(cache_bytes: usize, threads: NonZeroUsize) -> Self {
        Self {
            cache: BlockCache::new(cache_bytes),
            // A block that rests on another takes a second one, for that.
            contexts: Pool::new(threads.saturating_add(threads.get())),
            demand: Demand::default(),
            memory: Memory::new(),
        }
    }

    /// Lets the cache hold no more than memory allows, if that was not looked at lately.
    pub fn heed_memory(&self) {
        if let Some(bytes) = self.memory.may_keep(self.cache.cached_bytes()) {
            self.cache.hold_at_most(bytes);
        }
    }
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
    ///
    /// # Errors
    /// `Io` for want of memory.
    pub fn with_len(&mut self, len: usize) -> Result<(&mut BlockDecoder, &mut [u8])> {
        if self.buffer.len() < len {
            self.buffer = Vec::new();
            self.buffer = zeroed(len).map_err(|e| Error::io("cannot answer a read", e))?;
        }
        Ok((&mut self.decoder, &mut self.buffer[..len]))
    }
}

/// Whom something is decoded for.
#[derive(Debug, Clone, Copy)]
pub(super) enum For {
    /// Somebody who waits for it.
    Reader,
    /// Who may want it later.
    Later,
    /// A block that rests on it.
    Dependent,
    /// The same, where no other is about to.
    LoneDependent,
}

impl For {
    /// Whether blocks that are wanted as a whole are kept as well.
    pub const fn keeps_all(self) -> bool {
        matches!(self, Self::Dependent)
    }
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
