//! What is asked of the threads that fetch.

use std::ops::Range;
use std::sync::Weak;

use super::readers::Readers;
use crate::file::entry::Entry;

/// Something to do for a file; nothing is done for one that nobody has open any more.
pub(super) struct Job {
    pub entry: Weak<Entry>,
    pub readers: Weak<Readers>,
    pub task: Task,
}

pub(super) enum Task {
    /// Have the storage make ready what is stored of a range of the file.
    Ask(Range<u64>),
    /// Decode a piece and push it into the page cache.
    Push(Range<u64>),
    /// Decode a block, of which so many bytes are wanted, into the cache here.
    Decode { block: u64, bytes: u64 },
    /// Find out in which order its tensors may be read.
    Learn,
    /// Open the file that is read after it, and fetch its start: into the page cache or not.
    Next { push: bool },
}
