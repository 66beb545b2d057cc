//! Progress, warnings and the wish to stop, between a job and who started it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// How a running job is watched and stopped.
pub struct Monitor<'a> {
    /// Once set, the job stops and leaves nothing behind.
    pub cancel: &'a AtomicBool,
    /// Called once with the number of bytes that `progress` will add up to.
    pub begin: &'a (dyn Fn(u64) + Sync),
    /// Called with the number of bytes that were done since the last call, from any thread. Each
    /// byte of the original counts once: where a job goes over it more than once, by parts.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Called with things the user should know that do not stop the job.
    pub warn: &'a (dyn Fn(&str) + Sync),
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

    /// The same for work that was counted already.
    pub(super) const fn counted(&self) -> Self {
        Self {
            progress: &|_| {},
            ..*self
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
