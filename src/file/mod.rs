//! The file an archive stands for, read at any offset through the cache, and ahead of its readers.

mod ahead;
mod cache;
mod decoding;
mod entry;
mod memory;
mod shared;
mod stats;
mod virtual_file;

pub use ahead::page_cache::PageCache;
pub use ahead::wiring::OpenNext;
pub use entry::Entry;
pub use shared::{ReadShared, THREAD_BYTES};
pub use stats::{CacheStats, PrefetchStats, READ_SIZES, ReadStats};
pub use virtual_file::VirtualFile;
