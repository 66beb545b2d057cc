//! What the system says and does: memory, page cache, positional file I/O, paths, processes.
//!
//! Knows nothing of archives.

mod memory;
mod page_cache;
mod paths;
mod positional;
mod pressure;
mod process;
mod walk;
mod write_back;

pub use memory::{keep_allocations_apart, memory_bytes, memory_bytes_of, page_bytes};
pub use page_cache::cached_bytes;
pub use paths::leads_out;
pub use positional::{FileStamp, read_full_at, system_time, write_all_at};
pub use pressure::available_bytes;
pub use process::first_line;
pub use walk::{Walked, walk};
pub use write_back::{drop_cached, start_write_back};
