//! What `bench` prints: a table, one JSON object, or comma-separated values.

use std::num::NonZeroUsize;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::figures::{Figures, Times};
use crate::console::size::megabytes;
use crate::console::text_table::{Column, TextTable, left, right};

/// All that was measured.
pub(super) struct CodecReport<'a> {
    pub(super) path: &'a Path,
    pub(super) original_bytes: u64,
    pub(super) threads: NonZeroUsize,
    pub(super) rounds: NonZeroUsize,
    /// The smallest first.
    pub(super) results: &'a [Figures],
}

/// The fields of a result, the same and in the same order wherever they are printed for programs.
fn fields(figures: &Figures) -> Vec<(&'static str, Value)> {
    let speed = |seconds: Option<f64>| json!(seconds.map(|seconds| figures.mb_per_s(seconds)));
    vec![
        ("name", json!(figures.contender.to_string())),
        ("stored_bytes", json!(figures.stored_bytes)),
        ("ratio", json!(figures.ratio())),
        ("encode_seconds", json!(figures.encode.one)),
        ("encode_mb_per_s", speed(figures.encode.one)),
        ("encode_all_seconds", json!(figures.encode.all)),
        ("encode_all_mb_per_s", speed(figures.encode.all)),
        ("decode_seconds", json!(figures.decode.one)),
        ("decode_mb_per_s", speed(figures.decode.one)),
        ("decode_all_seconds", json!(figures.decode.all)),
        ("decode_all_mb_per_s", speed(figures.decode.all)),
        ("encode_peak_bytes", json!(figures.encode_peak_bytes)),
        ("decode_peak_bytes", json!(figures.decode_peak_bytes)),
        ("pareto", json!(figures.pareto)),
    ]
}

impl CodecReport<'_> {
    /// One object; what was not measured is null.
    pub(super) fn json(&self) -> Value {
        let object = |figures| {
            let named = fields(figures).into_iter();
            Value::Object(
                named
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<Map<_, _>>(),
            )
        };
        json!({
            "path": self.path.display().to_string(),
            "original_bytes": self.original_bytes,
            "threads": self.threads,
            "rounds": self.rounds,
            "results": self.results.iter().map(object).collect::<Vec<_>>(),
        })
    }

    /// A header line and a line for each result; what was not measured is empty. Names and numbers
    /// need no quotes.
    pub(super) fn csv(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for figures in self.results {
            let (names, values): (Vec<_>, Vec<_>) = fields(figures).into_iter().unzip();
            if lines.is_empty() {
                lines.push(names.join(","));
            }
            let values: Vec<_> = values.into_iter().map(csv_value).collect();
            lines.push(values.join(","));
        }
        lines
    }

    /// For people.
    pub(super) fn table(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{}: {:.1} MB; decoding: median of {}",
                self.path.display(),
                megabytes(self.original_bytes),
                self.rounds
            ),
            String::new(),
        ];
        lines.extend(self.groups());
        lines.extend(self.rows());
        lines.push(String::new());
        lines.push("* nothing else is as small and decodes as fast (1 thread)".to_owned());
        lines.extend(self.left_out());
        lines
    }

    /// The columns before those of times: star, name, bytes, ratio.
    fn first_columns(&self) -> [Column; 4] {
        let names = self
            .results
            .iter()
            .map(|one| one.contender.to_string().len());
        let name_width = names.max().unwrap_or(0);
        [left(1).after(0), left(name_width), right(13), right(8)]
    }

    /// What groups of columns are of, one line over the names of the columns.
    fn groups(&self) -> Vec<String> {
        let mut threads = vec!["1 thread".to_owned()];
        if self.has_many_threads() {
            threads.push(format!("{} threads", self.threads));
        }
        let mut columns = self.first_columns().to_vec();
        let mut cells = vec![String::new(); columns.len()];
        for work in ["encode", "decode"] {
            for threads in &threads {
                columns.push(right(17));
                cells.push(format!("{work}, {threads}"));
            }
        }
        columns.push(left(0).after(2));
        cells.push("peak memory, MB".to_owned());
        let mut table = TextTable::new(columns);
        table.row(cells);
        table.into_lines()
    }

    fn rows(&self) -> Vec<String> {
        let mut columns = self.first_columns().to_vec();
        let mut names = ["", "codec", "stored bytes", "ratio"]
            .map(str::to_owned)
            .to_vec();
        let times = if self.has_many_threads() { 4 } else { 2 };
        for _ in 0..times {
            columns.extend([right(9), right(8).after(0)]);
            names.extend(["s", "MB/s"].map(str::to_owned));
        }
        columns.extend([right(8).after(2), right(7).after(0)]);
        names.extend(["encode", "decode"].map(str::to_owned));
        let mut table = TextTable::new(columns);
        table.row(names);
        for figures in self.results {
            table.row(self.row(figures));
        }
        table.into_lines()
    }

    fn row(&self, figures: &Figures) -> Vec<String> {
        let ratio = figures.ratio();
        // A file of zeros has no use for more.
        let digits = if ratio < 1000.0 { 4 } else { 1 };
        let mut cells = vec![
            if figures.pareto { "*" } else { " " }.to_owned(),
            figures.contender.to_string(),
            figures.stored_bytes.to_string(),
            format!("{ratio:.digits$}"),
        ];
        for Times { one, all } in [figures.encode, figures.decode] {
            let all = self.has_many_threads().then_some(all);
            for seconds in [one].into_iter().chain(all) {
                cells.extend(match seconds {
                    Some(seconds) => [short(seconds), short(figures.mb_per_s(seconds))],
                    None => ["-", "-"].map(str::to_owned),
                });
            }
        }
        for bytes in [figures.encode_peak_bytes, figures.decode_peak_bytes] {
            cells.push(format!("{:.1}", megabytes(bytes)));
        }
        cells
    }

    fn left_out(&self) -> Option<String> {
        let names: Vec<_> = self
            .results
            .iter()
            .filter(|figures| figures.encode.one.is_none())
            .map(|figures| figures.contender.to_string())
            .collect();
        (!names.is_empty()).then(|| {
            format!(
                "- encoding on 1 thread was left out, since it took over a minute on all: {}",
                names.join(", ")
            )
        })
    }

    /// Otherwise one thread is all there are, and one column says it.
    fn has_many_threads(&self) -> bool {
        self.threads.get() > 1
    }
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    let digits = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    // Times on small files would all be 0.00.
    if value < 0.1 {
        return format!("{value:.4}");
    }
    format!("{value:.digits$}")
}

