//! Stopping because a signal asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;

use crate::error::{Error, Result};
use crate::os::ending_signals;

/// Set once a signal asks to stop, as long as this lives.
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    handlers: Vec<SigId>,
}

impl Stop {
    /// # Errors
    /// `Io` if the system does not let signals be handled.
    pub(crate) fn on_signals() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let handlers = ending_signals()
            .into_iter()
            .map(|signal| signal_hook::flag::register(signal, Arc::clone(&asked)))
            .collect::<std::io::Result<_>>()
            .map_err(|e| Error::io("cannot handle signals", e))?;
        Ok(Self { asked, handlers })
    }

    /// What jobs look at.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.asked
    }

    /// # Errors
    /// `Interrupted` if the user asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.asked.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        for &handler in &self.handlers {
            signal_hook::low_level::unregister(handler);
        }
    }
}
