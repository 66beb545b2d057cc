//! What comes of a job that turns files into others.

use std::io;
use std::path::PathBuf;

use super::monitor::Monitor;
use super::totals::Totals;
use crate::error::{Error, Result};

/// What came of packing or unpacking. A directory is gone through to its end whatever becomes of single
/// files: look at the failures.
#[derive(Debug)]
#[must_use = "some files may have failed"]
pub struct Conversion {
    /// What was made, or replaced.
    pub path: PathBuf,
    /// Sums over what was made.
    pub totals: Totals,
    /// What was not, each with the file and the reason.
    pub failures: Vec<Error>,
}

impl Conversion {
    /// Keeps the failure of one thing.
    ///
    /// # Errors
    /// The failure itself, where the rest would fail by it as well.
    pub(super) fn fail(&mut self, failure: Error, monitor: &Monitor<'_>) -> Result<()> {
        let ends_all = match &failure {
            Error::Interrupted => true,
            Error::Io { source, .. } => is_everywhere(source),
            _ => false,
        };
        if ends_all {
            for before in &self.failures {
                (monitor.warn)(&before.to_string());
            }
            return Err(failure);
        }
        self.failures.push(failure);
        Ok(())
    }
}

/// True for what the system answers of anything, not of one file.
fn is_everywhere(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ENOSPC | libc::EDQUOT | libc::EROFS | libc::ENOMEM | libc::EMFILE | libc::ENFILE
        )
    )
}
