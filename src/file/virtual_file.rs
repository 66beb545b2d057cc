//! A file that is read: its bytes, and its readers followed.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ahead::prefetch::{Prefetcher, Target};
use super::ahead::{Ask, Fetch, FileShape, Findings, Manner, Readers};
use super::entry::Entry;
use super::shared::ReadShared;
use crate::archive::{ArchiveReader, Base};
use crate::error::Result;
use crate::format::ElementType;
use crate::sync::lock;

/// What is fetched of a file before it is read.
const FIRST_BYTES: u64 = 2 << 20;
/// Headers up to this length are read for the order of their tensors: a longer one would take the place of
/// blocks that readers are about to want.
const ENOUGH_HEADER_BYTES: u64 = 16 << 20;

/// The file an archive stands for, read ahead of its readers.
pub struct VirtualFile {
    entry: Arc<Entry>,
    readers: Arc<Readers>,
    shared: Arc<ReadShared>,
    /// Where the header ends, or a little behind.
    data_start: u64,
    /// What its storage wants to be asked for ahead.
    ask_bytes: u64,
    asked_for_order: AtomicBool,
    asked_for_next: AtomicBool,
}

impl VirtualFile {
    /// A file whose blocks are cached under `generation`, which no other contents may share.
    pub fn new(archive: ArchiveReader, generation: u64, shared: Arc<ReadShared>) -> Self {
        let decoding = Arc::clone(&shared.decoding);
        Self {
            data_start: data_start(&archive),
            ask_bytes: archive.hints().ask_ahead_bytes,
            entry: Arc::new(Entry::new(archive, generation, decoding)),
            readers: Arc::default(),
            shared,
            asked_for_order: AtomicBool::new(false),
            asked_for_next: AtomicBool::new(false),
        }
    }

    /// Its bytes.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The name of its blocks in the cache.
    pub fn generation(&self) -> u64 {
        self.entry.generation()
    }

    /// The archive it comes from.
    pub fn archive(&self) -> &ArchiveReader {
        self.entry.archive()
    }

    /// Passes `len` bytes from `offset` on to `reply`, fewer only where the file ends. `direct` is true
    /// for a reader that goes past the page cache.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if any byte of the range cannot be had; `reply` is not called then.
    pub fn read<R>(
        &self,
        offset: u64,
        len: usize,
        direct: bool,
        reply: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let left = self.entry.bytes().saturating_sub(offset);
        let len = usize::try_from(left).map_or(len, |left| left.min(len));
        if len == 0 {
            return Ok(reply(&[]));
        }
        let _reading = self.begin(offset..offset + len as u64, direct);
        self.entry.read(offset, len, reply)
    }

    /// Somebody is expected to read it from its start: fetches that, into the page cache too if `push` is
    /// set, unless somebody is there already.
    pub fn expect_reader(&self, push: bool) {
        let Some(prefetcher) = &self.shared.prefetcher else {
            return;
        };
        let end = (self.data_start + FIRST_BYTES).min(self.entry.bytes());
        let range = self.data_start..end;
        let mut findings = {
            let mut streams = lock(&self.readers.streams);
            if range.is_empty() || streams.has_any() {
                return;
            }
            streams.expect(&range)
        };
        if self.ask_bytes > 0 {
            findings.asks.push(Ask::anew(&range));
        }
        findings.fetches.push(Fetch { range, dense: true });
        self.settle(prefetcher, &findings);
        prefetcher.ask_for(self.target(), &findings, push);
    }

    /// Notes a read, for as long as what this returns lives, and has what comes next fetched.
    fn begin(&self, range: Range<u64>, direct: bool) -> Option<Reading<'_>> {
        let prefetcher = self.shared.prefetcher.as_ref()?;
        let manner = Manner::of(
            range.end - range.start,
            self.archive().geometry().block_bytes(),
            prefetcher.wiring().page_cache().filter(|_| !direct),
            self.ask_bytes,
        );
        let shape = FileShape {
            bytes: self.entry.bytes(),
            data_start: self.data_start,
            order: self.readers.order.get().and_then(Option::as_ref),
        };
        let findings = lock(&self.readers.streams).begin(&range, &shape, manner.reach);
        self.settle(prefetcher, &findings);
        let ask = |asked: &AtomicBool, done: &dyn Fn() -> bool| {
            if !asked.load(Ordering::Relaxed) && !asked.swap(true, Ordering::Relaxed) {
                asked.store(done(), Ordering::Relaxed);
            }
        };
        let target = self.target();
        if findings.goes_on && self.data_start <= ENOUGH_HEADER_BYTES {
            ask(&self.asked_for_order, &|| prefetcher.ask_for_order(target));
        }
        if findings.near_end {
            ask(&self.asked_for_next, &|| {
                prefetcher.ask_for_next(self.generation(), !direct)
            });
        }
        prefetcher.ask_for(target, &findings, manner.push);
        Some(Reading {
            readers: &self.readers,
            range,
        })
    }

    fn target(&self) -> Target<'_> {
        Target {
            entry: &self.entry,
            readers: &self.readers,
        }
    }

    fn settle(&self, prefetcher: &Prefetcher, findings: &Findings) {
        let counters = &prefetcher.wiring().counters;
        counters.settle(findings.used, findings.wasted);
    }
}

impl std::fmt::Debug for VirtualFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.entry.fmt(f)
    }
}

/// Who reads what rests on it is no reader of it: what comes next is asked for by the other one.
impl Base for VirtualFile {
    fn with(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.entry.with(range, read)
    }

    fn with_alone(
        &self,
        range: Range<u64>,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.entry.with_alone(range, read)
    }

    fn will_need(&self, range: &Range<u64>) {
        self.entry.will_need(range);
    }
}

impl Drop for VirtualFile {
    fn drop(&mut self) {
        if let Some(prefetcher) = &self.shared.prefetcher {
            let findings = lock(&self.readers.streams).end(self.entry.bytes());
            self.settle(prefetcher, &findings);
        }
    }
}

/// A read that is being answered.
struct Reading<'a> {
    readers: &'a Readers,
    range: Range<u64>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        lock(&self.readers.streams).done(&self.range);
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
