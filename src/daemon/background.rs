//! A session of its own for a mount in the background, and a place for its messages.
//!
//! Nothing here forks: the process in the background is started as such by `mount.weightfs`.

use std::fs::{File, OpenOptions};
use std::path::Path;

use crate::error::{Error, Result};

/// Whether a process stays where it was started, or leaves that once its mount answers.
pub(crate) struct Background {
    messages: Option<File>,
}

impl Background {
    /// Stays.
    pub(crate) const fn not_wanted() -> Self {
        Self { messages: None }
    }

    /// Leaves the session, so that no signal of the terminal comes. Messages go to a file once
    /// `let_go` is called, or nowhere.
    ///
    /// # Errors
    /// `Io` if the file for messages cannot be opened.
    pub(crate) fn enter(log_file: Option<&Path>) -> Result<Self> {
        let path = log_file.unwrap_or_else(|| Path::new("/dev/null"));
        let messages = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| Error::io(format!("cannot open {}", path.display()), e))?;
        // Refused only to one who leads a group already, as one started by hand does.
        let _ = rustix::process::setsid();
        Ok(Self {
            messages: Some(messages),
        })
    }

    /// True if the one who started it waits for nothing but the news that the mount answers.
    pub(crate) fn is_wanted(&self) -> bool {
        self.messages.is_some()
    }

    /// Lets go of the stderr of whoever waited for the mount.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub(crate) fn let_go(&self) -> Result<()> {
        match &self.messages {
            Some(file) => rustix::stdio::dup2_stderr(file)
                .map_err(|e| Error::io("cannot redirect messages", e.into())),
            None => Ok(()),
        }
    }
}
