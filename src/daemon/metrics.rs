//! `mount --metrics`: the statistics of a mount as Prometheus reads them, in its text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Pure: what serves the text is in `metrics_server`. A metric more is a line more in `metrics`.

use std::fmt::{Display, Write as _};

use crate::file::{READ_SIZES, ReadStats};
use crate::fs::{MountStats, PackingStats};

/// What a page in this format says it is.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric: what it is called behind `weightfs_`, what it is, and its samples.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// What stands behind the name, labels included, and the value.
    samples: Vec<(String, String)>,
}

/// The page.
pub(crate) fn page(stats: &MountStats) -> String {
    let mut page = String::new();
    for metric in metrics(stats) {
        let Metric {
            name, kind, help, ..
        } = metric;
        // Writing to a String does not fail.
        let _ = writeln!(page, "# HELP weightfs_{name} {help}");
        let _ = writeln!(page, "# TYPE weightfs_{name} {kind}");
        for (behind, value) in metric.samples {
            let _ = writeln!(page, "weightfs_{name}{behind} {value}");
        }
    }
    page
}

/// All there are, one a line. Names end in their unit, and those of counters in `_total` behind that.
#[rustfmt::skip]
fn metrics(stats: &MountStats) -> Vec<Metric> {
    let (reads, cache, ahead) = (&stats.reads, &stats.cache, &stats.prefetch);
    let mut all = vec![
        build_info(),
        gauge("uptime_seconds", "Time since it was mounted.", Some(stats.seconds)),
        gauge("open_files", "Files that are open.", Some(stats.open_files)),
        gauge("memory_bytes", "Memory of the process that is its own.", stats.memory_bytes),
        gauge("open_files_without_base", "Of the files that are open, those that rest on a base that is not there.", Some(stats.open_files_without_base as u64)),
        gauge("open_lossy_files", "Of the files that are open, those of lossy archives.", Some(stats.open_lossy_files as u64)),
        gauge("source_changed", "1 if SRC names something else now than what is shown.", Some(u8::from(stats.source_changed))),
        counter("served_bytes_total", "Bytes of answers to reads.", reads.bytes),
        read_sizes(reads),
        counter("failed_reads_total", "Reads that ended in an error.", reads.failed),
        counter("blocks_decoded_total", "Blocks that were decoded, or tried to.", cache.decodes),
        counter("decode_seconds_total", "Time that took, over all threads.", cache.decode_nanoseconds as f64 / 1e9),
        counter("cache_hits_total", "Blocks that were found in the cache.", cache.hits),
        counter("cache_waits_total", "Blocks that another thread was decoding.", cache.waits),
        gauge("cache_bytes", "Bytes that the cache holds.", Some(cache.cached_bytes)),
        gauge("cache_budget_bytes", "Most bytes that the cache may hold.", Some(cache.budget_bytes)),
        counter("prefetch_issued_bytes_total", "Bytes of files that were to be fetched ahead.", ahead.issued_bytes),
        counter("prefetch_pushed_bytes_total", "Bytes of those that were pushed to the kernel.", ahead.pushed_bytes),
        counter("prefetch_used_bytes_total", "Bytes of those that a reader has passed since.", ahead.used_bytes),
        counter("prefetch_wasted_bytes_total", "Bytes of those that no reader came to.", ahead.wasted_bytes),
        counter("prefetch_skipped_bytes_total", "Bytes of those that were not fetched.", ahead.skipped_bytes),
    ];
    all.extend(stats.packing.iter().flat_map(packing));
    all
}

/// Those of a mount that packs what is written to it.
#[rustfmt::skip]
fn packing(packing: &PackingStats) -> Vec<Metric> {
    vec![
        gauge("packing_queued_files", "Files that wait to be packed.", Some(packing.queued_files)),
        gauge("packing_queued_bytes", "Bytes of those.", Some(packing.queued_bytes)),
        gauge("packing", "1 while a file is being packed.", Some(u8::from(packing.packing.is_some()))),
        gauge("packing_waits", "1 while packing waits for readers, memory or the disk.", Some(u8::from(packing.waits_for.is_some()))),
        counter("packed_files_total", "Files that were packed.", packing.packed_files),
        counter("packed_bytes_total", "Bytes of those.", packing.original_bytes),
        counter("packed_saved_bytes_total", "Bytes of the disk that this saves.", packing.saved_bytes),
        counter("packing_failed_files_total", "Files that could not be packed.", packing.failed_files),
    ]
}

fn counter(name: &'static str, help: &'static str, value: impl Display) -> Metric {
    Metric {
        name,
        kind: "counter",
        help,
        samples: vec![(String::new(), value.to_string())],
    }
}

/// Without a sample where the value is not known.
fn gauge(name: &'static str, help: &'static str, value: Option<impl Display>) -> Metric {
    Metric {
        name,
        kind: "gauge",
        help,
        samples: value
            .map(|value| (String::new(), value.to_string()))
            .into_iter()
            .collect(),
    }
}

