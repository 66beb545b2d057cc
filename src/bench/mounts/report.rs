//! What `bench-mount` prints: tables, or one JSON object with every measurement.

use std::fs;

use serde_json::{Map, Value, json};

use super::args::{BenchMountArgs, MOUNT, NULL, RAW, Workload};
use super::random::Latencies;
use super::read::Seen;
use super::run::{Bench, Measurement, mega};
use crate::bench::codecs::median;
use crate::console::size;
use crate::fuse::MountOptions;
use crate::sync::cores;

/// All that was measured, and how.
pub(super) struct Report<'a> {
    pub(super) args: &'a BenchMountArgs,
    pub(super) options: &'a MountOptions,
    pub(super) workloads: &'a [Workload],
    pub(super) bench: &'a Bench<'a>,
    /// How far the kernel really read ahead, for each target.
    pub(super) readahead: Vec<Option<u64>>,
}

/// The middle of all rounds.
struct Medians {
    gb_per_s: Option<f64>,
    cpu_seconds_per_gb: Option<f64>,
    /// Of the percentiles the medians; the largest maximum, and all reads.
    latencies: Option<Latencies>,
}

impl Report<'_> {
    fn medians(&self, workload: Workload, cold: bool, target: usize) -> Medians {
        let gigabytes = mega(self.bench.targets[target].bytes) / 1e3;
        let measured = || {
            self.bench
                .measurements
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
    fn of(&self, workload: Workload, cold: bool, other: &str) -> Option<f64> {
        let speed = |name: &str| {
            let targets = &self.bench.targets;
            let target = targets.iter().position(|target| target.name == name)?;
            self.medians(workload, cold, target).gb_per_s
        };
        Some(speed(MOUNT)? / speed(other)?)
    }

    fn was_measured(&self, workload: Workload, cold: bool) -> bool {
        self.bench
            .measurements
            .iter()
            .any(|one| (one.workload, one.cold) == (workload, cold))
    }

    /// One object; what was not measured is null.
    pub(super) fn json(&self) -> Value {
        let targets = &self.bench.targets;
        let mut results = Vec::new();
        for (&workload, cold) in self.workloads.iter().flat_map(|w| [(w, true), (w, false)]) {
            if !self.was_measured(workload, cold) {
                continue;
            }
            let of_target = |at: usize| {
                let Medians {
                    gb_per_s,
                    cpu_seconds_per_gb,
                    latencies,
                } = self.medians(workload, cold, at);
                let value = match latencies {
                    Some(latencies) => latencies_json(&latencies),
                    None if workload.is_random() => Value::Null,
                    None => {
                        json!({"gb_per_s": gb_per_s, "server_cpu_seconds_per_gb": cpu_seconds_per_gb})
                    }
                };
                (targets[at].name.clone(), value)
            };
            results.push(json!({
                "workload": workload.name(),
                "cache": cache(cold),
                "targets": (0..targets.len()).map(of_target).collect::<Map<_, _>>(),
                "of_null": self.of(workload, cold, NULL),
                "of_raw": self.of(workload, cold, RAW),
            }));
        }
        json!({
            "archive": self.args.archive.display().to_string(),
            "original_bytes": targets[0].bytes,
            "stored_bytes": self.bench.stored_bytes(),
            "settings": {
                "rounds": self.args.rounds,
                "seconds": self.args.seconds,
                "storage": self.args.storage,
                "cache_bytes": self.options.cache_bytes,
                "threads": self.options.threads,
                "readahead_bytes": self.options.readahead_bytes,
            },
            "machine": {
                "cpu": cpu(),
                "cores": cores(),
                "kernel": kernel(),
                "root": rustix::process::geteuid().is_root(),
            },
            "targets": targets.iter().zip(&self.readahead).map(|(target, readahead)| json!({
                "name": target.name,
                "path": target.path().filter(|_| !target.is_mount()).map(|path| path.display().to_string()),
                "bytes": target.bytes,
                "readahead_bytes": readahead,
                "server_peak_bytes": target.peak_bytes,
            })).collect::<Vec<_>>(),
            "results": results,
            "measurements": self.bench.measurements.iter().map(|one| self.measurement(one)).collect::<Vec<_>>(),
            "notes": self.bench.notes,
        })
    }

    fn measurement(&self, one: &Measurement) -> Value {
        let mut object = json!({
            "round": one.round + 1,
            "workload": one.workload.name(),
            "cache": cache(one.cold),
            "target": self.bench.targets[one.target].name,
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

    /// For people.
    pub(super) fn text(&self) -> String {
        let targets = &self.bench.targets;
        let stored = self.bench.stored_bytes().map_or(0.0, mega);
        let mut lines = vec![
            format!(
                "{}: {:.1} MB, stored in {stored:.1} MB; {}; rounds: {}",
                self.args.archive.display(),
                mega(targets[0].bytes),
                if self.args.storage {
                    "cold: everything from the disk"
                } else {
                    "cold: archive in the page cache, decoded bytes not"
                },
                self.args.rounds
            ),
            format!("{}, {} cores, Linux {}", cpu(), cores(), kernel()),
            format!(
                "{} threads, cache {}, readahead {} (asked for: {})",
                self.options.threads,
                size::show(self.options.cache_bytes as u64),
                self.readahead[0].map_or("unknown".into(), size::show),
                size::show(self.options.readahead_bytes)
            ),
        ];
        for cold in [true, false] {
            lines.extend(self.speeds(cold));
        }
        lines.extend(self.latencies());
        lines.push(String::new());
        if let Some(bytes) = targets[0].peak_bytes {
            lines.push(format!("peak memory of the mount: {}", size::show(bytes)));
        }
        lines.extend(self.bench.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n")
    }

    fn speeds(&self, cold: bool) -> Vec<String> {
        let targets = &self.bench.targets;
        let mut rows = Vec::new();
        let has_raw = targets.iter().any(|target| target.name == RAW);
        for &workload in self.workloads {
            if workload.is_random() || !self.was_measured(workload, cold) {
                continue;
            }
            let mut row = vec![workload.name()];
            row.extend(
                (0..targets.len()).map(|at| digits(self.medians(workload, cold, at).gb_per_s, 2)),
            );
            row.push(digits(self.of(workload, cold, NULL), 2));
            if has_raw {
                row.push(digits(self.of(workload, cold, RAW), 2));
            }
            row.push(digits(
                self.medians(workload, cold, 0).cpu_seconds_per_gb,
                2,
            ));
            rows.push(row);
        }
        let mut head = vec![format!("GB/s, {}", cache(cold))];
        head.extend(targets.iter().map(|target| target.name.clone()));
        head.push("of null".into());
        if has_raw {
            head.push("of raw".into());
        }
        head.push("CPU s/GB".into());
        table(head, rows)
    }

    fn latencies(&self) -> Vec<String> {
        let targets = &self.bench.targets;
        let mut rows = Vec::new();
        for &workload in self.workloads {
            if !workload.is_random() || !self.was_measured(workload, true) {
                continue;
            }
            let found: Vec<_> = (0..targets.len())
                .map(|at| self.medians(workload, true, at).latencies)
                .collect();
            let mut add = |kind: &str, value: fn(&Latencies) -> f64| {
                let mut row = vec![format!("{} {kind}", workload.name())];
                row.extend(found.iter().map(|one| digits(one.as_ref().map(value), 0)));
                rows.push(row);
            };
            add("p50", |one| one.p50_us);
            add("p99", |one| one.p99_us);
            add("max", |one| one.max_us);
        }
        let mut head = vec!["microseconds, cold".to_owned()];
        head.extend(targets.iter().map(|target| target.name.clone()));
        table(head, rows)
    }
}

/// An empty line, the head and the rows, if there are any.
fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    for row in std::iter::once(&head).chain(&rows) {
        let cells = row.iter().zip(&head).enumerate().map(|(at, (cell, name))| {
            let width = name.chars().count().max(8);
            if at == 0 {
                format!("{cell:20}")
            } else {
                format!("  {cell:>width$}")
            }
        });
        lines.push(cells.collect());
    }
    lines
}

fn latencies_json(latencies: &Latencies) -> Value {
    json!({
        "reads": latencies.reads,
        "p50_us": latencies.p50_us,
        "p99_us": latencies.p99_us,
        "max_us": latencies.max_us,
    })
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

fn digits(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

const fn cache(cold: bool) -> &'static str {
    if cold { "cold" } else { "warm" }
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}
