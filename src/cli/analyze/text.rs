//! `analyze`: the report for terminals and for programs.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::html;
use crate::cli::args::AnalyzeArgs;
use crate::console::progress::{Stop, watched};
use crate::console::{Outcome, print, size};
use crate::error::{Error, Result};
use crate::job::{
    self, Analysis, AnalyzeOptions, Ceiling, DtypeFacts, Expected, TensorFacts, Values,
};
use crate::sync::cores;

/// Below this, what is saved does not make up for the trouble.
const WORTH_IT_RATIO: f64 = 1.05;
/// Largest tensors that are listed.
const LISTED_TENSORS: usize = 8;

pub(crate) fn analyze(args: &AnalyzeArgs) -> Result<Outcome> {
    let options = AnalyzeOptions {
        sample_bytes: args.sample,
        threads: args.threads.unwrap_or_else(cores),
    };
    let start = Instant::now();
    let found = watched("analyzing", &Stop::on_signals()?, |monitor| {
        job::analyze(&args.path, &options, monitor)
    })?;
    let time = start.elapsed();
    if let Some(path) = &args.html {
        fs::write(path, html::report(&found))
            .map_err(|e| Error::io(format!("cannot write {}", path.display()), e))?;
    }
    print(&if args.json {
        as_json(&found, time)?.to_string()
    } else {
        as_text(&found, time)
    })?;
    Ok(Outcome::Done)
}

