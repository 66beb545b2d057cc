//! How far a comparison has got, by the time that its runs were expected to take.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState};

use super::args::BenchWork;
use super::contender::Contender;
use crate::console::progress::bar;
use crate::console::size;
use crate::sync::cores;

/// A bar of milliseconds.
pub(super) struct ExpectedTime {
    bar: ProgressBar,
    /// Expected milliseconds of what is done.
    done: Cell<u64>,
}

impl ExpectedTime {
    pub(super) fn new() -> Self {
        let bar = bar("{bar:30} {percent:>3} % ETA {left:>4} {msg}", |style| {
            style.with_key("left", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let left = time_left(state.elapsed(), state.pos(), state.len().unwrap_or(0));
                // What cannot be shown is not shown.
                let _ = write!(out, "{:#}", HumanDuration(left));
            })
        });
        bar.set_length(0);
        Self {
            bar,
            done: Cell::new(0),
        }
    }

    /// More is to come.
    pub(super) fn expect(&self, expected_ms: u64) {
        self.bar.inc_length(expected_ms);
    }

    pub(super) fn begin(&self, what: String) {
        self.bar.set_message(what);
    }

    /// A run has taken so long, and has not ended yet.
    pub(super) fn waiting(&self, waited: Duration, expected_ms: u64) {
        let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        // Not all of it: it has not ended yet.
        self.bar
            .set_position(self.done.get() + waited.min(expected_ms * 19 / 20));
    }

    /// A run is over, or was left out.
    pub(super) fn done(&self, expected_ms: u64) {
        self.done.set(self.done.get() + expected_ms);
        self.bar.set_position(self.done.get());
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How long a run takes, roughly.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]
pub(super) fn expected_ms(
    original_bytes: u64,
    work: BenchWork,
    contender: Contender,
    threads: NonZeroUsize,
) -> u64 {
    let (encoding, decoding) = contender.expected_mb_per_s();
    let mb_per_s = match work {
        BenchWork::Encode => encoding,
        BenchWork::Decode => decoding,
    };
    let threads = threads.get().min(cores().get());
    let seconds = size::megabytes(original_bytes) / (mb_per_s * threads as f64);
    // At least what starting a process takes.
    (seconds * 1e3) as u64 + 5
}

/// From all that was done so far: the bar's own estimate follows its speed in the last seconds, and
/// this one stands still whenever a run takes longer than expected.
fn time_left(elapsed: Duration, done: u64, total: u64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let per_done = total.saturating_sub(done) as f64 / done.max(1) as f64;
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * per_done).unwrap_or(Duration::MAX)
}
