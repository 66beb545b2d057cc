//! The jobs of the command line on files and directories: pack, unpack, verify, inspect,
//! analyze.
//!
//! Invariant: each file that is made appears whole and checked, or not at all, and so does a
//! directory that was not there before; a source is only read. Knows nothing of arguments, terminals
//! or mounts.

mod analyze;
mod archives;
mod attributes;
mod blocks;
mod inspect;
mod output;
mod pack;
pub(crate) mod pipeline;
mod plan;
mod read_back;
mod replace;
pub(crate) mod source_file;
mod survey;
mod unpack;
mod verify;
mod walk;

pub use analyze::{
    Analysis, AnalyzeOptions, BYTES, Ceiling, DtypeFacts, Entropies, Expected, ExpectedLevels,
    FileFacts, Frequent, Redundancy, Statistics, TensorFacts, Values, analyze,
};
pub use archives::archives_in;
pub use inspect::{Inspection, PlaneTotal, TensorTotal, inspect};
pub use pack::{Method, PackOptions, pack, pack_file};
pub use replace::{
    Replacement, archives_to_make, originals_to_make, replace_by_archives, replace_by_originals,
};
pub use unpack::{UnpackOptions, unpack, unpack_file};
pub use verify::{Verification, VerifyOptions, verify};

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// How a running job is watched and stopped.
pub struct Monitor<'a> {
    /// Once set, the job stops and leaves nothing behind.
    pub cancel: &'a AtomicBool,
    /// Called once with the number of bytes that `progress` will add up to.
    pub begin: &'a (dyn Fn(u64) + Sync),
    /// Called with the number of bytes that were done since the last call, from any thread. Each
    /// byte of the original counts once per pass over it.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Called with things the user should know that do not stop the job.
    pub warn: &'a (dyn Fn(&str) + Sync),
}

/// What a job that turns files into files did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of the original files.
    pub original_bytes: u64,
    /// Bytes of the archives, and of files that are kept as they are.
    pub stored_bytes: u64,
    /// Files that are archives on one side.
    pub archives: u64,
    /// Files that are the same on both sides.
    pub copied: u64,
}

impl<'a> Monitor<'a> {
    /// One that shows nothing.
    pub const fn silent(cancel: &'a AtomicBool) -> Self {
        Self {
            cancel,
            begin: &|_| {},
            progress: &|_| {},
            warn: &|_| {},
        }
    }

    /// # Errors
    /// `Interrupted` once the job is to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }
}

impl Totals {
    fn add(&mut self, other: Self) {
        self.original_bytes += other.original_bytes;
        self.stored_bytes += other.stored_bytes;
        self.archives += other.archives;
        self.copied += other.copied;
    }
}
