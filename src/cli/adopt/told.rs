//! What is said while a directory is adopted: lines for people as it goes, or one JSON object for programs at the end.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cli::commands::unless_nobody_reads;
use crate::console::{print, print_json};
use crate::error::Result;
use crate::printable::printable_name;

pub(super) struct Told {
    as_json: bool,
    object: Map<String, Value>,
}

impl Told {
    pub(super) fn of(directory: &Path, as_json: bool) -> Self {
        let mut told = Self {
            as_json,
            object: Map::new(),
        };
        told.put("path", json!(directory.display().to_string()));
        told
    }

    /// Something that only programs are told.
    pub(super) fn put(&mut self, key: &str, value: Value) {
        self.object.insert(key.into(), value);
    }

    /// A line that only people are told. What is to be done does not depend on whether they read it.
    ///
    /// # Errors
    /// `Io` if it cannot be written for another reason.
    pub(super) fn line(&self, line: &str) -> Result<()> {
        if self.as_json {
            return Ok(());
        }
        unless_nobody_reads(print(line))
    }

    /// As `line`.
    ///
    /// # Errors
    /// As `line`.
    pub(super) fn lines(&self, lines: impl IntoIterator<Item = String>) -> Result<()> {
        lines.into_iter().try_for_each(|line| self.line(&line))
    }

    /// # Errors
    /// As `line`.
    pub(super) fn finish(self) -> Result<()> {
        if self.as_json {
            return unless_nobody_reads(print_json(&Value::Object(self.object)));
        }
        Ok(())
    }
}

/// Who is in the directory before it is mounted over stays below the mount.
pub(super) fn note_of_shells(directory: &Path) -> Option<String> {
    let here = std::env::current_dir().ok()?;
    here.starts_with(directory).then(|| {
        format!(
            "this shell works in {}, and sees what it was there before until it is told so: cd \"$PWD\"",
            printable_name(directory)
        )
    })
}
