//! Data on stdout.

use std::io::Write;

use serde_json::Value;

use crate::error::{Error, Result};

/// Prints a line of data; a reader that went away is an error that `is_broken_pipe` knows.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|e| Error::io("cannot write to stdout", e))
}

/// Prints one JSON object for programs, or text for people.
pub(crate) fn print_as(
    as_json: bool,
    json: impl FnOnce() -> Value,
    text: impl FnOnce() -> String,
) -> Result<()> {
    print(&if as_json { json().to_string() } else { text() })
}

/// True if nobody reads what is printed any more.
pub(crate) fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
}
