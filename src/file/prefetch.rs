//! Fetching ahead of readers, on threads of its own.
//!
//! Ordinary users have a kernel that reads 128 KiB ahead, too little to keep two processors busy. For
//! them whole pieces are decoded ahead and pushed into the kernel's page cache, where the reader finds
//! them without asking. A page is left out here and there: reading it tells how far the reader is.
//!
//! Storing pages whose READ is unanswered waits in the kernel until it is answered. So a READ never
//! waits for one of these threads but for a block that it is decoding just then, and while a thread
//! stores it holds neither a lock nor a block that somebody waits for. Readers go first: nothing is
//! decoded here while they keep all processors busy, nor while memory is short.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::shared::ReadContext;
use super::streams::{Fetch, Reach};
use super::{For, VirtualFile};
use crate::error::{Error, Result};
use crate::io::available_bytes;
use crate::sync::{cores, lock};

/// Jobs that may wait; who asks for more is not heard.
const WAITING: usize = 64;
/// More threads do not make a reader faster.
const MOST_THREADS: usize = 4;
/// What is decoded and pushed at once.
const PIECE_BYTES: u64 = 1 << 20;
/// The last page before each multiple of this is not pushed.
const MARK_BYTES: u64 = 2 << 20;
const PAGE_BYTES: u64 = 4096;
/// While less memory is to be had, nothing is fetched ahead.
const LEAST_AVAILABLE_BYTES: u64 = 256 << 20;
/// How long the answer to that is believed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long to let readers go first before looking again.
const LET_READERS_GO: Duration = Duration::from_micros(100);

/// Stores bytes of an inode at an offset.
pub type Store = Box<dyn Fn(u64, u64, &[u8]) -> io::Result<()> + Send + Sync>;

/// The kernel's page cache of a mount.
pub struct PageCache {
    /// How to get there.
    pub store: Store,
    /// True if the kernel itself reads far ahead of those who read on and on.
    pub reads_ahead: bool,
}

/// How a read is fetched ahead of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub reach: Reach,
    /// Into the page cache; else the blocks are decoded into the cache here.
    pub push: bool,
}

impl Manner {
    /// Into the page cache, ahead of a reader that goes on and on.
    pub const PUSH: Self = Self {
        reach: Reach {
            window_bytes: 8 << 20,
            step_bytes: MARK_BYTES,
            lead_bytes: 256 << 10,
            goes_on: true,
        },
        push: true,
    };
    /// Into the page cache, where a reader is to jump to.
    pub const PUSH_JUMPS: Self = Self {
        reach: Reach {
            goes_on: false,
            ..Self::PUSH.reach
        },
        push: true,
    };

    /// Nothing, wherever the reader goes.
    pub const NONE: Self = Self {
        reach: Reach {
            window_bytes: 0,
            step_bytes: 0,
            lead_bytes: 0,
            goes_on: false,
        },
        push: false,
    };

    /// Blocks, ahead of reads that are shorter than one.
    pub const fn blocks(block_bytes: u64) -> Self {
        Self {
            reach: Reach {
                window_bytes: 4 * block_bytes,
                step_bytes: block_bytes,
                lead_bytes: 0,
                goes_on: true,
            },
            push: false,
        }
    }
}

enum Job {
    Push(Arc<VirtualFile>, Range<u64>),
    Decode(Arc<VirtualFile>, u64),
    /// Find out in which order its tensors may be read.
    Learn(Arc<VirtualFile>),
    /// Open the file that is read after it, and fetch its start.
    Next(Arc<VirtualFile>),
}

/// Threads that fetch.
#[derive(Debug)]
pub(super) struct Prefetcher(SyncSender<Job>);

impl Prefetcher {
    /// # Errors
    /// `Io` if no thread can be started.
    pub fn start() -> Result<Self> {
        let (wanted, jobs) = sync_channel(WAITING);
        let worker = Arc::new(Worker {
            jobs: Mutex::new(jobs),
            memory: Mutex::new(None),
        });
        for _ in 0..Self::threads() {
            let worker = Arc::clone(&worker);
            std::thread::Builder::new()
                .name("prefetch".into())
                .spawn(move || worker.run())
                .map_err(|e| Error::io("cannot start a thread", e))?;
        }
        Ok(Self(wanted))
    }

    /// How many threads there are.
    pub fn threads() -> usize {
        cores().get().min(MOST_THREADS)
    }

    /// Asks for a part of a file, piece by piece.
    pub fn ask(&self, file: &Arc<VirtualFile>, fetch: &Fetch, push: bool) {
        let counters = &file.shared.prefetched;
        let len = fetch.range.end - fetch.range.start;
        counters.issued.fetch_add(len, Ordering::Relaxed);
        let mut left = len;
        let mut send = |job, bytes: u64| {
            let sent = self.0.try_send(job).is_ok();
            if sent {
                left = left.saturating_sub(bytes);
            }
            sent
        };
        if push && fetch.dense {
            for piece in pieces(&fetch.range, file.bytes()) {
                let bytes = piece.end - piece.start;
                if !send(Job::Push(Arc::clone(file), piece), bytes) {
                    break;
                }
            }
        } else {
            for (block, bytes) in file.blocks_of(&fetch.range) {
                if !send(Job::Decode(Arc::clone(file), block), bytes) {
                    break;
                }
            }
        }
        if left > 0 {
            counters.skipped.fetch_add(left, Ordering::Relaxed);
        }
    }

