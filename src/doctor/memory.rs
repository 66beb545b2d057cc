//! What memory this process, and a mount started where it is, may have.

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::found::Found;
use crate::file::ReadShared;
use crate::fuse::MountOptions;
use crate::os::{AvailableMemory, memory_limit};

/// Limits, and what a mount makes of them by default.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MemoryFacts {
    /// The tightest limit.
    pub(crate) limit_bytes: Found<u64>,
    /// What sets it.
    pub(crate) limit_by: Option<String>,
    /// What can be had now without taking it from anybody.
    pub(crate) available_bytes: Found<u64>,
    /// The default of `--cache-size` here.
    pub(crate) cache_bytes: u64,
    /// The default of `--threads` here.
    pub(crate) threads: usize,
    /// What such a mount holds at most.
    pub(crate) most_bytes: u64,
    /// Files that a mount started here can have open; `None` for no limit.
    pub(crate) open_files: Option<u64>,
}

impl MemoryFacts {
    /// Asks the system.
    pub(super) fn gather() -> Self {
        let limit = memory_limit();
        let options = MountOptions::default();
        let told = |bytes: Option<u64>| match bytes {
            Some(bytes) => Found::Known(bytes),
            None => Found::unknown("/proc/meminfo and the control groups do not tell"),
        };
        Self {
            limit_bytes: told(limit.map(|limit| limit.bytes)),
            limit_by: limit.map(|limit| limit.by.to_string()),
            available_bytes: told(AvailableMemory::of_this_process().bytes()),
            cache_bytes: options.cache_bytes as u64,
            threads: options.threads.get(),
            most_bytes: ReadShared::most_bytes(options.cache_bytes, options.threads) as u64,
            // A mount raises its own to this (`allow_all_files`).
            open_files: getrlimit(Resource::Nofile).maximum,
        }
    }
}
