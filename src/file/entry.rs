//! The bytes of the file an archive stands for, through the cache.
//!
//! Knows neither who reads them nor what is read next.

use std::ops::Range;
use std::sync::Arc;

use super::cache::{Block, BlockKey};
use super::decoding::{Decoding, For, ReadContext};
use crate::archive::{ArchiveReader, Base};
use crate::block::BlockDecoder;
use crate::error::{Error, Result};
use crate::format::{BlockSpan, ElementType};
use crate::model::ReadAt;

/// While so many threads find room for a block, each keeps what it decodes with.
const MANY_THREADS: usize = 16;

/// The file an archive stands for. All methods may be called from many threads at once.
pub struct Entry {
    archive: ArchiveReader,
    /// Names the generation in the cache and, as its inode, in the kernel's.
    generation: u64,
    decoding: Arc<Decoding>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Entry").field(&self.archive.path()).finish()
    }
}

impl Entry {
    /// A file whose blocks are cached under `generation`, which no other contents may share.
    pub(super) const fn new(
        archive: ArchiveReader,
        generation: u64,
        decoding: Arc<Decoding>,
    ) -> Self {
        Self {
            archive,
            generation,
            decoding,
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
    pub const fn bytes(&self) -> u64 {
        self.archive.geometry().original_bytes()
    }

    /// What it is decoded with.
    pub(super) fn decoding(&self) -> &Decoding {
        &self.decoding
    }

    /// Passes `len` bytes from `offset` on to `reply`; the file must have all of them, and at least one.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if any byte of the range cannot be had; `reply` is not called then.
    pub(super) fn read<R>(
        &self,
        offset: u64,
        len: usize,
        reply: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let first = self.archive.geometry().block_at(offset).unwrap_or(0);
        self.decoding.contexts.with(ReadContext::new, |context| {
            let span = self.span(first, offset)?;
            let skip = place_in(&span, offset);
            if skip + len <= span.buffer_bytes() && len < span.buffer_bytes() {
                // All in one block: straight from the cache to the reply.
                let block = self.block(first, &span, &mut context.decoder, For::Reader)?;
                return Ok(reply(&block[skip..skip + len]));
            }
            let (decoder, buffer) = context.with_len(len)?;
            self.fill(offset, buffer, decoder, For::Reader)?;
            Ok(reply(buffer))
        })
    }

    /// Fills a buffer with the bytes from `offset` on, all of which the file must have.
    ///
    /// # Errors
    /// As `read`; what the buffer holds then must not be used.
    pub(super) fn fill(
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
            if take == span.buffer_bytes() && !whom.keeps_all() {
                self.decoding
                    .cache
                    .copy_or_decode(self.key(number), part, |part| {
                        self.decode(number, span.element, decoder, part, whom)
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
    pub(super) fn blocks_of(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, u64)> {
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

    /// Has the storage make ready what is stored of a range, and waits for none of it. If this `goes_on` where
    /// the range was asked for that ends here, the block that both have a part of is made ready already.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be found.
    pub(super) fn ask_for(&self, range: &Range<u64>, goes_on: bool) -> Result<()> {
        let geometry = self.archive.geometry();
        let (Some(first), Some(last)) = (
            geometry.block_at(range.start),
            geometry.block_at(range.end.saturating_sub(1)),
        ) else {
            return Ok(());
        };
        let begins_before = geometry
            .block(first)
            .is_some_and(|span| span.range.start < range.start);
        let first = first + u64::from(goes_on && begins_before);
        self.archive.will_need(first..last + 1)?;
        self.archive.bases_will_need(range);
        Ok(())
    }

    /// Decodes a block that somebody will read soon, if it is not there already.
    ///
    /// # Errors
    /// As `read`.
    pub(super) fn decode_into_cache(&self, block: u64) -> Result<()> {
        let Some(span) = self.archive.geometry().block(block) else {
            return Ok(());
        };
        self.decoding.contexts.with(ReadContext::new, |context| {
            self.block(block, &span, &mut context.decoder, For::Later)
                .map(drop)
        })
    }

    fn refuse_behind_end(&self, end: u64) -> Result<()> {
        if end <= self.bytes() {
            return Ok(());
        }
        let behind = std::io::ErrorKind::UnexpectedEof.into();
        let error = Error::io("cannot read behind the end of the file", behind);
        Err(error.at(self.archive.path()))
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
        self.decoding
            .cache
            .get_or_decode(self.key(number), span.buffer_bytes(), |buffer| {
                self.decode(number, span.element, decoder, buffer, whom)
            })
    }

    fn decode(
        &self,
        number: u64,
        element: ElementType,
        decoder: &mut BlockDecoder,
        buffer: &mut [u8],
        whom: For,
    ) -> Result<()> {
        self.decoding.heed_memory();
        let _busy = matches!(whom, For::Reader).then(|| self.decoding.demand.begin());
        let room = &self.decoding.memory.room;
        let rests = self.archive.superblock().bases.is_some();
        // What it rests on as well, and as numbers of its own type.
        let times = if rests { 3 } else { 1 };
        let bytes = times * BlockDecoder::bytes_for(element, buffer.len());
        let ready = || room.take(bytes);
        let decoded = self
            .archive
            .decode_block_once(number, decoder, buffer, ready);
        if !room.has_plenty(bytes, MANY_THREADS) {
            decoder.give_back();
        }
        decoded
    }

    /// Passes what others rest on to `read`.
    fn lend(
        &self,
        range: Range<u64>,
        whom: For,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if range.is_empty() {
            return read(&[]);
        }
        if range.end > self.bytes() {
            return Err(Error::corrupt(
                "a block rests on what lies behind the end of its base",
            ));
        }
        let len = usize::try_from(range.end - range.start)
            .map_err(|_| Error::corrupt("a block rests on more bytes than it can have"))?;
        let first = self.archive.geometry().block_at(range.start).unwrap_or(0);
        let span = self.span(first, range.start)?;
        let skip = place_in(&span, range.start);
        let is_whole = len == span.buffer_bytes() && !whom.keeps_all();
        if skip + len <= span.buffer_bytes() && !is_whole {
            let contexts = &self.decoding.contexts;
            let block = contexts.with(ReadContext::new, |context| {
                self.block(first, &span, &mut context.decoder, whom)
            })?;
            return read(&block[skip..skip + len]);
        }
        self.decoding.contexts.with(ReadContext::new, |context| {
            let (decoder, buffer) = context.with_len(len)?;
            self.fill(range.start, buffer, decoder, whom)?;
            read(buffer)
        })
    }
}

/// As a base it keeps the blocks that others rest on: there may be more of those. But not those that would be gone from the
/// cache before anybody came back to them.
impl Base for Entry {
    fn with(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.lend(range, For::Dependent, read)
    }

    fn with_alone(
        &self,
        range: Range<u64>,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let fits = self.bytes() <= self.decoding.cache.budget_bytes() as u64;
        let whom = if fits {
            For::Dependent
        } else {
            For::LoneDependent
        };
        self.lend(range, whom, read)
    }

    fn will_need(&self, range: &Range<u64>) {
        let end = range.end.min(self.bytes());
        // Whoever reads it tells what is wrong.
        let _ = self.ask_for(&(range.start..end), false);
    }
}

impl ReadAt for Entry {
    fn file_bytes(&self) -> u64 {
        self.bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.refuse_behind_end(offset.saturating_add(buffer.len() as u64))?;
        self.decoding.contexts.with(ReadContext::new, |context| {
            self.fill(offset, buffer, &mut context.decoder, For::Later)
        })
    }
}

fn place_in(span: &BlockSpan, offset: u64) -> usize {
    usize::try_from(offset - span.range.start)
        .expect("invariant: a block is at most MAX_BLOCK_BYTES")
}
