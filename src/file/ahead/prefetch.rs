//! Fetching ahead of readers, on threads of its own.
//!
//! Ordinary users have a kernel that reads 128 KiB ahead, too little to keep two processors busy. For
//! them whole pieces are decoded ahead and pushed into the kernel's page cache, where the reader finds
//! them without asking. A page is left out here and there: reading it tells how far the reader is.
//!
//! Storing pages whose READ is unanswered waits in the kernel until it is answered. So a READ never
//! waits for one of these threads but for a block that it is decoding just then, and while a thread
//! stores it holds neither a lock nor a block that somebody waits for. Readers go first: no data are
//! decoded here while they keep all processors busy, nor while memory is short.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::streams::{Fetch, Reach};
use crate::error::{Error, Result};
use crate::file::shared::ReadContext;
use crate::file::{For, VirtualFile};
use crate::os::{available_bytes, page_bytes};
use crate::sync::{cores, lock};

/// Jobs that may wait; who asks for more is not heard.
const WAITING: usize = 64;
/// More threads do not make a reader faster.
const MOST_THREADS: usize = 4;
/// What is decoded and pushed at once.
const PIECE_BYTES: u64 = 1 << 20;
/// The last page before each multiple of this is not pushed.
const MARK_BYTES: u64 = 2 << 20;
/// While less memory is to be had, nothing is fetched ahead.
const LEAST_AVAILABLE_BYTES: u64 = 256 << 20;
/// How long the answer to that is believed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long to let readers go first before looking again.
const LET_READERS_GO: Duration = Duration::from_micros(100);
/// Who is kept so long by readers gives up: the reader will be there first, or all wait for a disk.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

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
pub(in crate::file) struct Manner {
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

    /// Nothing, where the reader goes on.
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

struct Job {
    /// Nothing is done for a file that nobody has open any more.
    file: Weak<VirtualFile>,
    task: Task,
}

enum Task {
    Push(Range<u64>),
    Decode {
        block: u64,
        bytes: u64,
    },
    /// Find out in which order its tensors may be read.
    Learn,
    /// Open the file that is read after it, and fetch its start: into the page cache or not.
    Next {
        push: bool,
    },
}

/// Threads that fetch.
#[derive(Debug)]
pub(in crate::file) struct Prefetcher(SyncSender<Job>);

impl Prefetcher {
    /// # Errors
    /// `Io` if no thread can be started.
    pub fn start() -> Result<Self> {
        let (wanted, jobs) = sync_channel(WAITING);
        let worker = Arc::new(Worker {
            jobs: Mutex::new(jobs),
            cores: cores().get(),
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
        let mut send = |task, bytes: u64| {
            let sent = self.send(file, task);
            if sent {
                left = left.saturating_sub(bytes);
            }
            sent
        };
        if push && fetch.dense {
            for piece in pieces(&fetch.range, file.bytes()) {
                let bytes = piece.end - piece.start;
                if !send(Task::Push(piece), bytes) {
                    break;
                }
            }
        } else {
            for (block, bytes) in file.blocks_of(&fetch.range) {
                if !send(Task::Decode { block, bytes }, bytes) {
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
        self.send(file, Task::Learn)
    }

    /// Asks for the file behind this one; false if there is too much to do.
    pub fn ask_for_next(&self, file: &Arc<VirtualFile>, push: bool) -> bool {
        self.send(file, Task::Next { push })
    }

    fn send(&self, file: &Arc<VirtualFile>, task: Task) -> bool {
        let file = Arc::downgrade(file);
        self.0.try_send(Job { file, task }).is_ok()
    }
}

/// Whole pages of a range, in pieces that end at multiples of their length.
fn pieces(range: &Range<u64>, file_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let page = page_bytes();
    let start = range.start / page * page;
    let end = range.end.next_multiple_of(page).min(file_bytes);
    let mut at = start;
    std::iter::from_fn(move || {
        let piece = at..(at / PIECE_BYTES * PIECE_BYTES + PIECE_BYTES).min(end);
        at = piece.end;
        (piece.start < piece.end).then_some(piece)
    })
}

/// What is stored of a piece: all but the page that the reader is to ask for.
fn without_mark(piece: &Range<u64>) -> Range<u64> {
    let mark = if piece.end.is_multiple_of(MARK_BYTES) {
        page_bytes()
    } else {
        0
    };
    piece.start..piece.end.saturating_sub(mark)
}

struct Worker {
    jobs: Mutex<Receiver<Job>>,
    /// Asked for once: the system reads files for it.
    cores: usize,
    /// When it was last looked at, and whether there was enough.
    memory: Mutex<Option<(Instant, bool)>>,
}

impl Worker {
    fn run(&self) {
        loop {
            let Ok(Job { file, task }) = lock(&self.jobs).recv() else {
                return;
            };
            let Some(file) = file.upgrade() else { continue };
            // A panic would be a mistake of ours; it must not cost everybody this thread. What fails is
            // told to who reads it.
            let done = catch_unwind(AssertUnwindSafe(|| self.carry_out(&file, &task)));
            if done.is_err() {
                tracing::error!("fetching ahead panicked");
            }
        }
    }

    fn carry_out(&self, file: &Arc<VirtualFile>, task: &Task) -> Result<()> {
        let skip = |bytes| {
            let counter = &file.shared.prefetched.skipped;
            counter.fetch_add(bytes, Ordering::Relaxed);
        };
        match task {
            Task::Push(piece) => {
                let wanted = without_mark(piece);
                if wanted.is_empty() {
                    return Ok(());
                }
                if self.is_free_for(file) && !lock(&file.streams).has_passed(&wanted) {
                    return push(file, &wanted);
                }
                skip(wanted.end - wanted.start);
                Ok(())
            }
            Task::Decode { block, bytes } => {
                if self.is_free_for(file) {
                    return file.decode_into_cache(*block);
                }
                skip(*bytes);
                Ok(())
            }
            Task::Learn => file.learn_order(),
            Task::Next { push } => {
                file.fetch_next(*push);
                Ok(())
            }
        }
    }

    /// Waits a little for readers who keep the processors busy; true if there is something left for
    /// those who may come later.
    fn is_free_for(&self, file: &VirtualFile) -> bool {
        let since = Instant::now();
        while file.shared.demand.count() >= self.cores {
            if since.elapsed() > LONGEST_WAIT {
                return false;
            }
            std::thread::sleep(LET_READERS_GO);
        }
        self.has_memory()
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

/// Decodes a range and stores what nobody is reading of it.
fn push(file: &VirtualFile, wanted: &Range<u64>) -> Result<()> {
    let Some(cache) = file.shared.page_cache.get() else {
        return Ok(());
    };
    let len = usize::try_from(wanted.end - wanted.start)
        .expect("invariant: a piece is at most PIECE_BYTES");
    file.shared.contexts.with(ReadContext::new, |context| {
        let (decoder, buffer) = context.with_len(len);
        file.fill(wanted.start, buffer, decoder, For::Later)?;
        // Not in the head of the loop, where the lock would be held while storing: a READ that needs it
        // would wait for this thread, which waits for that READ.
        let parts = lock(&file.streams).nobody_reads(wanted.clone());
        for part in parts {
            let at = |offset: u64| {
                usize::try_from(offset - wanted.start).expect("invariant: inside the piece")
            };
            let bytes = &buffer[at(part.start)..at(part.end)];
            if (cache.store)(file.generation, part.start, bytes).is_ok() {
                let pushed = part.end - part.start;
                let counter = &file.shared.prefetched.pushed;
                counter.fetch_add(pushed, Ordering::Relaxed);
            }
        }
        Ok(())
    })
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
