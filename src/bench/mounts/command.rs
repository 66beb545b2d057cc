//! `bench-mount`: how fast files come out of a mount, beside what FUSE allows on this machine.
//!
//! Invariant: this process reads and measures; each mount is served by another one, which ends when
//! this one does. Mounts, processes and their directory are gone at the end, however it comes.

use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{BenchMountArgs, Workload};
use super::report::Report;
use super::run::Bench;
use super::watch::Watch;
use crate::console::progress::Stop;
use crate::console::{Outcome, print};
use crate::error::Result;

pub(crate) fn bench_mount(args: &BenchMountArgs) -> Result<Outcome> {
    let stop = Stop::on_signals()?;
    let options = args.serving.options();
    let workloads = if args.workloads.is_empty() {
        Workload::value_variants()
    } else {
        &args.workloads
    };
    let watch = Watch::new(&stop, Duration::from_secs_f64(args.patience));
    let bar = bar();
    let mut bench = Bench::new(args, &options, &watch, bar.clone())?;
    let readahead = bench.targets.iter().map(|target| target.readahead_bytes());
    let readahead = readahead.collect();
    let result = bench.run(workloads);
    bar.finish_and_clear();
    result?;
    let report = Report {
        args,
        options: &options,
        workloads,
        bench: &bench,
        readahead,
    };
    print(&if args.json {
        report.json().to_string()
    } else {
        report.text()
    })?;
    Ok(Outcome::Done)
}

fn bar() -> ProgressBar {
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} ETA {eta} {msg}") {
        bar.set_style(style);
    }
    bar
}
