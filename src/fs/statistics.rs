//! What a mount has done.

use serde::{Deserialize, Serialize};

use crate::file::{CacheStats, PrefetchStats, ReadStats};

/// What a mount has done since it was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// What was packed behind those who wrote it, if that is wanted.
    #[serde(default)]
    pub packing: Option<PackingStats>,
}

/// What a mount has packed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackingStats {
    /// Files that wait for their time, some of which may turn out to be no models.
    pub queued_files: u64,
    /// How long they are.
    pub queued_bytes: u64,
    /// The one that is being packed.
    pub packing: Option<String>,
    /// What packing waits for, if it is due and does.
    pub waits_for: Option<String>,
    /// Files that were packed.
    pub packed_files: u64,
    /// How long they are.
    pub original_bytes: u64,
    /// Bytes of the disk that saves.
    pub saved_bytes: u64,
    /// Files that could not be packed.
    pub failed_files: u64,
    /// The last of them, and why.
    pub last_failure: Option<String>,
}
