//! `bench-mount`: how fast files come out of a mount, beside what FUSE allows on this machine.
//!
//! Invariant: this process reads and measures; each mount is served by another one, which ends when
//! this one does. Mounts, processes and their directory are gone at the end, however it comes.

use std::time::Duration;

use clap::ValueEnum;

use super::args::BenchMountArgs;
use super::compare::compare;
use super::mount_report::MountReport;
use super::rounds::Rounds;
use super::setup::Setup;
use super::watch::Watch;
use super::workload::Workload;
use crate::console::progress::bar;
use crate::console::{Outcome, Stop, print_as};
use crate::error::Result;

pub(crate) fn bench_mount(args: &BenchMountArgs) -> Result<Outcome> {
    let stop = Stop::on_signals()?;
    let options = args.serving.options();
    let workloads = if args.workloads.is_empty() {
        Workload::value_variants()
    } else {
        &args.workloads
    };
    let watch = Watch::new(&stop, Duration::from_secs_f64(args.patience))?;
    let bar = bar("{bar:30} {pos}/{len} ETA {eta} {msg}", |style| style);
    let setup = Setup::new(args, &options, &watch)?;
    if let Some(raw) = &args.raw {
        watch.during("comparing", || compare(&setup, raw))?;
    }
    // Even that asks the mounts.
    let readahead = watch.during("mounting", || {
        let targets = setup.targets.iter();
        Ok(targets.map(|target| target.readahead_bytes()).collect())
    })?;
    let mut rounds = Rounds::new(setup, bar.clone());
    let result = rounds.run(workloads);
    bar.finish_and_clear();
    result?;
    let report = MountReport {
        workloads,
        rounds: &rounds,
        readahead,
    };
    print_as(args.json, || report.json(), || report.text())?;
    Ok(Outcome::Done)
}
