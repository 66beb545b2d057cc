//! The progress bar, and stopping on a signal.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Result};
use crate::job::Monitor;

/// Runs a job with a bar on the terminal (if stderr is one), stopped by SIGINT and SIGTERM.
pub(super) fn watched<T>(
    what: &'static str,
    job: impl FnOnce(&Monitor<'_>) -> Result<T>,
) -> Result<T> {
    let cancel = Arc::new(AtomicBool::new(false));
    let mut handlers = Vec::new();
    for signal in [SIGINT, SIGTERM] {
        let handler = signal_hook::flag::register(signal, Arc::clone(&cancel))
            .map_err(|e| Error::io("cannot handle signals", e))?;
        handlers.push(handler);
    }
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_message(what);
    let style = ProgressStyle::with_template(
        "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta}",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let result = job(&Monitor {
        cancel: &cancel,
        begin: &|bytes| bar.set_length(bytes),
        progress: &|bytes| bar.inc(bytes),
        warn: &|text| bar.suspend(|| eprintln!("weightfs: warning: {text}")),
    });
    bar.finish_and_clear();
    for handler in handlers {
        signal_hook::low_level::unregister(handler);
    }
    result
}