fn csv_value(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
pub(super) mod tests {
    use super::*;
    use crate::bench::codecs::contender::Contender;

    /// An archive, a stream, and an archive that encoded for too long.
    pub(crate) fn results() -> Vec<Figures> {
        let both = |one, all| Times { one, all };
        [
            (
                "lzma:max",
                1_000_000,
                both(None, Some(100.0)),
                both(Some(0.5), Some(0.25)),
            ),
            (
                "weights:max",
                1_250_000,
                both(Some(0.5), Some(0.25)),
                both(Some(0.1), Some(0.05)),
            ),
            (
                "gzip-6",
                1_600_000,
                both(Some(2.0), None),
                both(Some(0.2), None),
            ),
        ]
        .map(|(name, stored_bytes, encode, decode)| Figures {
            contender: Contender::parse_list(name, true).unwrap()[0],
            original_bytes: 2_000_000,
            stored_bytes,
            encode,
            decode,
            encode_peak_bytes: 30_000_000,
            decode_peak_bytes: 20_000_000,
            pareto: name != "gzip-6",
        })
        .to_vec()
    }

    pub(crate) fn report<'a>(path: &'a str, results: &'a [Figures]) -> CodecReport<'a> {
        CodecReport {
            path: Path::new(path),
            original_bytes: 2_000_000,
            threads: NonZeroUsize::new(2).unwrap(),
            rounds: NonZeroUsize::new(3).unwrap(),
            results,
        }
    }

    #[test]
    fn json_has_null_for_what_was_not_measured() {
        let results = results();
        let json = report("m.safetensors", &results).json();
        assert_eq!(json["path"], "m.safetensors");
        assert_eq!(json["original_bytes"], 2_000_000);
        assert_eq!((&json["threads"], &json["rounds"]), (&2.into(), &3.into()));
        assert_eq!(
            json["results"][1],
            serde_json::json!({
                "name": "weights:max", "stored_bytes": 1_250_000, "ratio": 1.6,
                "encode_seconds": 0.5, "encode_mb_per_s": 4.0,
                "encode_all_seconds": 0.25, "encode_all_mb_per_s": 8.0,
                "decode_seconds": 0.1, "decode_mb_per_s": 20.0,
                "decode_all_seconds": 0.05, "decode_all_mb_per_s": 40.0,
                "encode_peak_bytes": 30_000_000, "decode_peak_bytes": 20_000_000,
                "pareto": true,
            })
        );
        assert_eq!(json["results"][0]["encode_seconds"], Value::Null);
        assert_eq!(json["results"][2]["decode_all_mb_per_s"], Value::Null);
    }

    #[test]
    fn csv_has_the_fields_of_json_and_nothing_for_what_was_not_measured() {
        let results = results();
        let csv = report("m", &results).csv();
        assert_eq!(
            csv,
            [
                "name,stored_bytes,ratio,encode_seconds,encode_mb_per_s,encode_all_seconds,\
                 encode_all_mb_per_s,decode_seconds,decode_mb_per_s,decode_all_seconds,\
                 decode_all_mb_per_s,encode_peak_bytes,decode_peak_bytes,pareto",
                "lzma:max,1000000,2.0,,,100.0,0.02,0.5,4.0,0.25,8.0,30000000,20000000,true",
                "weights:max,1250000,1.6,0.5,4.0,0.25,8.0,0.1,20.0,0.05,40.0,30000000,20000000,true",
                "gzip-6,1600000,1.25,2.0,1.0,,,0.2,10.0,,,30000000,20000000,false",
            ]
        );
    }

    #[test]
    fn the_table_is_aligned_and_says_what_was_left_out() {
        let results = results();
        let lines = report("m", &results).table();
        assert!(
            lines[2..7].iter().all(|line| line.len() == lines[3].len()),
            "{lines:?}"
        );
        assert!(lines[4].starts_with("* lzma:max "), "{lines:?}");
        assert!(lines[6].starts_with("  gzip-6 "), "{lines:?}");
        assert!(
            lines[9].ends_with("over a minute on all: lzma:max"),
            "{lines:?}"
        );
        // Without it there is no such line.
        assert_eq!(report("m", &results[1..]).table().len(), 8);
        // One thread is not told twice.
        let one = CodecReport {
            threads: NonZeroUsize::MIN,
            ..report("m", &results)
        };
        let lines = one.table();
        let table = lines.join("\n");
        assert_eq!(table.matches(", 1 thread").count(), 2, "{table}");
        assert!(
            lines[2..7].iter().all(|line| line.len() == lines[3].len()),
            "{lines:?}"
        );
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.00123, "0.0012"),
            (0.5, "0.50"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.96, "100"),
            (1234.5, "1234"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
