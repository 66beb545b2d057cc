//! The file an archive stands for, read at any offset through the cache.

mod prefetch;

pub use prefetch::Run;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::archive::ArchiveReader;
use crate::block::BlockDecoder;
use crate::cache::{Block, BlockCache, BlockKey, CacheStats};
use crate::error::{Error, Result};
use crate::format::BlockSpan;
use crate::sync::Pool;
use prefetch::Prefetcher;

/// What all files of a mount share: the cache, and what a read needs while it runs.
pub struct ReadShared {
    cache: BlockCache,
    contexts: Pool<ReadContext>,
    /// `None` if the cache has no room for what is decoded ahead.
    prefetcher: Option<Prefetcher>,
    reads: [AtomicU64; READ_SIZES.len()],
    bytes: AtomicU64,
    failed: AtomicU64,
}

/// A smaller cache would lose what is decoded ahead before it is read.
const LEAST_PREFETCH_BYTES: usize = 16 << 20;

/// Reads are counted by length: each up to one of these.
pub const READ_SIZES: [u64; 6] = [4 << 10, 16 << 10, 64 << 10, 128 << 10, 512 << 10, u64::MAX];

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

/// What one read needs while it runs.
struct ReadContext {
    decoder: BlockDecoder,
    buffer: Vec<u8>,
}

impl ReadContext {
    fn new() -> Result<Self> {
        Ok(Self {
            decoder: BlockDecoder::new()?,
            buffer: Vec::new(),
        })
    }
}

impl ReadShared {
    /// A cache of `cache_bytes`, for about as many reads at once as there are `threads`.
    ///
    /// # Errors
    /// `Io` if no thread can be started.
    pub fn new(cache_bytes: usize, threads: NonZeroUsize) -> Result<Self> {
        let prefetcher = (cache_bytes >= LEAST_PREFETCH_BYTES).then(Prefetcher::start);
        Ok(Self {
            prefetcher: prefetcher.transpose()?,
            cache: BlockCache::new(cache_bytes),
            contexts: Pool::new(threads),
            reads: Default::default(),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
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
        self.contexts.with(ReadContext::new, |context| {
            context.buffer.resize(len, 0);
            read(&mut context.buffer)
        })
    }
}

/// The file an archive stands for.
pub struct VirtualFile {
    archive: ArchiveReader,
    /// Names the generation in the cache.
    generation: u64,
    shared: Arc<ReadShared>,
}

impl VirtualFile {
    /// A file whose blocks are cached under `generation`, which no other contents may share.
    pub const fn new(archive: ArchiveReader, generation: u64, shared: Arc<ReadShared>) -> Self {
        Self {
            archive,
            generation,
            shared,
        }
    }

    /// The name of its blocks in the cache.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The archive it comes from.
    pub const fn archive(&self) -> &ArchiveReader {
        &self.archive
    }

    /// Passes `len` bytes from `offset` on to `reply`, fewer only where the file ends.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if any byte of the range cannot be had; `reply` is not called then.
    pub fn read<R>(
        self: &Arc<Self>,
        run: &Run,
        offset: u64,
        len: usize,
        reply: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let geometry = self.archive.geometry();
        let left = geometry.original_bytes().saturating_sub(offset);
        let len = usize::try_from(left).map_or(len, |left| left.min(len));
        let Some(first) = geometry.block_at(offset).filter(|_| len > 0) else {
            return Ok(reply(&[]));
        };
        let goes_on = run.goes_on(offset, len as u64);
        self.shared.contexts.with(ReadContext::new, |context| {
            let ReadContext { decoder, buffer } = context;
            let span = self.span(first, offset)?;
            let skip = place_in(&span, offset);
            if goes_on
                && len < span.buffer_bytes()
                && let Some(prefetcher) = &self.shared.prefetcher
            {
                prefetcher.ask_behind(self, first);
            }
            if skip + len <= span.buffer_bytes() && len < span.buffer_bytes() {
                // All in one block: straight from the cache to the reply.
                let block = self.block(first, &span, decoder)?;
                return Ok(reply(&block[skip..skip + len]));
            }
            buffer.resize(len.max(buffer.len()), 0);
            let buffer = &mut buffer[..len];
            let mut number = first;
            let mut done = 0;
            while done < len {
                let at = offset + done as u64;
                let span = self.span(number, at)?;
                let skip = place_in(&span, at);
                let take = (len - done).min(span.buffer_bytes() - skip);
                let part = &mut buffer[done..done + take];
                if take == span.buffer_bytes() {
                    self.shared
                        .cache
                        .copy_or_decode(self.key(number), part, |part| {
                            self.archive.decode_block(number, decoder, part)
                        })?;
                } else {
                    // Whoever reads before or behind this needs the rest.
                    let block = self.block(number, &span, decoder)?;
                    part.copy_from_slice(&block[skip..skip + take]);
                }
                done += take;
                number += 1;
            }
            Ok(reply(buffer))
        })
    }

    fn is_cached(&self, block: u64) -> bool {
        self.shared.cache.has(self.key(block))
    }

    /// Decodes a block that somebody will read soon, if it is not there already.
    fn prefetch(&self, block: u64) -> Result<()> {
        let Some(span) = self.archive.geometry().block(block) else {
            return Ok(());
        };
        self.shared.contexts.with(ReadContext::new, |context| {
            self.block(block, &span, &mut context.decoder).map(drop)
        })
    }

    /// What a block holds; the byte at `offset` is in it.
    fn span(&self, number: u64, offset: u64) -> Result<BlockSpan> {
        self.archive
            .geometry()
            .block(number)
            .filter(|span| span.range.contains(&offset))
            .ok_or_else(|| Error::corrupt("the blocks of the archive do not meet"))
    }

    const fn key(&self, block: u64) -> BlockKey {
        BlockKey {
            archive: self.generation,
            block,
        }
    }

    /// A block, through the cache.
    fn block(&self, number: u64, span: &BlockSpan, decoder: &mut BlockDecoder) -> Result<Block> {
        self.shared
            .cache
            .get_or_decode(self.key(number), span.buffer_bytes(), |buffer| {
                self.archive.decode_block(number, decoder, buffer)
            })
    }
}

fn place_in(span: &BlockSpan, offset: u64) -> usize {
    usize::try_from(offset - span.range.start)
        .expect("invariant: a block is at most MAX_BLOCK_BYTES")
}