/// Whether to pack, in one sentence.
pub(super) fn advice(found: &Analysis) -> String {
    let Expected { ratio, .. } = found.expected.default;
    if found.original_bytes == 0 {
        "There is nothing to pack.".into()
    } else if ratio < WORTH_IT_RATIO {
        format!(
            "Packing is hardly worth it: {} of {} would be saved.",
            percent(1.0 - 1.0 / ratio),
            size::show(found.original_bytes)
        )
    } else {
        let saved = found
            .original_bytes
            .saturating_sub(found.expected.default.stored_bytes);
        format!(
            "Packing saves {} of {} ({}).",
            size::show(saved),
            size::show(found.original_bytes),
            percent(1.0 - 1.0 / ratio)
        )
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `part` of `whole` as a percentage, with more digits for small shares.
pub(super) fn share(part: f64, whole: f64) -> String {
    let share = 100.0 * part / whole.max(1.0);
    match share {
        0.0 => "0 %".into(),
        0.1.. => format!("{share:.2} %"),
        0.0005.. => format!("{share:.4} %"),
        _ => format!("{share:.1e} %"),
    }
}

pub(super) fn tensors_of(dtype: &DtypeFacts) -> String {
    match dtype.tensors {
        1 => "1 tensor".into(),
        count => format!("{count} tensors"),
    }
}

/// All tensors, the largest first.
pub(super) fn largest_tensors(found: &Analysis) -> Vec<&TensorFacts> {
    let mut largest: Vec<_> = found.tensors.iter().collect();
    largest.sort_by_key(|tensor| std::cmp::Reverse(tensor.bytes));
    largest
}

fn as_json(found: &Analysis, time: Duration) -> Result<Value> {
    let mut value = serde_json::to_value(found)
        .map_err(|e| Error::io("cannot write the report as JSON", e.into()))?;
    if let Some(object) = value.as_object_mut() {
        let expected = found.expected.default;
        object.insert("stored_bytes".into(), json!(expected.stored_bytes));
        object.insert("ratio".into(), json!(expected.ratio));
        object.insert("seconds".into(), json!(time.as_secs_f64()));
        object.insert("advice".into(), json!(advice(found)));
    }
    Ok(value)
}

fn as_text(found: &Analysis, time: Duration) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = structure(&mut text, found);
    for dtype in &found.dtypes {
        let _ = of_dtype(&mut text, dtype);
    }
    let _ = over_all(&mut text, found);
    let _ = write!(
        text,
        "{}\n{} looked at in {:.1} s",
        advice(found),
        size::show(found.sampled_bytes),
        time.as_secs_f64()
    );
    text
}

fn structure(text: &mut String, found: &Analysis) -> std::fmt::Result {
    for file in &found.files {
        writeln!(text, "{}: {}", file.path.display(), size::show(file.bytes))?;
        if file.header_bytes == 0 {
            writeln!(text, "  not safetensors; taken as plain bytes")?;
        } else {
            writeln!(
                text,
                "  header {} bytes ({}), {} tensors",
                file.header_bytes,
                share(file.header_bytes as f64, file.bytes as f64),
                file.tensors
            )?;
        }
    }
    writeln!(text, "{} parameters; largest tensors:", found.parameters)?;
    for tensor in largest_tensors(found).iter().take(LISTED_TENSORS) {
        writeln!(
            text,
            "  {:>11}  {:<8} {:?} {}",
            size::show(tensor.bytes),
            tensor.dtype,
            tensor.shape,
            tensor.name
        )?;
    }
    Ok(())
}

fn of_dtype(text: &mut String, dtype: &DtypeFacts) -> std::fmt::Result {
    let statistics = &dtype.statistics;
    let entropy = &statistics.entropy;
    writeln!(
        text,
        "\n{}: {} in {}, {} elements",
        dtype.dtype,
        size::show(dtype.bytes),
        tensors_of(dtype),
        dtype.parameters
    )?;
    writeln!(text, "  entropy in bits")?;
    writeln!(
        text,
        "    any byte                     {:.3}",
        entropy.bytes
    )?;
    let top = entropy.planes.len() - 1;
    for (place, bits) in entropy.planes.iter().enumerate().rev() {
        let which = match place {
            0 if top == 0 => "byte".into(),
            0 => "lowest byte".into(),
            place if place == top => "highest byte".into(),
            place => format!("byte {place} from the lowest"),
        };
        writeln!(text, "    {which:<28} {bits:.3}")?;
    }
    let optional = [
        ("exponent", entropy.exponent),
        ("sign and mantissa", entropy.sign_mantissa),
    ];
    for (what, bits) in optional {
        if let Some(bits) = bits {
            writeln!(text, "    {what:<28} {bits:.3}")?;
        }
    }
    for (what, bits) in [
        ("whole value", entropy.joint),
        ("byte after the byte before", entropy.bytes_after_byte),
        ("highest byte after highest", entropy.top_after_top),
        ("difference of highest bytes", entropy.top_delta),
        ("exclusive or of those", entropy.top_xor),
    ] {
        writeln!(text, "    {what:<28} {bits:.3}")?;
    }
    writeln!(
        text,
        "  ceiling of coding each byte {:.4}, whole values {:.4}",
        statistics.byte_marginal, statistics.joint
    )?;
    if let Some(frequent) = dtype.frequent.last() {
        writeln!(text, "  most frequent highest bytes")?;
        for value in frequent {
            let meaning = value.meaning.as_deref().unwrap_or("");
            let share = percent(value.share);
            writeln!(text, "    0x{:02x} {share:>7}  {meaning}", value.value)?;
        }
    }
    if let Some(values) = &statistics.values {
        of_values(text, values)?;
    }
    Ok(())
}

fn of_values(text: &mut String, values: &Values) -> std::fmt::Result {
    let of_all = |count| share(count, values.count);
    writeln!(
        text,
        "  values from {:.4} to {:.4}, mean {:.2e}, deviation {:.4}",
        values.min, values.max, values.mean, values.deviation
    )?;
    writeln!(
        text,
        "    zero {}, negative {}, below 0.1 {}, 0.1 to 1 {}, 1 and more {}",
        of_all(values.zeros),
        of_all(values.negative),
        of_all(values.below_tenth),
        of_all(values.below_one),
        of_all(values.one_and_more),
    )?;
    writeln!(
        text,
        "    not a number {}, infinite {}, subnormal {}",
        of_all(values.nan),
        of_all(values.infinite),
        of_all(values.subnormal)
    )
}

fn over_all(text: &mut String, found: &Analysis) -> std::fmt::Result {
    writeln!(text)?;
    let ceilings = [
        ("each byte on its own", found.byte_marginal),
        ("whole values", found.joint),
    ];
    for (what, ceiling) in ceilings {
        if let Some(Ceiling { mean, low, high }) = ceiling {
            writeln!(
                text,
                "ceiling over all float tensors, {what}: {mean:.4} (95 % interval {low:.4} to {high:.4})"
            )?;
        }
    }
    if let Some(redundancy) = &found.redundancy {
        writeln!(
            text,
            "correlation of same tensors in neighbouring layers: median {:+.4} over {} pairs (5 to 95 %: {:+.4} to {:+.4})",
            redundancy.median, redundancy.pairs, redundancy.percentile_5, redundancy.percentile_95
        )?;
    }
    writeln!(text, "expected of packing:")?;
    for (level, expected) in levels(found) {
        writeln!(
            text,
            "  --level {level:<8} ratio {:.4}  {}",
            expected.ratio,
            size::show(expected.stored_bytes)
        )?;
    }
    Ok(())
}

/// The levels by name.
pub(super) fn levels(found: &Analysis) -> [(&'static str, Expected); 3] {
    [
        ("fast", found.expected.fast),
        ("default", found.expected.default),
        ("max", found.expected.max),
    ]
}
