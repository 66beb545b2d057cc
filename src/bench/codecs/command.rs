//! `bench`: all codecs on one file, so that people can choose.
//!
//! Invariant: the file is only read; what is written lies in a temporary directory that goes, one
//! archive or stream at a time, and so does every process that was started.

use std::cell::Cell;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tempfile::TempDir;

use super::args::{BenchArgs, BenchWork};
use super::child::Task;
use super::plot;
use super::report::Report;
use crate::bench::codecs::{
    Contender, Figures, Measured, Original, Times, mark_front, median, sort_by_ratio,
};
use crate::console::progress::{Stop, watched};
use crate::console::{Outcome, print};
use crate::error::{Error, Result};
use crate::sync::cores;

/// Whose first encoding takes longer does not encode a second time, on one thread.
const LONG_ENCODE_SECONDS: f64 = 60.0;

pub(crate) fn bench(args: &BenchArgs) -> Result<Outcome> {
    let chosen = args.codecs.as_deref().map(Contender::parse_list);
    let chosen = chosen.transpose()?;
    let stop = Stop::on_signals()?;
    let original = watched("reading", &stop, |monitor| {
        Original::open(&args.file, monitor)
    })?;
    if let Some(plot) = &args.plot {
        check_plot_path(plot, &args.file)?;
    }
    let contenders = chosen.unwrap_or_else(|| usual(original.bytes()));
    let threads = args.threads.unwrap_or_else(cores);
    let mut results =
        Comparison::new(args, &original, threads, &stop, &contenders)?.run(&contenders)?;
    original.check_unchanged()?;
    mark_front(&mut results);
    sort_by_ratio(&mut results);
    let report = Report {
        path: &args.file,
        original_bytes: original.bytes(),
        threads,
        rounds: args.rounds,
        results: &results,
    };
    print(&if args.json {
        report.json().to_string()
    } else if args.csv {
        report.csv()
    } else {
        report.table()
    })?;
    // Last: figures that took an hour must not be lost for a drawing.
    if let Some(plot) = &args.plot {
        fs::write(plot, plot::svg(&report))
            .map_err(|e| Error::io(format!("cannot write {}", plot.display()), e))?;
    }
    Ok(Outcome::Done)
}

fn usual(original_bytes: u64) -> Vec<Contender> {
    let usual = Contender::usual(original_bytes);
    if usual.len() < Contender::all().len() {
        let _ = writeln!(
            io::stderr(),
            "weightfs: a large file: only what encodes at about 20 MB/s a core or faster is \
             compared; --codecs all compares everything"
        );
    }
    usual
}

/// # Errors
/// `InvalidInput` if nothing can be drawn there, found out before the work rather than after it.
fn check_plot_path(plot: &Path, file: &Path) -> Result<()> {
    let cannot = |path: &Path, e| Error::io(format!("cannot read {}", path.display()), e);
    let refused = |why: &str| {
        let message = format!("cannot draw into {}: {why}", plot.display());
        Err(Error::InvalidInput(message))
    };
    let meta = match fs::metadata(plot) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return match plot.parent() {
                Some(parent) if parent == Path::new("") || parent.is_dir() => Ok(()),
                _ => refused("its directory does not exist"),
            };
        }
        Err(e) => return Err(cannot(plot, e)),
    };
    let original = fs::metadata(file).map_err(|e| cannot(file, e))?;
    if meta.is_dir() {
        return refused("it is a directory");
    }
    if (meta.dev(), meta.ino()) == (original.dev(), original.ino()) {
        return refused("it is the file that is compressed");
    }
    // Without truncating: only the question whether it may be written.
    match File::options().append(true).open(plot) {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::io(format!("cannot write {}", plot.display()), e)),
    }
}

/// Contenders that are measured one after the other.
struct Comparison<'a> {
    file: &'a Path,
    original: &'a Original,
    threads: NonZeroUsize,
    rounds: NonZeroUsize,
    stop: &'a Stop,
    /// Holds what is being measured; removed with all in it when this is dropped.
    _directory: TempDir,
    stored: PathBuf,
    bar: ProgressBar,
    /// Of the bar: the expected milliseconds of what is done.
    done: Cell<u64>,
}

impl<'a> Comparison<'a> {
    fn new(
        args: &'a BenchArgs,
        original: &'a Original,
        threads: NonZeroUsize,
        stop: &'a Stop,
        contenders: &[Contender],
    ) -> Result<Self> {
        let parent = args.tmp.clone().unwrap_or_else(std::env::temp_dir);
        let directory = TempDir::with_prefix_in("weightfs-bench-", &parent).map_err(|e| {
            let what = format!("cannot make a temporary directory in {}", parent.display());
            Error::io(what, e)
        })?;
        let comparison = Self {
            file: &args.file,
            original,
            threads,
            rounds: args.rounds,
            stop,
            stored: directory.path().join("stored"),
            _directory: directory,
            bar: bar(),
            done: Cell::new(0),
        };
        let expected = contenders.iter().map(|&one| comparison.expected_ms(one));
        comparison.bar.set_length(expected.sum());
        Ok(comparison)
    }

    fn run(&self, contenders: &[Contender]) -> Result<Vec<Figures>> {
        let results = contenders.iter().map(|one| self.figures(*one)).collect();
        self.bar.finish_and_clear();
        results
    }

    /// What is measured, in the order in which it is.
    fn thread_counts(&self, contender: Contender) -> Vec<NonZeroUsize> {
        let mut counts = vec![self.threads, NonZeroUsize::MIN];
        if matches!(contender, Contender::Stream(..)) {
            counts.remove(0);
        }
        counts.dedup();
        counts
    }

