//! What `bench-mount` prints for programs: one JSON object with every measurement.

use serde_json::{Map, Value, json};

use super::args::{NULL, RAW};
use super::medians::Medians;
use super::random::Latencies;
use super::rounds::{Measurement, Rounds};
use super::ways::Seen;
use super::workload::Workload;
use crate::os::{cpu, kernel};
use crate::sync::cores;

/// All that was measured, and how.
pub(super) struct MountReport<'a> {
    pub(super) workloads: &'a [Workload],
    pub(super) rounds: &'a Rounds<'a>,
    /// How far the kernel really read ahead, for each target.
    pub(super) readahead: Vec<Option<u64>>,
}

impl MountReport<'_> {
    /// One object; what was not measured is null.
    pub(super) fn json(&self) -> Value {
        let setup = &self.rounds.setup;
        let targets = setup.targets.iter().zip(&self.readahead);
        json!({
            "archive": setup.args.archive.display().to_string(),
            "original_bytes": setup.targets[0].bytes,
            "stored_bytes": setup.stored_bytes(),
            "settings": {
                "rounds": setup.args.rounds,
                "seconds": setup.args.seconds,
                "storage": setup.args.storage,
                "cache_bytes": setup.options.cache_bytes,
                "threads": setup.options.threads,
                "readahead_bytes": setup.options.readahead_bytes,
            },
            "machine": {
                "cpu": cpu(),
                "cores": cores(),
                "kernel": kernel(),
                "root": rustix::process::geteuid().is_root(),
            },
            "targets": targets.map(|(target, readahead)| json!({
                "name": target.name,
                "path": target.path().filter(|_| !target.is_mount()).map(|path| path.display().to_string()),
                "bytes": target.bytes,
                "readahead_bytes": readahead,
                "server_peak_bytes": target.peak_bytes,
            })).collect::<Vec<_>>(),
            "results": self.workloads.iter().flat_map(|&workload| {
                [true, false].into_iter().filter_map(move |cold| self.result(workload, cold))
            }).collect::<Vec<_>>(),
            "measurements": self.rounds.measurements.iter().map(|one| self.measurement(one)).collect::<Vec<_>>(),
            "notes": self.rounds.notes,
        })
    }

    /// Medians of one workload, if it was measured.
    fn result(&self, workload: Workload, cold: bool) -> Option<Value> {
        if !self.rounds.was_measured(workload, cold) {
            return None;
        }
        let of_target = |at: usize| {
            let Medians {
                gb_per_s,
                cpu_seconds_per_gb,
                latencies,
            } = self.rounds.medians(workload, cold, at);
            match latencies {
                Some(latencies) => latencies_json(&latencies),
                None if workload.is_random() => Value::Null,
                None => {
                    json!({"gb_per_s": gb_per_s, "server_cpu_seconds_per_gb": cpu_seconds_per_gb})
                }
            }
        };
        let targets = self.rounds.setup.targets.iter().enumerate();
        Some(json!({
            "workload": workload.name(),
            "cache": cache(cold),
            "targets": targets
                .map(|(at, target)| (target.name.clone(), of_target(at)))
                .collect::<Map<_, _>>(),
            "of_null": self.rounds.speed_of(workload, cold, NULL),
            "of_raw": self.rounds.speed_of(workload, cold, RAW),
        }))
    }

    fn measurement(&self, one: &Measurement) -> Value {
        let mut object = json!({
            "round": one.round + 1,
            "workload": one.workload.name(),
            "cache": cache(one.cold),
            "target": self.rounds.setup.targets[one.target].name,
            "cached_bytes_before": one.cached_bytes,
            "server_cpu_seconds": one.cpu_seconds,
        });
        let seen = match &one.seen {
            Seen::Seconds(seconds) => json!({"seconds": seconds}),
            Seen::Latencies(latencies) => latencies_json(latencies),
        };
        if let (Value::Object(object), Value::Object(seen)) = (&mut object, seen) {
            object.extend(seen);
        }
        object
    }
}

fn latencies_json(latencies: &Latencies) -> Value {
    json!({
        "reads": latencies.reads,
        "p50_us": latencies.p50_us,
        "p99_us": latencies.p99_us,
        "max_us": latencies.max_us,
    })
}

/// Whether the bytes that are read were in memory.
pub(super) const fn cache(cold: bool) -> &'static str {
    if cold { "cold" } else { "warm" }
}
