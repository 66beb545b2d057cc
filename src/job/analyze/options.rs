//! Options of analyzing.

use std::num::NonZeroUsize;

/// How to analyze.
#[derive(Debug, Clone, Copy)]
pub struct AnalyzeOptions {
    /// Bytes to look at, about.
    pub sample_bytes: u64,
    /// Threads that count and encode.
    pub threads: NonZeroUsize,
}
