//! What the system says and does: memory, page cache, positional file I/O, paths, access
//! lists, processes.
//!
//! Knows nothing of archives.

mod access_list;
mod acting;
mod attribute;
mod attributes;
mod background;
mod control_group;
mod disk_read;
mod file_handle;
mod fuse_mount;
mod large_folios;
mod machine;
mod memory;
mod memory_limit;
mod mount_users;
mod mounts;
mod page_buffer;
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
pub use acting::{Acting, User, act_as};
pub use attribute::{attribute, handle_path};
pub use attributes::copy_attributes;
pub use background::stand_back;
pub use disk_read::{DiskRead, read_disk};
pub use file_handle::file_handle;
pub use fuse_mount::{Entrance, entrance};
pub use large_folios::has_large_folios;
pub use machine::{cpu, kernel};
pub use memory::{
    keep_allocations_apart, memory_bytes, memory_bytes_of, page_bytes, use_one_heap, zeroed,
};
pub use memory_limit::{BoundBy, MemoryLimit, address_space_left, memory_limit, own_limit};
pub use mount_users::{MountUser, MountUsers, users_of};
pub use mounts::{MountLine, mount_id, mounts};
pub use page_buffer::PageBuffer;
pub use page_cache::cached_bytes;
pub use paths::{MAX_LINKS, MAX_NAME_BYTES, leads_out};
pub use positional::{
    FileStamp, nanoseconds, read_full_at, since_epoch, system_time, timespec, write_all_at,
};
pub use pressure::{AvailableMemory, MemoryPressure};
pub use process::{ending_signals, first_line, limits_hint};
pub use threads::{in_scope, start_thread, startable_threads};
pub use walk::{Walked, walk};
pub use write_back::{drop_cached, start_write_back};
pub use writers::{Lease, is_open_for_writing, is_written_by_lease};
