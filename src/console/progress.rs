//! The progress bar, and stopping on a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Result};
use crate::job::Monitor;

/// Set once the user asks to stop with SIGINT or SIGTERM, as long as this lives.
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    handlers: Vec<SigId>,
}

impl Stop {
    /// # Errors
    /// `Io` if the system does not let signals be handled.
    pub(crate) fn on_signals() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let handlers = [SIGINT, SIGTERM]
            .map(|signal| signal_hook::flag::register(signal, Arc::clone(&asked)))
            .into_iter()
            .collect::<std::io::Result<_>>()
            .map_err(|e| Error::io("cannot handle signals", e))?;
        Ok(Self { asked, handlers })
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

/// Runs a job with a bar on the terminal, if stderr is one.
pub(crate) fn watched<T>(
    what: &'static str,
    stop: &Stop,
    job: impl FnOnce(&Monitor<'_>) -> Result<T>,
) -> Result<T> {
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_message(what);
    let style = ProgressStyle::with_template(
        "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta}",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let result = job(&Monitor {
        cancel: &stop.asked,
        begin: &|bytes| bar.set_length(bytes),
        progress: &|bytes| bar.inc(bytes),
        warn: &|text| bar.suspend(|| eprintln!("weightfs: warning: {text}")),
    });
    bar.finish_and_clear();
    result
}
