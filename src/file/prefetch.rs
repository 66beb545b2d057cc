//! Decoding ahead of readers that go through a file in reads shorter than a block, one at a time, as
//! the kernel does for ordinary users: the next block is decoded while the kernel and the reader are
//! busy with this one.
//!
//! A thread of its own decodes into the cache, within its budget, and never answers anybody; a read
//! never waits for it, only for a block that it is decoding just then. Whoever asks while it has
//! enough to do is not heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::VirtualFile;
use crate::error::{Error, Result};

/// Blocks that may wait.
const WAITING: usize = 8;
/// A reader must have read so much without a gap: who looks at a header wants no more.
const LEAST_RUN_BYTES: u64 = 512 << 10;
/// Blocks that are asked for ahead of a reader.
const AHEAD: u64 = 2;

/// Where a reader of an open file is.
#[derive(Debug, Default)]
pub struct Run {
    /// Where it began to read without a gap.
    start: AtomicU64,
    /// Where its last read has ended.
    end: AtomicU64,
}

impl Run {
    /// Notes a read; true if it goes on where a long run has ended. Reads that come at once may be
    /// mixed up, which costs or saves one prefetch.
    pub(super) fn goes_on(&self, offset: u64, len: u64) -> bool {
        let end = self.end.swap(offset + len, Ordering::Relaxed);
        if end != offset {
            self.start.store(offset, Ordering::Relaxed);
            return false;
        }
        offset + len - self.start.load(Ordering::Relaxed) >= LEAST_RUN_BYTES
    }
}

/// Blocks to decode.
#[derive(Debug)]
pub(super) struct Prefetcher(SyncSender<(Arc<VirtualFile>, u64)>);

impl Prefetcher {
    /// # Errors
    /// `Io` if no thread can be started.
    pub fn start() -> Result<Self> {
        let (wanted, blocks) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("prefetch".into())
            .spawn(move || decode_all(&blocks))
            .map_err(|e| Error::io("cannot start a thread", e))?;
        Ok(Self(wanted))
    }

    /// Asks for the blocks behind `block`.
    pub fn ask_behind(&self, file: &Arc<VirtualFile>, block: u64) {
        for next in (1..=AHEAD).map(|ahead| block + ahead) {
            if file.is_cached(next) {
                continue;
            }
            // Full: there is enough to do.
            if self.0.try_send((Arc::clone(file), next)).is_err() {
                return;
            }
        }
    }
}

fn decode_all(blocks: &Receiver<(Arc<VirtualFile>, u64)>) {
    for (file, block) in blocks {
        // What is damaged is told to who reads it.
        let _ = file.prefetch(block);
    }
}