/// The version as a label, so that it can be joined to other metrics.
fn build_info() -> Metric {
    let label = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    Metric {
        name: "build_info",
        kind: "gauge",
        help: "Always 1; the label tells the version.",
        samples: vec![(label, "1".into())],
    }
}

/// Reads that were answered, counted by the bytes of the answer. Each bucket holds those of all
/// buckets before it.
fn read_sizes(reads: &ReadStats) -> Metric {
    let mut samples = Vec::new();
    let mut count = 0u64;
    for (most, reads) in READ_SIZES.iter().zip(reads.by_size) {
        count = count.saturating_add(reads);
        let most = match *most {
            u64::MAX => "+Inf".into(),
            most => most.to_string(),
        };
        samples.push((format!("_bucket{{le=\"{most}\"}}"), count.to_string()));
    }
    samples.push(("_sum".into(), reads.bytes.to_string()));
    samples.push(("_count".into(), count.to_string()));
    Metric {
        name: "read_size_bytes",
        kind: "histogram",
        help: "Reads that were answered, by the bytes of the answer.",
        samples,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::file::{CacheStats, PrefetchStats};

    fn example() -> MountStats {
        MountStats {
            seconds: 12.5,
            open_files: 2,
            memory_bytes: Some(30_000_000),
            open_lossy_files: 1,
            open_files_without_base: 0,
            source_changed: false,
            reads: ReadStats {
                bytes: 5_000_000_000_000_001,
                failed: 1,
                by_size: [1, 0, 2, 3, 0, 4],
            },
            cache: CacheStats {
                budget_bytes: 1 << 28,
                cached_bytes: 1 << 20,
                hits: 7,
                waits: 8,
                decodes: 9,
                decode_nanoseconds: 1_250_000_000,
            },
            prefetch: PrefetchStats {
                issued_bytes: 50,
                pushed_bytes: 40,
                used_bytes: 30,
                wasted_bytes: 20,
                skipped_bytes: 10,
            },
            packing: None,
        }
    }

    fn example_that_packs() -> MountStats {
        MountStats {
            packing: Some(PackingStats {
                queued_files: 1,
                queued_bytes: 2,
                packing: Some("a.safetensors".into()),
                waits_for: None,
                packed_files: 3,
                original_bytes: 4,
                saved_bytes: 5,
                failed_files: 6,
                last_failure: None,
            }),
            ..example()
        }
    }

    #[test]
    fn what_is_packed_is_told_where_packing_is_wanted() {
        let (without, with) = (page(&example()), page(&example_that_packs()));
        let behind = with.strip_prefix(&without).unwrap();
        let samples: Vec<_> = behind
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let expected = [
            "weightfs_packing_queued_files 1",
            "weightfs_packing_queued_bytes 2",
            "weightfs_packing 1",
            "weightfs_packing_waits 0",
            "weightfs_packed_files_total 3",
            "weightfs_packed_bytes_total 4",
            "weightfs_packed_saved_bytes_total 5",
            "weightfs_packing_failed_files_total 6",
        ];
        assert_eq!(samples, expected);
        conforms(&with);
    }

    #[test]
    fn the_page_of_an_example_is_this() {
        let expected = "\
# HELP weightfs_build_info Always 1; the label tells the version.
# TYPE weightfs_build_info gauge
weightfs_build_info{version=\"VERSION\"} 1
# HELP weightfs_uptime_seconds Time since it was mounted.
# TYPE weightfs_uptime_seconds gauge
weightfs_uptime_seconds 12.5
# HELP weightfs_open_files Files that are open.
# TYPE weightfs_open_files gauge
weightfs_open_files 2
# HELP weightfs_memory_bytes Memory of the process that is its own.
# TYPE weightfs_memory_bytes gauge
weightfs_memory_bytes 30000000
# HELP weightfs_open_files_without_base Of the files that are open, those that rest on a base that is not there.
# TYPE weightfs_open_files_without_base gauge
weightfs_open_files_without_base 0
# HELP weightfs_open_lossy_files Of the files that are open, those of lossy archives.
# TYPE weightfs_open_lossy_files gauge
weightfs_open_lossy_files 1
# HELP weightfs_source_changed 1 if SRC names something else now than what is shown.
# TYPE weightfs_source_changed gauge
weightfs_source_changed 0
# HELP weightfs_served_bytes_total Bytes of answers to reads.
# TYPE weightfs_served_bytes_total counter
weightfs_served_bytes_total 5000000000000001
# HELP weightfs_read_size_bytes Reads that were answered, by the bytes of the answer.
# TYPE weightfs_read_size_bytes histogram
weightfs_read_size_bytes_bucket{le=\"4096\"} 1
weightfs_read_size_bytes_bucket{le=\"16384\"} 1
weightfs_read_size_bytes_bucket{le=\"65536\"} 3
weightfs_read_size_bytes_bucket{le=\"131072\"} 6
weightfs_read_size_bytes_bucket{le=\"524288\"} 6
weightfs_read_size_bytes_bucket{le=\"+Inf\"} 10
weightfs_read_size_bytes_sum 5000000000000001
weightfs_read_size_bytes_count 10
# HELP weightfs_failed_reads_total Reads that ended in an error.
# TYPE weightfs_failed_reads_total counter
weightfs_failed_reads_total 1
# HELP weightfs_blocks_decoded_total Blocks that were decoded, or tried to.
# TYPE weightfs_blocks_decoded_total counter
weightfs_blocks_decoded_total 9
# HELP weightfs_decode_seconds_total Time that took, over all threads.
# TYPE weightfs_decode_seconds_total counter
weightfs_decode_seconds_total 1.25
# HELP weightfs_cache_hits_total Blocks that were found in the cache.
# TYPE weightfs_cache_hits_total counter
weightfs_cache_hits_total 7
# HELP weightfs_cache_waits_total Blocks that another thread was decoding.
# TYPE weightfs_cache_waits_total counter
weightfs_cache_waits_total 8
# HELP weightfs_cache_bytes Bytes that the cache holds.
# TYPE weightfs_cache_bytes gauge
weightfs_cache_bytes 1048576
# HELP weightfs_cache_budget_bytes Most bytes that the cache may hold.
# TYPE weightfs_cache_budget_bytes gauge
weightfs_cache_budget_bytes 268435456
# HELP weightfs_prefetch_issued_bytes_total Bytes of files that were to be fetched ahead.
# TYPE weightfs_prefetch_issued_bytes_total counter
weightfs_prefetch_issued_bytes_total 50
# HELP weightfs_prefetch_pushed_bytes_total Bytes of those that were pushed to the kernel.
# TYPE weightfs_prefetch_pushed_bytes_total counter
weightfs_prefetch_pushed_bytes_total 40
# HELP weightfs_prefetch_used_bytes_total Bytes of those that a reader has passed since.
# TYPE weightfs_prefetch_used_bytes_total counter
weightfs_prefetch_used_bytes_total 30
# HELP weightfs_prefetch_wasted_bytes_total Bytes of those that no reader came to.
# TYPE weightfs_prefetch_wasted_bytes_total counter
weightfs_prefetch_wasted_bytes_total 20
# HELP weightfs_prefetch_skipped_bytes_total Bytes of those that were not fetched.
# TYPE weightfs_prefetch_skipped_bytes_total counter
weightfs_prefetch_skipped_bytes_total 10
";
        let expected = expected.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(page(&example()), expected);
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let unknown = MountStats {
            memory_bytes: None,
            ..example()
        };
        let page = page(&unknown);
        assert!(page.contains("# TYPE weightfs_memory_bytes gauge"));
        assert!(!page.contains("\nweightfs_memory_bytes"));
        conforms(&page);
    }

    #[test]
    fn the_page_conforms_to_the_format() {
        conforms(&page(&example()));
    }

    /// Every sample belongs to a metric that says what it is before it, by rules of the format and
    /// of its naming.
    fn conforms(page: &str) {
        assert!(page.is_ascii() && page.ends_with('\n'));
        let mut kinds = HashMap::new();
        let mut helped = None;
        let mut current = ("", "");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
                helped = Some(name);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                current = rest.split_once(' ').unwrap();
                let (name, kind) = current;
                assert_eq!(helped.take(), Some(name), "HELP and TYPE go together");
                assert!(kinds.insert(name, kind).is_none(), "{name} is told twice");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(name.starts_with("weightfs_"), "{line}");
                assert!(
                    name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                    "{line}"
                );
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let value: f64 = value.parse().unwrap();
                assert!(value >= 0.0 && value.is_finite(), "{line}");
                let (name, kind) = current;
                let behind = sample.strip_prefix(name).unwrap();
                match kind {
                    "histogram" => {
                        if let Some(rest) = behind.strip_prefix("_bucket{le=\"") {
                            let most = rest.strip_suffix("\"}").unwrap();
                            buckets.push((most.parse().unwrap(), value));
                        } else if behind == "_count" {
                            assert_eq!(buckets.last(), Some(&(f64::INFINITY, value)));
                        } else {
                            assert_eq!(behind, "_sum");
                        }
                    }
                    _ if name == "weightfs_build_info" => {
                        assert!(behind.starts_with("{version=\"") && behind.ends_with("\"}"));
                    }
                    _ => assert_eq!(behind, "", "{line}"),
                }
            }
        }
        assert_eq!(buckets.len(), READ_SIZES.len());
        assert!(
            buckets
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1)
        );
    }
}
