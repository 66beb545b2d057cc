//! The file an archive stands for, read at any offset through the cache, and ahead of its readers.

mod ahead;
pub mod cache;
mod shared;

pub use ahead::prefetch::PageCache;
pub use shared::{FindSuccessor, PrefetchStats, READ_SIZES, ReadShared, ReadStats, Successor};

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::archive::ArchiveReader;
use crate::block::BlockDecoder;
use crate::error::{Error, Result};
use crate::format::{BlockSpan, ElementType};
use crate::model::{self, ReadAt, Tensor};
use crate::sync::lock;
use ahead::order::Order;
use ahead::prefetch::Manner;
use ahead::streams::{Fetch, FileShape, Streams};
use cache::{Block, BlockKey};
use shared::ReadContext;

/// What is fetched of a file before it is read.
const FIRST_BYTES: u64 = 2 << 20;

/// The file an archive stands for.
pub struct VirtualFile {
    archive: ArchiveReader,
    /// Names the generation in the cache and, as its inode, in the kernel's.
    generation: u64,
    shared: Arc<ReadShared>,
    streams: Mutex<Streams>,
    /// Where the header ends, or a little behind.
    data_start: u64,
    order: OnceLock<Option<Order>>,
    asked_for_order: AtomicBool,
    asked_for_next: AtomicBool,
}

impl VirtualFile {
    /// A file whose blocks are cached under `generation`, which no other contents may share.
    pub fn new(archive: ArchiveReader, generation: u64, shared: Arc<ReadShared>) -> Self {
        let data_start = data_start(&archive);
        Self {
            data_start,
            archive,
            generation,
            shared,
            streams: Mutex::default(),
            order: OnceLock::new(),
            asked_for_order: AtomicBool::new(false),
            asked_for_next: AtomicBool::new(false),
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

    /// Length in bytes.
    fn bytes(&self) -> u64 {
        self.archive.geometry().original_bytes()
    }

    /// Passes `len` bytes from `offset` on to `reply`, fewer only where the file ends. `direct` is true
    /// for a reader that goes past the page cache.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if any byte of the range cannot be had; `reply` is not called then.
    pub fn read<R>(
        self: &Arc<Self>,
        offset: u64,
        len: usize,
        direct: bool,
        reply: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let left = self.bytes().saturating_sub(offset);
        let len = usize::try_from(left).map_or(len, |left| left.min(len));
        let Some(first) = self.archive.geometry().block_at(offset).filter(|_| len > 0) else {
            return Ok(reply(&[]));
        };
        let _reading = self.begin(offset..offset + len as u64, direct);
        self.shared.contexts.with(ReadContext::new, |context| {
            let span = self.span(first, offset)?;
            let skip = place_in(&span, offset);
            if skip + len <= span.buffer_bytes() && len < span.buffer_bytes() {
                // All in one block: straight from the cache to the reply.
                let block = self.block(first, &span, &mut context.decoder, For::Reader)?;
                return Ok(reply(&block[skip..skip + len]));
            }
            let (decoder, buffer) = context.with_len(len);
            self.fill(offset, buffer, decoder, For::Reader)?;
            Ok(reply(buffer))
        })
    }

    /// Notes a read, for as long as what this returns lives, and has what comes next fetched.
    fn begin(self: &Arc<Self>, range: Range<u64>, direct: bool) -> Reading<'_> {
        if let Some(prefetcher) = &self.shared.prefetcher {
            let manner = self.manner(range.end - range.start, direct);
            let order = self.order.get().and_then(Option::as_ref);
            let shape = FileShape {
                bytes: self.bytes(),
                data_start: self.data_start,
                order,
            };
            let findings = lock(&self.streams).begin(&range, &shape, manner.reach);
            self.shared.prefetched.count(&findings);
            let ask = |asked: &AtomicBool, done: &dyn Fn() -> bool| {
                if !asked.load(Ordering::Relaxed) && !asked.swap(true, Ordering::Relaxed) {
                    asked.store(done(), Ordering::Relaxed);
                }
            };
            if findings.goes_on {
                ask(&self.asked_for_order, &|| prefetcher.ask_for_order(self));
            }
            if findings.near_end {
                ask(&self.asked_for_next, &|| {
                    prefetcher.ask_for_next(self, !direct)
                });
            }
            for fetch in &findings.fetches {
                prefetcher.ask(self, fetch, manner.push);
            }
        }
        Reading { file: self, range }
    }

    /// How to fetch ahead of a read.
    fn manner(&self, len: u64, direct: bool) -> Manner {
        let block_bytes = self.archive.geometry().block_bytes();
        match self.shared.page_cache.get().filter(|_| !direct) {
            Some(cache) if !cache.reads_ahead => Manner::PUSH,
            Some(_) if len >= block_bytes => Manner::PUSH_JUMPS,
            _ if len < block_bytes => Manner::blocks(block_bytes),
            _ => Manner::NONE,
        }
    }

    /// Fills a buffer with the bytes from `offset` on, all of which the file must have.
    fn fill(
        &self,
        offset: u64,
        buffer: &mut [u8],
        decoder: &mut BlockDecoder,
        whom: For,
    ) -> Result<()> {
        let mut number = self.archive.geometry().block_at(offset).unwrap_or(0);
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let span = self.span(number, at)?;
            let skip = place_in(&span, at);
            let take = (buffer.len() - done).min(span.buffer_bytes() - skip);
            let part = &mut buffer[done..done + take];
            if take == span.buffer_bytes() {
                self.shared
                    .cache
                    .copy_or_decode(self.key(number), part, |part| {
                        self.decode(number, decoder, part, whom)
                    })?;
            } else {
                // Whoever reads before or behind this needs the rest.
                let block = self.block(number, &span, decoder, whom)?;
                part.copy_from_slice(&block[skip..skip + take]);
            }
            done += take;
            number += 1;
        }
        Ok(())
    }

