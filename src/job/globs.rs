//! Patterns of names.

use globset::{Glob, GlobMatcher};

use crate::error::{Error, Result};

/// A pattern of names, in which `*` stands for any part. `what` they are names of is told.
///
/// # Errors
/// `InvalidInput` if it is none.
pub(super) fn glob(pattern: &str, what: &str) -> Result<GlobMatcher> {
    let glob = Glob::new(pattern);
    glob.map(|glob| glob.compile_matcher()).map_err(|error| {
        Error::InvalidInput(format!(
            "{pattern:?} is no pattern of {what} names: {error}"
        ))
    })
}

/// Several of them.
///
/// # Errors
/// As `glob`.
pub(super) fn globs(patterns: &[String], what: &str) -> Result<Vec<GlobMatcher>> {
    patterns.iter().map(|pattern| glob(pattern, what)).collect()
}
