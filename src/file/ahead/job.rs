//! What is asked of the threads that fetch.

use std::ops::Range;
use std::sync::Weak;

use super::readers::Readers;
use super::streams::Ask;
use crate::file::entry::Entry;

/// Something to do.
pub(super) enum Job {
    /// For a file; nothing is done for one that nobody has open any more.
    File {
        entry: Weak<Entry>,
        readers: Weak<Readers>,
        task: Task,
    },
    /// Open the file that is read after the one of a generation, and fetch its start: into the page cache or
    /// not. That one may be closed already; then the next is opened any moment.
    Next { generation: u64, push: bool },
}

/// Something to do for a file.
pub(super) enum Task {
    /// Have the storage make ready what is stored of a range of the file.
    Ask(Ask),
    /// Decode a piece and push it into the page cache.
    Push(Range<u64>),
    /// Decode a block, of which so many bytes are wanted, into the cache here.
    Decode { block: u64, bytes: u64 },
    /// Find out in which order its tensors may be read.
    Learn,
}
