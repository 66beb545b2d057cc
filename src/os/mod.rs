//! What the system says and does: memory, page cache, positional file I/O, paths, access
//! lists, processes.
//!
//! Knows nothing of archives.

mod access_list;
mod attribute;
mod control_group;
mod fuse_mount;
mod memory;
mod memory_limit;
mod mounts;
mod page_cache;
mod paths;
mod positional;
mod pressure;
mod process;
mod threads;
mod walk;
mod write_back;
mod writers;

pub use access_list::{ACCESS_LIST, DEFAULT_ACCESS_LIST, access_list};
pub use attribute::{attribute, handle_path};
pub use fuse_mount::{Entrance, entrance};
pub use memory::{
    keep_allocations_apart, memory_bytes, memory_bytes_of, page_bytes, use_one_heap, zeroed,
};
pub use memory_limit::{BoundBy, MemoryLimit, address_space_left, memory_limit, own_limit};
pub use mounts::{MountLine, mount_id, mounts};
pub use page_cache::cached_bytes;
pub use paths::{MAX_LINKS, MAX_NAME_BYTES, leads_out};
pub use positional::{FileStamp, read_full_at, system_time, write_all_at};
pub use pressure::AvailableMemory;
pub use process::{ending_signals, first_line, limits_hint};
pub use threads::{in_scope, start_thread, startable_threads};
pub use walk::{Walked, walk};
pub use write_back::{drop_cached, start_write_back};
pub use writers::{Lease, is_open_for_writing};
