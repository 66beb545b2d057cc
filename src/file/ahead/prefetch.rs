//! Fetching ahead of readers, on threads of its own.
//!
//! Ordinary users have a kernel that reads 128 KiB ahead, too little to keep two processors busy. For
//! them whole pieces are decoded ahead and pushed into the kernel's page cache, where the reader finds
//! them without asking. A page is left out here and there: reading it tells how far the reader is.
//!
//! It has two stages: the storage is asked for the bytes of what comes next, all in one go and further
//! than anything is decoded, so that who decodes waits for none of it (`Task::Ask`); then they are
//! decoded. Jobs wait in a queue of some length, and who asks for more is not heard (backpressure).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::job::{Job, Task};
use super::page_cache::pieces;
use super::readers::Readers;
use super::streams::{Fetch, Findings};
use super::wiring::Wiring;
use super::worker::Worker;
use crate::file::entry::Entry;
use crate::os::start_thread;
use crate::sync::cores;

/// Jobs that may wait.
const ENOUGH_WAITING: usize = 64;
/// More threads do not make a reader faster.
const ENOUGH_THREADS: usize = 4;

/// Threads that fetch.
pub(in crate::file) struct Prefetcher {
    jobs: SyncSender<Job>,
    threads: usize,
    wiring: Arc<Wiring>,
}

/// A file that something is fetched of.
#[derive(Clone, Copy)]
pub(in crate::file) struct Target<'a> {
    pub entry: &'a Arc<Entry>,
    pub readers: &'a Arc<Readers>,
}

impl Prefetcher {
    /// Starts them, or as many as the system lets be started; `None` if that is none.
    pub fn start() -> Option<Self> {
        let (wanted, jobs) = sync_channel(ENOUGH_WAITING);
        let wiring = Arc::new(Wiring::default());
        let worker = Arc::new(Worker::new(jobs, Arc::clone(&wiring)));
        let start = |_| {
            let worker = Arc::clone(&worker);
            start_thread("prefetch", move || worker.run())
                .inspect_err(|error| tracing::warn!("fetching ahead with fewer threads: {error}"))
                .ok()
        };
        let wanted_threads = cores().get().min(ENOUGH_THREADS);
        let threads = (0..wanted_threads).map_while(start).count();
        (threads > 0).then_some(Self {
            jobs: wanted,
            threads,
            wiring,
        })
    }

    /// How many threads there are.
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// What the threads are connected to.
    pub fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// Asks for what a read has led to: bytes of the storage first.
    pub fn ask_for(&self, target: Target<'_>, findings: &Findings, push: bool) {
        for ask in &findings.asks {
            // It is but a hint, and what was not asked for is read all the same.
            let _ = self.send(target, Task::Ask(ask.clone()));
        }
        for fetch in &findings.fetches {
            self.fetch(target, fetch, push);
        }
    }

    /// Asks for a part of a file, piece by piece.
    fn fetch(&self, target: Target<'_>, fetch: &Fetch, push: bool) {
        let counters = &self.wiring.counters;
        let len = fetch.range.end - fetch.range.start;
        counters.issued.fetch_add(len, Ordering::Relaxed);
        let mut left = len;
        let mut send = |task, bytes: u64| {
            let sent = self.send(target, task);
            if sent {
                left = left.saturating_sub(bytes);
            }
            sent
        };
        if push && fetch.dense {
            for piece in pieces(&fetch.range, target.entry.bytes()) {
                let bytes = piece.end - piece.start;
                if !send(Task::Push(piece), bytes) {
                    break;
                }
            }
        } else {
            for (block, bytes) in target.entry.blocks_of(&fetch.range) {
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
    pub fn ask_for_order(&self, target: Target<'_>) -> bool {
        self.send(target, Task::Learn)
    }

    /// Asks for the file behind the one of a generation; false if there is too much to do.
    pub fn ask_for_next(&self, generation: u64, push: bool) -> bool {
        self.jobs.try_send(Job::Next { generation, push }).is_ok()
    }

    fn send(&self, target: Target<'_>, task: Task) -> bool {
        let job = Job::File {
            entry: Arc::downgrade(target.entry),
            readers: Arc::downgrade(target.readers),
            task,
        };
        self.jobs.try_send(job).is_ok()
    }
}
