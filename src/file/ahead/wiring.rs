//! What fetching ahead is connected to: the kernel's page cache, the files behind those that are read,
//! and the counters.

use std::sync::OnceLock;

use super::page_cache::PageCache;
use crate::file::stats::PrefetchCounters;

/// Opens the file that is read after the one of a generation, as the next part of a model is, and has its
/// start fetched: into the page cache too, if that is said. It keeps it open for a while.
pub type OpenNext = Box<dyn Fn(u64, bool) + Send + Sync>;

/// What fetching ahead is connected to.
#[derive(Default)]
pub(in crate::file) struct Wiring {
    /// Where to push what is fetched ahead, once there is a kernel.
    page_cache: OnceLock<PageCache>,
    open_next: OnceLock<OpenNext>,
    pub counters: PrefetchCounters,
}

impl Wiring {
    /// Has what is fetched ahead pushed into the page cache from now on.
    pub fn push_into(&self, page_cache: PageCache) {
        let _ = self.page_cache.set(page_cache);
    }

    /// The kernel's page cache, if it is pushed into.
    pub fn page_cache(&self) -> Option<&PageCache> {
        self.page_cache.get()
    }

    /// Says how the file behind one is opened.
    pub fn open_next_with(&self, open_next: OpenNext) {
        let _ = self.open_next.set(open_next);
    }

    /// Opens the file behind the one of a generation, if there is one and somebody knows how.
    pub fn open_next(&self, generation: u64, push: bool) {
        if let Some(open_next) = self.open_next.get() {
            open_next(generation, push);
        }
    }
}
