//! The file an archive stands for, read at any offset through the cache, and ahead of its readers.

mod ahead;
mod cache;
mod decoding;
mod entries;
mod entry;
mod memory;
mod shared;
mod stats;
mod virtual_file;

pub use ahead::page_cache::PageCache;
pub use ahead::wiring::OpenNext;
pub use ahead::worker::ENOUGH_AVAILABLE_BYTES;
pub use entries::Entries;
pub use entry::Entry;
pub use memory::ROOM_PART;
pub use shared::{ENOUGH_TO_PREFETCH_BYTES, ReadShared, THREAD_BYTES};
pub use stats::{CacheStats, PrefetchStats, READ_SIZES, ReadStats};
pub use virtual_file::VirtualFile;
