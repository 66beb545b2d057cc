//! What `bench-mount` prints for people.

use super::args::{NULL, RAW};
use super::mount_report::{MountReport, cache};
use super::random::Latencies;
use crate::console::size::{self, megabytes};
use crate::console::text_table::{TextTable, left, right};
use crate::os::{cpu, kernel};
use crate::sync::cores;

impl MountReport<'_> {
    pub(super) fn text(&self) -> Vec<String> {
        let setup = &self.rounds.setup;
        let stored = setup.stored_bytes().map_or(0.0, megabytes);
        let mut lines = vec![
            format!(
                "{}: {:.1} MB, stored in {stored:.1} MB; {}; rounds: {}",
                setup.args.archive.display(),
                megabytes(setup.targets[0].bytes),
                if setup.args.storage {
                    "cold: everything from the disk"
                } else {
                    "cold: archive in the page cache, decoded bytes not"
                },
                setup.args.rounds
            ),
            format!("{}, {} cores, Linux {}", cpu(), cores(), kernel()),
            format!(
                "{} threads, cache {}, readahead {} (asked for: {})",
                setup.options.threads,
                size::show(setup.options.cache_bytes as u64),
                self.readahead[0].map_or("unknown".into(), size::show),
                size::show(setup.options.readahead_bytes)
            ),
        ];
        for cold in [true, false] {
            lines.extend(self.speeds(cold));
        }
        lines.extend(self.latencies());
        lines.push(String::new());
        if let Some(bytes) = setup.targets[0].peak_bytes {
            lines.push(format!("peak memory of the mount: {}", size::show(bytes)));
        }
        lines.extend(self.rounds.notes.iter().map(|note| format!("note: {note}")));
        lines
    }

    /// Names of the targets.
    fn names(&self) -> impl Iterator<Item = String> {
        let targets = self.rounds.setup.targets.iter();
        targets.map(|target| target.name.clone())
    }

    fn speeds(&self, cold: bool) -> Vec<String> {
        let rounds = self.rounds;
        let compared: Vec<_> = [NULL, RAW]
            .into_iter()
            .filter(|other| self.names().any(|name| name == *other))
            .collect();
        let mut rows = Vec::new();
        for &workload in self.workloads {
            if workload.is_random() || !rounds.was_measured(workload, cold) {
                continue;
            }
            let of_target = |at| rounds.medians(workload, cold, at);
            let mut row = vec![workload.name()];
            row.extend((0..self.names().count()).map(|at| digits(of_target(at).gb_per_s, 2)));
            let parts = compared.iter();
            row.extend(parts.map(|other| digits(rounds.speed_of(workload, cold, other), 2)));
            row.push(digits(of_target(0).cpu_seconds_per_gb, 2));
            rows.push(row);
        }
        let mut head = vec![format!("GB/s, {}", cache(cold))];
        head.extend(self.names());
        head.extend(compared.iter().map(|other| format!("of {other}")));
        head.push("CPU s/GB".into());
        table(head, rows)
    }

    fn latencies(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for &workload in self.workloads {
            if !workload.is_random() || !self.rounds.was_measured(workload, true) {
                continue;
            }
            let found: Vec<_> = (0..self.names().count())
                .map(|at| self.rounds.medians(workload, true, at).latencies)
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
        head.extend(self.names());
        table(head, rows)
    }
}

/// An empty line, the head and the rows, if there are any.
fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let figures = head.iter().skip(1);
    let figures = figures.map(|name| right(name.chars().count().max(8)).after(2));
    let mut table = TextTable::new([left(20).after(0)].into_iter().chain(figures));
    table.row(head);
    for row in rows {
        table.row(row);
    }
    let mut lines = vec![String::new()];
    lines.extend(table.into_lines());
    lines
}

fn digits(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}
