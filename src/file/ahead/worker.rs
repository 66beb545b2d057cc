//! The threads that fetch: what they do, and when they had better not.
//!
//! Storing pages whose READ is unanswered waits in the kernel until it is answered. So a READ never
//! waits for one of these threads but for a block that it is decoding just then, and while a thread
//! stores it holds neither a lock nor a block that somebody waits for. Readers go first: no data are
//! decoded here while they keep all processors busy, nor while memory is short.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::job::{Job, Task};
use super::order::Order;
use super::page_cache::without_mark;
use super::readers::Readers;
use super::wiring::Wiring;
use crate::error::Result;
use crate::file::decoding::{For, ReadContext};
use crate::file::entry::Entry;
use crate::sync::{cores, lock};

/// While less memory is to be had, nothing is fetched ahead.
pub const ENOUGH_AVAILABLE_BYTES: u64 = 256 << 20;
/// How long to let readers go first before looking again.
const LET_READERS_GO: Duration = Duration::from_micros(100);
/// Who is kept so long by readers gives up: the reader will be there first, or all wait for a disk.
const MAX_WAIT: Duration = Duration::from_millis(20);

/// What the threads that fetch share.
pub(super) struct Worker {
    jobs: Mutex<Receiver<Job>>,
    /// Asked for once: the system reads files for it.
    cores: usize,
    wiring: Arc<Wiring>,
}

impl Worker {
    pub fn new(jobs: Receiver<Job>, wiring: Arc<Wiring>) -> Self {
        Self {
            jobs: Mutex::new(jobs),
            cores: cores().get(),
            wiring,
        }
    }

    /// Carries out jobs until nobody is left who could ask for one.
    pub fn run(&self) {
        loop {
            let Ok(job) = lock(&self.jobs).recv() else {
                return;
            };
            // A panic would be a mistake of ours; it must not cost everybody this thread. What fails is
            // told to who reads it.
            let done = catch_unwind(AssertUnwindSafe(|| self.carry_out(&job)));
            if done.is_err() {
                tracing::error!("fetching ahead panicked");
            }
        }
    }

    fn carry_out(&self, job: &Job) -> Result<()> {
        match job {
            Job::File {
                entry,
                readers,
                task,
            } => match (entry.upgrade(), readers.upgrade()) {
                (Some(entry), Some(readers)) => self.fetch(&entry, &readers, task),
                _ => Ok(()),
            },
            Job::Next { generation, push } => {
                let push = *push && self.wiring.page_cache().is_some();
                self.wiring.open_next(*generation, push);
                Ok(())
            }
        }
    }

    fn fetch(&self, entry: &Entry, readers: &Readers, task: &Task) -> Result<()> {
        let skip = |bytes| {
            let counter = &self.wiring.counters.skipped;
            counter.fetch_add(bytes, Ordering::Relaxed);
        };
        match task {
            Task::Ask(ask) => {
                if has_memory(entry) {
                    return entry.ask_for(&ask.range, ask.goes_on);
                }
            }
            Task::Push(piece) => {
                let wanted = without_mark(piece);
                if wanted.is_empty() {
                    return Ok(());
                }
                if self.is_free_for(entry) && !lock(&readers.streams).has_passed(&wanted) {
                    return self.push(entry, readers, &wanted);
                }
                skip(wanted.end - wanted.start);
            }
            Task::Decode { block, bytes } => {
                if self.is_free_for(entry) {
                    return entry.decode_into_cache(*block);
                }
                skip(*bytes);
            }
            Task::Learn => {
                let _ = readers.order.set(Order::learn(entry)?);
            }
        }
        Ok(())
    }

    /// Waits a little for readers who keep the processors busy; true if there is something left for
    /// those who may come later.
    fn is_free_for(&self, entry: &Entry) -> bool {
        let since = Instant::now();
        while entry.decoding().demand.count() >= self.cores {
            if since.elapsed() > MAX_WAIT {
                return false;
            }
            std::thread::sleep(LET_READERS_GO);
        }
        has_memory(entry)
    }

    /// Decodes a range and stores what nobody is reading of it.
    fn push(&self, entry: &Entry, readers: &Readers, wanted: &Range<u64>) -> Result<()> {
        let Some(cache) = self.wiring.page_cache() else {
            return Ok(());
        };
        let len = usize::try_from(wanted.end - wanted.start)
            .expect("invariant: a piece is at most PIECE_BYTES");
        entry.decoding().contexts.with(ReadContext::new, |context| {
            let (decoder, buffer) = context.with_len(len)?;
            entry.fill(wanted.start, buffer, decoder, For::Later)?;
            // Not in the head of the loop, where the lock would be held while storing: a READ that needs it
            // would wait for this thread, which waits for that READ.
            let parts = lock(&readers.streams).nobody_reads(wanted.clone());
            for part in parts {
                let at = |offset: u64| {
                    usize::try_from(offset - wanted.start).expect("invariant: inside the piece")
                };
                let bytes = &buffer[at(part.start)..at(part.end)];
                if (cache.store)(entry.generation(), part.start, bytes).is_ok() {
                    let pushed = part.end - part.start;
                    let counter = &self.wiring.counters.pushed;
                    counter.fetch_add(pushed, Ordering::Relaxed);
                }
            }
            Ok(())
        })
    }
}

fn has_memory(entry: &Entry) -> bool {
    entry.decoding().memory.available_bytes() >= ENOUGH_AVAILABLE_BYTES
}
