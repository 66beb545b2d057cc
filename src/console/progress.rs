//! Bars that show how far a job has got.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Stop, say};
use crate::error::Result;
use crate::job::Monitor;
use crate::printable::printable;

/// A bar on the terminal; hidden where stderr is none. `style` may teach it keys of its own.
pub(crate) fn bar(
    template: &str,
    style: impl FnOnce(ProgressStyle) -> ProgressStyle,
) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(found) = ProgressStyle::with_template(template) {
        bar.set_style(style(found));
    }
    bar
}

/// Runs a job with a bar that counts its bytes.
pub(crate) fn watched<T>(
    what: &'static str,
    stop: &Stop,
    job: impl FnOnce(&Monitor<'_>) -> Result<T>,
) -> Result<T> {
    watched_parts(what, stop, |monitor, _| job(monitor))
}

/// The same for a job of several parts, which says what it is at.
pub(crate) fn watched_parts<T>(
    what: &'static str,
    stop: &Stop,
    job: impl FnOnce(&Monitor<'_>, &dyn Fn(String)) -> Result<T>,
) -> Result<T> {
    let bar = bar(
        "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta}",
        |style| style,
    )
    .with_message(what);
    let monitor = Monitor {
        cancel: stop.flag(),
        begin: &|bytes| bar.set_length(bytes),
        progress: &|bytes| bar.inc(bytes),
        warn: &|text| bar.suspend(|| say(&format!("weightfs: warning: {text}"))),
    };
    let result = job(&monitor, &|part| {
        bar.set_message(printable(&part).into_owned())
    });
    bar.finish_and_clear();
    result
}
