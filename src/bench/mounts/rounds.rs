//! The rounds: each workload on each target, in turns, so that whatever else the machine does meets
//! all of them alike.

use indicatif::ProgressBar;

use super::args::RAW;
use super::opened::{Opened, open_cold, open_warm};
use super::reader::Reader;
use super::setup::Setup;
use super::ways::{self, Seen};
use super::workload::Workload;
use crate::error::Result;

/// One run of one workload on one target.
pub(super) struct Measurement {
    pub(super) workload: Workload,
    pub(super) cold: bool,
    /// Its place among the targets.
    pub(super) target: usize,
    /// From 0.
    pub(super) round: usize,
    pub(super) seen: Seen,
    /// Bytes of the file that were in the page cache at the start.
    pub(super) cached_bytes: u64,
    /// Processor time of the server.
    pub(super) cpu_seconds: Option<f64>,
}

/// All rounds, and what was measured in them.
pub(super) struct Rounds<'a> {
    pub(super) setup: Setup<'a>,
    bar: ProgressBar,
    pub(super) measurements: Vec<Measurement>,
    /// What could not be measured, and why.
    pub(super) notes: Vec<String>,
}

impl<'a> Rounds<'a> {
    pub(super) const fn new(setup: Setup<'a>, bar: ProgressBar) -> Self {
        Self {
            setup,
            bar,
            measurements: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Runs all rounds, and ends the mounts.
    ///
    /// # Errors
    /// `Io` or `InvalidInput` if something cannot be read, `Interrupted`.
    pub(super) fn run(&mut self, workloads: &[Workload]) -> Result<()> {
        let count = self.setup.targets.len();
        let rounds = self.setup.args.rounds.get();
        self.bar
            .set_length((rounds * workloads.len() * count) as u64);
        for round in 0..rounds {
            for &workload in workloads {
                // Nobody is always the first, nor always behind the same.
                for target in (0..count).map(|at| (at + round) % count) {
                    self.bar.set_message(format!(
                        "round {}: {}, {}",
                        round + 1,
                        workload.name(),
                        self.setup.targets[target].name
                    ));
                    self.measure(round, workload, target)?;
                    self.bar.inc(1);
                }
            }
        }
        for target in &mut self.setup.targets {
            target.end();
        }
        Ok(())
    }

    fn measure(&mut self, round: usize, workload: Workload, target: usize) -> Result<()> {
        // The raw file has no archive in memory to come from: cold, it comes from the disk.
        if self.setup.args.storage || self.setup.targets[target].name != RAW {
            let what = format!("{}, {}", self.setup.targets[target].name, workload.name());
            let opened = self.setup.watch.during(&what, || {
                self.setup.targets[target].begin_anew(self.setup.options, self.setup.watch)?;
                open_cold(&self.setup, &self.setup.targets[target])
            })?;
            self.measure_opened(opened, true, round, workload, target)?;
        }
        if !self.setup.args.storage && !workload.is_random() {
            let opened = self.setup.watch.during("reading once", || {
                open_warm(&self.setup, &self.setup.targets[target])
            })?;
            self.measure_opened(opened, false, round, workload, target)?;
        }
        Ok(())
    }

    fn measure_opened(
        &mut self,
        opened: Opened,
        cold: bool,
        round: usize,
        workload: Workload,
        at: usize,
    ) -> Result<()> {
        let (file, cached_bytes) = match opened {
            Opened::Ready(file, cached_bytes) => (file, cached_bytes),
            Opened::Not(why) => {
                let note = format!("{}: {why}", self.setup.targets[at].name);
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                return Ok(());
            }
        };
        let target = &self.setup.targets[at];
        let reader = Reader {
            path: target.present_path()?,
            file: &file,
            bytes: target.bytes,
            watch: self.setup.watch,
        };
        let cpu_seconds = || target.server().and_then(|server| server.cpu_seconds());
        let before = cpu_seconds();
        let what = format!("{}, {}", target.name, workload.name());
        let seen = self.setup.watch.during(&what, || {
            ways::run(
                &reader,
                workload.way(),
                self.setup.args.seconds,
                round as u64,
            )
            .map_err(|error| self.setup.explain(target, error))
        })?;
        let cpu_seconds = cpu_seconds()
            .zip(before)
            .map(|(after, before)| after - before);
        self.measurements.push(Measurement {
            workload,
            cold,
            target: at,
            round,
            seen,
            cached_bytes,
            cpu_seconds,
        });
        Ok(())
    }
}
