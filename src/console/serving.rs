//! Arguments of all commands that serve a mount.

use std::num::NonZeroUsize;

use super::size;
use crate::fuse::MountOptions;

/// How a mount answers reads.
#[derive(Debug, clap::Args)]
pub(crate) struct ServingArgs {
    /// Memory for all that is decoded: blocks that are kept for further reads, and those in hand
    /// [default: 256M, or a quarter of what the process may have, whichever is less]
    #[arg(long, value_name = "SIZE", value_parser = size::parse_usize)]
    cache_size: Option<usize>,
    /// Threads that answer reads, 1 to 256 [default: two a core, fewer where memory is limited]
    #[arg(long, value_name = "N", value_parser = mount_threads)]
    threads: Option<NonZeroUsize>,
    /// How far the kernel reads ahead of a sequential reader (only root can change it; other users
    /// get 128K)
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = size::parse)]
    readahead: u64,
}

impl ServingArgs {
    pub(crate) fn options(&self) -> MountOptions {
        let mut options = MountOptions {
            readahead_bytes: self.readahead,
            ..MountOptions::default()
        };
        if let Some(cache_bytes) = self.cache_size {
            options.cache_bytes = cache_bytes;
        }
        if let Some(threads) = self.threads {
            options.threads = threads;
        }
        options
    }
}

/// How many threads a job may have.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is not a number of threads, 1 or more"))
}

/// How many threads may answer a mount.
pub(crate) fn mount_threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .ok()
        .filter(|threads: &NonZeroUsize| threads.get() <= 256)
        .ok_or_else(|| format!("'{text}' is not a number of threads from 1 to 256"))
}

/// A time that somebody may want to wait.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=1e6).contains(seconds))
        .ok_or_else(|| format!("'{text}' is not a number of seconds from 0 to 1000000"))
}
