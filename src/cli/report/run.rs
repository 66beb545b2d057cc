//! A run of `pack`, and its parameters.

use std::num::NonZeroUsize;
use std::path::Path;

use serde_json::{Value, json};

use crate::console::size::ratio;
use crate::job::{Conversion, FileOutlay};

/// A run of `pack`.
pub(in crate::cli) struct Run<'a> {
    pub(in crate::cli) source: &'a Path,
    pub(in crate::cli) level: &'a str,
    pub(in crate::cli) codec: &'a str,
    pub(in crate::cli) block_bytes: Option<u32>,
    pub(in crate::cli) threads: NonZeroUsize,
    pub(in crate::cli) done: &'a Conversion,
    pub(in crate::cli) seconds: f64,
}

impl Run<'_> {
    /// For self.json.
    pub(super) fn json(&self, files: &[FileOutlay]) -> Value {
        let totals = &self.done.totals;
        let tensors = || files.iter().flat_map(|file| &file.tensors);
        let arguments = std::env::args_os().skip(1);
        let failures = &self.done.failures;
        json!({
            "weightfs": env!("CARGO_PKG_VERSION"),
            // Patterns, settings of single tensors and all else that was given.
            "arguments": arguments.map(|one| one.to_string_lossy().into_owned()).collect::<Vec<_>>(),
            "source": self.source.display().to_string(),
            "path": self.done.path.display().to_string(),
            "level": self.level,
            "codec": self.codec,
            "block_bytes": self.block_bytes,
            "threads": self.threads,
            "seconds": self.seconds,
            "original_bytes": totals.original_bytes,
            "stored_bytes": totals.stored_bytes,
            "ratio": ratio(totals.original_bytes, totals.stored_bytes),
            "archives": totals.archives,
            "copied": totals.copied,
            "unshrunk": totals.unshrunk,
            "tensors": tensors().count(),
            "lossy_tensors": tensors().filter(|tensor| tensor.fidelity.is_some()).count(),
            "failed": failures.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "shards": files.iter().map(|file| json!({
                "path": file.path.display().to_string(),
                "original_bytes": file.original_bytes,
                "stored_bytes": file.stored_bytes,
            })).collect::<Vec<_>>(),
        })
    }
}
