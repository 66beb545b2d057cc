//! The middle of all rounds, of each workload on each target.

use super::args::MOUNT;
use super::random::Latencies;
use super::rounds::{Measurement, Rounds};
use super::ways::Seen;
use super::workload::Workload;
use crate::bench::median::median;
use crate::console::size::megabytes;

/// Medians of one workload on one target.
pub(super) struct Medians {
    pub(super) gb_per_s: Option<f64>,
    pub(super) cpu_seconds_per_gb: Option<f64>,
    /// Of the percentiles the medians; the largest maximum, and all reads.
    pub(super) latencies: Option<Latencies>,
}

impl Rounds<'_> {
    pub(super) fn medians(&self, workload: Workload, cold: bool, target: usize) -> Medians {
        let gigabytes = megabytes(self.setup.targets[target].bytes) / 1e3;
        let measured = || {
            self.measurements
                .iter()
                .filter(move |one| (one.workload, one.cold, one.target) == (workload, cold, target))
        };
        let middle = |value: &dyn Fn(&Measurement) -> Option<f64>| {
            median(&mut measured().filter_map(value).collect::<Vec<_>>())
        };
        let latencies: Vec<_> = measured().filter_map(latencies).collect();
        let percentile = |value: &dyn Fn(&Latencies) -> f64| {
            median(&mut latencies.iter().map(value).collect::<Vec<_>>())
        };
        Medians {
            gb_per_s: middle(&|one| Some(gigabytes / seconds(one)?)),
            cpu_seconds_per_gb: middle(&|one| {
                seconds(one)?;
                Some(one.cpu_seconds? / gigabytes)
            }),
            latencies: percentile(&|one| one.p50_us)
                .zip(percentile(&|one| one.p99_us))
                .map(|(p50_us, p99_us)| Latencies {
                    reads: latencies.iter().map(|one| one.reads).sum(),
                    p50_us,
                    p99_us,
                    max_us: latencies.iter().map(|one| one.max_us).fold(0.0, f64::max),
                }),
        }
    }

    /// The speed of the mount in parts of that of another target.
    pub(super) fn speed_of(&self, workload: Workload, cold: bool, other: &str) -> Option<f64> {
        let speed = |name: &str| {
            let targets = &self.setup.targets;
            let target = targets.iter().position(|target| target.name == name)?;
            self.medians(workload, cold, target).gb_per_s
        };
        Some(speed(MOUNT)? / speed(other)?)
    }

    pub(super) fn was_measured(&self, workload: Workload, cold: bool) -> bool {
        self.measurements
            .iter()
            .any(|one| (one.workload, one.cold) == (workload, cold))
    }
}

fn seconds(one: &Measurement) -> Option<f64> {
    match one.seen {
        Seen::Seconds(seconds) => Some(seconds.max(1e-9)),
        Seen::Latencies(_) => None,
    }
}

fn latencies(one: &Measurement) -> Option<Latencies> {
    match one.seen {
        // Without a read there is nothing to tell.
        Seen::Latencies(latencies) if latencies.reads > 0 => Some(latencies),
        _ => None,
    }
}