    /// Asks for the order of a file's tensors; false if there is too much to do.
    pub fn ask_for_order(&self, file: &Arc<VirtualFile>) -> bool {
        self.0.try_send(Job::Learn(Arc::clone(file))).is_ok()
    }

    /// Asks for the file behind this one; false if there is too much to do.
    pub fn ask_for_next(&self, file: &Arc<VirtualFile>) -> bool {
        self.0.try_send(Job::Next(Arc::clone(file))).is_ok()
    }
}

/// Whole pages of a range, in pieces that end at multiples of their length.
fn pieces(range: &Range<u64>, file_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let start = range.start / PAGE_BYTES * PAGE_BYTES;
    let end = range.end.next_multiple_of(PAGE_BYTES).min(file_bytes);
    let mut at = start;
    std::iter::from_fn(move || {
        let piece = at..(at / PIECE_BYTES * PIECE_BYTES + PIECE_BYTES).min(end);
        at = piece.end;
        (piece.start < piece.end).then_some(piece)
    })
}

/// What is stored of a piece: all but the page that the reader is to ask for.
fn without_mark(piece: &Range<u64>) -> Range<u64> {
    let marked = piece.end.is_multiple_of(MARK_BYTES);
    piece.start..piece.end - if marked { PAGE_BYTES } else { 0 }
}

struct Worker {
    jobs: Mutex<Receiver<Job>>,
    /// When it was last looked at, and whether there was enough.
    memory: Mutex<Option<(Instant, bool)>>,
}

impl Worker {
    fn run(&self) {
        loop {
            let Ok(job) = lock(&self.jobs).recv() else {
                return;
            };
            // What fails is told to who reads it.
            let _ = match job {
                Job::Push(file, piece) => self.push(&file, &piece),
                Job::Decode(file, block) => {
                    self.let_readers_go(&file);
                    file.decode_into_cache(block)
                }
                Job::Learn(file) => file.learn_order(),
                Job::Next(file) => {
                    file.fetch_next();
                    Ok(())
                }
            };
        }
    }

    fn push(&self, file: &Arc<VirtualFile>, piece: &Range<u64>) -> Result<()> {
        let wanted = without_mark(piece);
        self.let_readers_go(file);
        let counters = &file.shared.prefetched;
        let skip = |bytes| counters.skipped.fetch_add(bytes, Ordering::Relaxed);
        let Some(cache) = file.shared.page_cache.get() else {
            return Ok(());
        };
        if lock(&file.streams).has_passed(&wanted) || !self.has_memory() {
            skip(wanted.end - wanted.start);
            return Ok(());
        }
        let len = usize::try_from(wanted.end - wanted.start)
            .expect("invariant: a piece is at most PIECE_BYTES");
        file.shared.contexts.with(ReadContext::new, |context| {
            let ReadContext { decoder, buffer } = context;
            buffer.resize(len.max(buffer.len()), 0);
            let buffer = &mut buffer[..len];
            file.fill(wanted.start, buffer, decoder, For::Later)?;
            // Not in the head of the loop, where the lock would be held while storing: a READ that needs
            // it would wait for this thread, which waits for that READ.
            let parts = lock(&file.streams).nobody_reads(wanted.clone());
            for part in parts {
                let at = |offset: u64| {
                    usize::try_from(offset - wanted.start).expect("invariant: inside the piece")
                };
                let bytes = &buffer[at(part.start)..at(part.end)];
                if (cache.store)(file.generation, part.start, bytes).is_ok() {
                    let pushed = part.end - part.start;
                    counters.pushed.fetch_add(pushed, Ordering::Relaxed);
                }
            }
            Ok(())
        })
    }

    fn let_readers_go(&self, file: &VirtualFile) {
        while file.shared.demand.count() >= cores().get() {
            std::thread::sleep(LET_READERS_GO);
        }
    }

    fn has_memory(&self) -> bool {
        let mut memory = lock(&self.memory);
        match *memory {
            Some((when, enough)) if when.elapsed() < LOOK_AGAIN => enough,
            _ => {
                let enough = available_bytes().is_none_or(|bytes| bytes >= LEAST_AVAILABLE_BYTES);
                *memory = Some((Instant::now(), enough));
                enough
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_pages_and_leave_marks_out() {
        let mib = 1 << 20;
        let file = 10 * mib + 5;
        let found: Vec<_> = pieces(&(mib / 2 + 100..2 * mib + 50), file).collect();
        assert_eq!(found, [mib / 2..mib, mib..2 * mib, 2 * mib..2 * mib + 4096]);
        assert_eq!(without_mark(&found[0]), found[0]);
        assert_eq!(without_mark(&found[1]), mib..2 * mib - 4096);
        let found: Vec<_> = pieces(&(10 * mib..file), file).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0], 10 * mib..file, "the last page as far as it goes");
        assert_eq!(without_mark(&found[0]), found[0]);
        assert!(pieces(&(5..5), 4096).count() <= 1);
    }
}
