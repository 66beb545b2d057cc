//! What a mount has done.

use serde::{Deserialize, Serialize};

use crate::file::{CacheStats, PrefetchStats, ReadStats};

/// What a mount has done since it was made.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct MountStats {
    /// Time since then.
    pub seconds: f64,
    /// Files that are open.
    pub open_files: usize,
    /// Of those, files of lossy archives.
    pub open_lossy_files: usize,
    /// Of those, files of which blocks rest on a base that is not there.
    #[serde(default)]
    pub open_files_without_base: usize,
    /// Memory of the process that is its own, if the system tells.
    pub memory_bytes: Option<u64>,
    /// True if SRC names something else now than what is shown, or nothing.
    pub source_changed: bool,
    /// What was read.
    pub reads: ReadStats,
    /// What the cache of decoded blocks has done.
    pub cache: CacheStats,
    /// What was fetched ahead of readers.
    pub prefetch: PrefetchStats,
}
