//! What `bench` prints: a table, one JSON object, or comma-separated values.

use std::num::NonZeroUsize;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::bench::codecs::{Figures, Times};

/// All that was measured.
pub(super) struct Report<'a> {
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

impl Report<'_> {
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
    pub(super) fn csv(&self) -> String {
        let mut lines = Vec::new();
        for figures in self.results {
            let (names, values): (Vec<_>, Vec<_>) = fields(figures).into_iter().unzip();
            if lines.is_empty() {
                lines.push(names.join(","));
            }
            let values: Vec<_> = values.into_iter().map(csv_value).collect();
            lines.push(values.join(","));
        }
        lines.join("\n")
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let name_width = self
            .results
            .iter()
            .map(|figures| figures.contender.to_string().len())
            .max()
            .unwrap_or(0);
        let mut threads = vec!["1 thread".to_owned()];
        if self.has_many_threads() {
            threads.push(format!("{} threads", self.threads));
        }
        let (mut above, mut units) = (String::new(), String::new());
        for work in ["encode", "decode"] {
            for threads in &threads {
                above += &format!(" {:>17}", format!("{work}, {threads}"));
                units += &format!(" {:>9}{:>8}", "s", "MB/s");
            }
        }
        let mut lines = vec![
            format!(
                "{}: {:.1} MB; decoding: median of {}",
                self.path.display(),
                mega(self.original_bytes),
                self.rounds
            ),
            String::new(),
            format!(
                "  {:name_width$} {:>13} {:>8}{above}  peak memory, MB",
                "", "", ""
            ),
            format!(
                "  {:name_width$} {:>13} {:>8}{units}  {:>8}{:>7}",
                "codec", "stored bytes", "ratio", "encode", "decode",
            ),
        ];
        lines.extend(
            self.results
                .iter()
                .map(|figures| self.row(figures, name_width)),
        );
        lines.push(String::new());
        lines.push("* nothing else is as small and decodes as fast (1 thread)".to_owned());
        lines.extend(self.left_out());
        lines.join("\n")
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

    fn row(&self, figures: &Figures, name_width: usize) -> String {
        let pair = |seconds: Option<f64>| {
            let [seconds, speed] = match seconds {
                Some(seconds) => [short(seconds), short(figures.mb_per_s(seconds))],
                None => ["-", "-"].map(str::to_owned),
            };
            format!(" {seconds:>9}{speed:>8}")
        };
        let pairs = |times: Times| {
            let all = self.has_many_threads().then(|| pair(times.all));
            pair(times.one) + &all.unwrap_or_default()
        };
        let ratio = figures.ratio();
        format!(
            "{} {:name_width$} {:>13} {ratio:>8.digits$}{}{}  {:>8.1}{:>7.1}",
            if figures.pareto { "*" } else { " " },
            figures.contender.to_string(),
            figures.stored_bytes,
            pairs(figures.encode),
            pairs(figures.decode),
            mega(figures.encode_peak_bytes),
            mega(figures.decode_peak_bytes),
            // A file of zeros has no use for more.
            digits = if ratio < 1000.0 { 4 } else { 1 },
        )
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

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
pub(super) mod tests {
    use super::*;
    use crate::bench::codecs::Contender;

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
            contender: Contender::parse_list(name).unwrap()[0],
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

    pub(crate) fn report<'a>(path: &'a str, results: &'a [Figures]) -> Report<'a> {
        Report {
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
            csv.lines().collect::<Vec<_>>(),
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
        let table = report("m", &results).table();
        let lines: Vec<_> = table.lines().collect();
        assert!(
            lines[2..7].iter().all(|line| line.len() == lines[3].len()),
            "{table}"
        );
        assert!(lines[4].starts_with("* lzma:max "), "{table}");
        assert!(lines[6].starts_with("  gzip-6 "), "{table}");
        assert!(
            lines[9].ends_with("over a minute on all: lzma:max"),
            "{table}"
        );
        // Without it there is no such line.
        assert_eq!(report("m", &results[1..]).table().lines().count(), 8);
        // One thread is not told twice.
        let one = Report {
            threads: NonZeroUsize::MIN,
            ..report("m", &results)
        };
        let table = one.table();
        assert_eq!(table.matches(", 1 thread").count(), 2, "{table}");
        let lines: Vec<_> = table.lines().collect();
        assert!(
            lines[2..7].iter().all(|line| line.len() == lines[3].len()),
            "{table}"
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
