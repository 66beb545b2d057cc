//! What the demonstration found, as a table and as JSON.

use std::time::Duration;

use serde_json::json;

use super::reading::Way;
use crate::console::size::{self, ratio, show_speed};
use crate::job::Totals;

/// Times of reading all files of the model.
#[derive(Default)]
pub(super) struct Measured {
    /// Of all files.
    pub(super) bytes: u64,
    /// Way, warm, original, through the mount.
    pub(super) times: Vec<(Way, bool, Duration, Duration)>,
}

impl Measured {
    pub(super) fn json(&self, totals: &Totals, pack_time: Duration) -> serde_json::Value {
        json!({
            "original_bytes": totals.original_bytes,
            "stored_bytes": totals.stored_bytes,
            "ratio": ratio(totals.original_bytes, totals.stored_bytes),
            "seconds": pack_time.as_secs_f64(),
            "identical": true,
            "reads": self.times.iter().map(|(way, warm, raw, mounted)| json!({
                "way": way.name(),
                "warm": warm,
                "bytes": self.bytes,
                "original_seconds": raw.as_secs_f64(),
                "mounted_seconds": mounted.as_secs_f64(),
            })).collect::<Vec<_>>(),
        })
    }

    pub(super) fn table(&self, totals: &Totals, pack_time: Duration, files: usize) -> Vec<String> {
        let row = |what: &str, value: String| format!("{what:24}{value:>16}");
        let mut lines = vec![
            row("original", size::show(totals.original_bytes)),
            row("stored", size::show(totals.stored_bytes)),
            row(
                "ratio",
                format!("{:.4}", ratio(totals.original_bytes, totals.stored_bytes)),
            ),
            row(
                "packing, with read-back",
                show_speed(totals.original_bytes, pack_time),
            ),
            String::new(),
            format!(
                "{:24}{:>16}{:>16}",
                "reading", "through mount", "original file"
            ),
        ];
        lines.extend(self.times.iter().map(|(way, warm, raw, mounted)| {
            let what = format!("{}, {}", way.name(), if *warm { "warm" } else { "cold" });
            format!(
                "{what:24}{:>16}{:>16}",
                show_speed(self.bytes, *mounted),
                show_speed(self.bytes, *raw)
            )
        }));
        lines.push(String::new());
        lines.push(format!(
            "SHA-256 of {files} file(s) through the mount, by read() and by mmap: identical"
        ));
        lines
    }
}
