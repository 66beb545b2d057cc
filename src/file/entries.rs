//! Files that share a cache and nothing else: for those who read archives beside each other without a mount.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::decoding::Decoding;
use super::entry::Entry;
use crate::archive::ArchiveReader;

/// Makes entries that share a cache.
pub struct Entries {
    decoding: Arc<Decoding>,
    next: AtomicU64,
}

impl Entries {
    /// For about as many reads at once as there are `threads`, and so many bytes of decoded blocks.
    pub fn new(cache_bytes: usize, threads: NonZeroUsize) -> Self {
        Self {
            decoding: Arc::new(Decoding::new(cache_bytes, threads)),
            next: AtomicU64::new(0),
        }
    }

    /// The file of an archive.
    pub fn entry(&self, archive: ArchiveReader) -> Entry {
        let generation = self.next.fetch_add(1, Ordering::Relaxed);
        Entry::new(archive, generation, Arc::clone(&self.decoding))
    }
}
