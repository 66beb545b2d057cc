//! The contenders one after the other, each run in a process of its own.
//!
//! Invariant: what is being measured lies in a temporary directory that goes, one archive or stream
//! at a time, and so does every process that was started.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::args::{BenchArgs, BenchWork};
use super::bench_base::BenchBase;
use super::child::Task;
use super::contender::Contender;
use super::expected_time::{ExpectedTime, expected_ms};
use super::figures::{Figures, Times};
use super::measured::Measured;
use super::original::Original;
use crate::bench::median::median;
use crate::console::{Stop, watched};
use crate::error::{Error, Result};

/// Whose first encoding takes longer does not encode a second time, on one thread.
const LONG_ENCODE_SECONDS: f64 = 60.0;

/// Contenders that are measured one after the other.
pub(super) struct Comparison<'a> {
    file: &'a Path,
    original: &'a Original,
    contenders: &'a [Contender],
    base: Option<BenchBase>,
    threads: NonZeroUsize,
    rounds: NonZeroUsize,
    stop: &'a Stop,
    /// Holds what is being measured; removed with all in it when this is dropped.
    _directory: TempDir,
    stored: PathBuf,
    bar: ExpectedTime,
}

impl<'a> Comparison<'a> {
    /// # Errors
    /// `Io` if there is no place for what is measured; as `BenchBase::new`.
    pub(super) fn new(
        args: &'a BenchArgs,
        original: &'a Original,
        contenders: &'a [Contender],
        threads: NonZeroUsize,
        stop: &'a Stop,
    ) -> Result<Self> {
        let parent = args.tmp.clone().unwrap_or_else(std::env::temp_dir);
        let directory = TempDir::with_prefix_in("weightfs-bench-", &parent).map_err(|e| {
            let what = format!("cannot make a temporary directory in {}", parent.display());
            Error::io(what, e)
        })?;
        let takes_base = contenders.iter().any(|contender| contender.takes_base());
        let base = args.base.as_ref().filter(|_| takes_base).map(|base| {
            watched("preparing the base", stop, |monitor| {
                BenchBase::new(base, contenders, directory.path(), threads, monitor)
            })
        });
        Ok(Self {
            file: &args.file,
            original,
            contenders,
            base: base.transpose()?,
            threads,
            rounds: args.rounds,
            stop,
            stored: directory.path().join("stored"),
            _directory: directory,
            bar: ExpectedTime::new(),
        })
    }

    /// Measures all of them.
    ///
    /// # Errors
    /// What kept one of them from giving the file back; `Interrupted`.
    pub(super) fn run(&self) -> Result<Vec<Figures>> {
        for &contender in self.contenders {
            self.expect(contender);
        }
        let results = self
            .contenders
            .iter()
            .map(|one| self.figures(*one))
            .collect();
        self.bar.finish();
        results
    }

    /// Tells the bar what is to come.
    fn expect(&self, contender: Contender) {
        for threads in self.thread_counts(contender) {
            let run = |work| self.expected_ms(work, contender, threads);
            let decodes = self.rounds.get() as u64;
            self.bar
                .expect(run(BenchWork::Encode) + decodes * run(BenchWork::Decode));
        }
    }

    fn expected_ms(&self, work: BenchWork, contender: Contender, threads: NonZeroUsize) -> u64 {
        expected_ms(self.original.bytes(), work, contender, threads)
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
                let left_out = self.expected_ms(BenchWork::Encode, contender, threads);
                self.bar.done(left_out);
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
        let many = (!matches!(contender, Contender::Stream(..))).then_some(self.threads);
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
        self.bar.begin(format!("{contender} {doing}"));
        let expected = self.expected_ms(work, contender, threads);
        let task = Task {
            work,
            contender,
            threads,
            file: self.file,
            base: self.base.as_ref().and_then(|base| base.of(contender)),
            stored: &self.stored,
        };
        let measured = task.run(self.stop, |waited| self.bar.waiting(waited, expected))?;
        self.bar.done(expected);
        Ok(measured)
    }
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