    fn figures(&self, contender: Contender) -> Result<Figures> {
        let counts = self.thread_counts(contender);
        let (mut encode, mut decode) = (Runs::default(), Runs::default());
        let mut stored_bytes = 0;
        for &threads in &counts {
            if encode.last_seconds() > LONG_ENCODE_SECONDS {
                self.skip(BenchWork::Encode, contender, threads);
                continue;
            }
            self.remove_stored()?;
            let measured = self.measure(BenchWork::Encode, contender, threads)?;
            stored_bytes = measured.bytes;
            encode.add(threads, &[measured]);
        }
        for &threads in &counts {
            let measured = (0..self.rounds.get())
                .map(|_| self.measure(BenchWork::Decode, contender, threads))
                .collect::<Result<Vec<_>>>()?;
            for decoded in &measured {
                self.original.compare(contender, decoded)?;
            }
            decode.add(threads, &measured);
        }
        self.remove_stored()?;
        let many = matches!(contender, Contender::Archive(..)).then_some(self.threads);
        Ok(Figures {
            contender,
            original_bytes: self.original.bytes(),
            stored_bytes,
            encode: encode.times(many),
            decode: decode.times(many),
            encode_peak_bytes: encode.peak_bytes,
            decode_peak_bytes: decode.peak_bytes,
            pareto: false,
        })
    }

    fn remove_stored(&self) -> Result<()> {
        match fs::remove_file(&self.stored) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(
                format!("cannot remove {}", self.stored.display()),
                e,
            )),
            _ => Ok(()),
        }
    }

    fn measure(
        &self,
        work: BenchWork,
        contender: Contender,
        threads: NonZeroUsize,
    ) -> Result<Measured> {
        let doing = match work {
            BenchWork::Encode => "encodes",
            BenchWork::Decode => "decodes",
        };
        self.bar.set_message(format!("{contender} {doing}"));
        let expected = self.expected_run_ms(work, contender, threads);
        let task = Task {
            work,
            contender,
            threads,
            file: self.file,
            stored: &self.stored,
        };
        let measured = task.run(self.stop, |waited: Duration| {
            // Not all of it: it has not ended yet.
            let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            self.bar
                .set_position(self.done.get() + waited.min(expected * 19 / 20));
        })?;
        self.skip(work, contender, threads);
        Ok(measured)
    }

    /// Counts a run as done.
    fn skip(&self, work: BenchWork, contender: Contender, threads: NonZeroUsize) {
        let done = self.done.get() + self.expected_run_ms(work, contender, threads);
        self.done.set(done);
        self.bar.set_position(done);
    }

    fn expected_ms(&self, contender: Contender) -> u64 {
        let run = |work, threads| self.expected_run_ms(work, contender, threads);
        self.thread_counts(contender)
            .into_iter()
            .map(|threads| {
                run(BenchWork::Encode, threads)
                    + self.rounds.get() as u64 * run(BenchWork::Decode, threads)
            })
            .sum()
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn expected_run_ms(&self, work: BenchWork, contender: Contender, threads: NonZeroUsize) -> u64 {
        let (encoding, decoding) = contender.expected_mb_per_s();
        let mb_per_s = match work {
            BenchWork::Encode => encoding,
            BenchWork::Decode => decoding,
        };
        let threads = threads.get().min(cores().get());
        let seconds = self.original.bytes() as f64 / 1e6 / (mb_per_s * threads as f64);
        // At least what starting a process takes.
        (seconds * 1e3) as u64 + 5
    }
}

fn bar() -> ProgressBar {
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} % ETA {left:>4} {msg}");
    if let Ok(style) = style {
        bar.set_style(
            style.with_key("left", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let left = time_left(state.elapsed(), state.pos(), state.len().unwrap_or(0));
                // What cannot be shown is not shown.
                let _ = write!(out, "{:#}", HumanDuration(left));
            }),
        );
    }
    bar
}

/// From all that was done so far: the bar's own estimate follows its speed in the last seconds, and
/// this one stands still whenever a run takes longer than expected.
fn time_left(elapsed: Duration, done: u64, total: u64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let per_done = total.saturating_sub(done) as f64 / done.max(1) as f64;
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * per_done).unwrap_or(Duration::MAX)
}

/// What was measured of one contender's encoding, or decoding.
#[derive(Default)]
struct Runs {
    /// Threads, seconds.
    seconds: Vec<(NonZeroUsize, f64)>,
    peak_bytes: u64,
}

impl Runs {
    fn add(&mut self, threads: NonZeroUsize, measured: &[Measured]) {
        let mut seconds: Vec<_> = measured.iter().map(|one| one.seconds).collect();
        let peak = measured.iter().map(|one| one.peak_bytes).max();
        self.peak_bytes = self.peak_bytes.max(peak.unwrap_or(0));
        self.seconds
            .extend(median(&mut seconds).map(|median| (threads, median)));
    }

    fn last_seconds(&self) -> f64 {
        self.seconds.last().map_or(0.0, |(_, seconds)| *seconds)
    }

    /// `many`: all threads, if there is a figure of that kind.
    fn times(&self, many: Option<NonZeroUsize>) -> Times {
        let on = |threads| {
            let found = self.seconds.iter().find(|(count, _)| *count == threads);
            found.map(|(_, seconds)| *seconds)
        };
        Times {
            one: on(NonZeroUsize::MIN),
            all: many.and_then(on),
        }
    }
}