    /// The blocks that hold a range, each with how many bytes of it.
    fn blocks_of(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, u64)> {
        let geometry = self.archive.geometry();
        let (mut at, end) = (range.start, range.end);
        std::iter::from_fn(move || {
            let number = geometry.block_at(at).filter(|_| at < end)?;
            let block_end = geometry.block(number)?.range.end.min(end);
            let bytes = block_end - at;
            at = block_end;
            Some((number, bytes))
        })
    }

    /// Decodes a block that somebody will read soon, if it is not there already.
    fn decode_into_cache(&self, block: u64) -> Result<()> {
        let Some(span) = self.archive.geometry().block(block) else {
            return Ok(());
        };
        self.shared.contexts.with(ReadContext::new, |context| {
            self.block(block, &span, &mut context.decoder, For::Later)
                .map(drop)
        })
    }

    /// Finds out which tensors lie where.
    fn learn_order(&self) -> Result<()> {
        let mut left = Order::MOST_TENSORS;
        let header = model::read_keeping(&ThroughCache(self), |found| {
            let keep = left > 0 && Order::is_large(&found.range);
            keep.then(|| {
                left -= 1;
                Tensor::from(found)
            })
        })?;
        let order = header.map(|mut header| {
            header
                .tensors
                .sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
            Order::new(&header.tensors)
        });
        let _ = self.order.set(order);
        Ok(())
    }

    /// Opens the file that is read after this one, and fetches its start.
    fn fetch_next(&self, push: bool) {
        let (Some(find), Some(prefetcher)) = (self.shared.successor.get(), &self.shared.prefetcher)
        else {
            return;
        };
        let Some(Successor { file, is_known }) = find(self.generation) else {
            return;
        };
        let fetch = Fetch {
            range: file.data_start..(file.data_start + FIRST_BYTES).min(file.bytes()),
            dense: true,
        };
        let findings = {
            let mut streams = lock(&file.streams);
            if fetch.range.is_empty() || streams.has_any() {
                // Somebody is there already.
                return;
            }
            streams.expect(&fetch.range)
        };
        self.shared.prefetched.count(&findings);
        let push = push && is_known && self.shared.page_cache.get().is_some();
        prefetcher.ask(&file, &fetch, push);
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
    fn block(
        &self,
        number: u64,
        span: &BlockSpan,
        decoder: &mut BlockDecoder,
        whom: For,
    ) -> Result<Block> {
        self.shared
            .cache
            .get_or_decode(self.key(number), span.buffer_bytes(), |buffer| {
                self.decode(number, decoder, buffer, whom)
            })
    }

    fn decode(
        &self,
        number: u64,
        decoder: &mut BlockDecoder,
        buffer: &mut [u8],
        whom: For,
    ) -> Result<()> {
        let _busy = matches!(whom, For::Reader).then(|| self.shared.demand.begin());
        self.archive.decode_block(number, decoder, buffer)
    }
}

impl Drop for VirtualFile {
    fn drop(&mut self) {
        let bytes = self.bytes();
        let findings = lock(&self.streams).end(bytes);
        self.shared.prefetched.count(&findings);
    }
}

/// A file as its header is read: through the cache, for later.
struct ThroughCache<'a>(&'a VirtualFile);

impl ReadAt for ThroughCache<'_> {
    fn file_bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let file = self.0;
        file.shared.contexts.with(ReadContext::new, |context| {
            file.fill(offset, buffer, &mut context.decoder, For::Later)
        })
    }
}

/// Whom something is decoded for.
#[derive(Debug, Clone, Copy)]
enum For {
    /// Somebody who waits for it.
    Reader,
    /// Who may want it later.
    Later,
}

/// A read that is being answered.
struct Reading<'a> {
    file: &'a VirtualFile,
    range: Range<u64>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if self.file.shared.prefetcher.is_some() {
            lock(&self.file.streams).done(&self.range);
        }
    }
}

/// The length of what comes before the first numbers, which is mostly the header.
fn data_start(archive: &ArchiveReader) -> u64 {
    let mut extents = archive.geometry().extents();
    extents
        .next()
        .filter(|first| first.element == ElementType::Bytes && extents.len() > 0)
        .map_or(0, |first| first.len)
}

fn place_in(span: &BlockSpan, offset: u64) -> usize {
    usize::try_from(offset - span.range.start)
        .expect("invariant: a block is at most MAX_BLOCK_BYTES")
}
