//! What the system says and does: memory, page cache, positional file I/O, paths, processes.
//!
//! Knows nothing of archives.

mod control_group;
mod memory;
mod memory_limit;
mod page_cache;
mod paths;
mod positional;
mod pressure;
mod process;
mod threads;
mod write_back;

pub use memory::{
    keep_allocations_apart, memory_bytes, memory_bytes_of, page_bytes, use_one_heap, zeroed,
};
pub use memory_limit::{BoundBy, MemoryLimit, address_space_left, memory_limit, own_limit};
pub use page_cache::cached_bytes;
pub use paths::leads_out;
pub use positional::{FileStamp, read_full_at, system_time, write_all_at};
pub use pressure::AvailableMemory;
pub use process::{first_line, limits_hint};
pub use threads::{in_scope, start_thread, startable_threads};
pub use write_back::{drop_cached, start_write_back};
