//! The report of `analyze` for terminals.

use std::time::Duration;

use super::beside::BesideBase;
use super::words::{advice, largest_tensors, levels, percent, share, tensors_of};
use crate::console::size;
use crate::console::text_table::{TextTable, left, right};
use crate::job::{
    Analysis, Ceiling, DtypeFacts, Entropies, NumberStatistics, RecordStatistics, Statistics,
    Values,
};
use crate::printable::printable_name;

/// Largest tensors that are listed.
const LISTED_TENSORS: usize = 8;

pub(super) fn as_lines(
    found: &Analysis,
    beside: Option<&BesideBase>,
    time: Duration,
) -> Vec<String> {
    let mut lines = Vec::new();
    structure(&mut lines, found);
    for dtype in &found.dtypes {
        of_dtype(&mut lines, dtype);
    }
    over_all(&mut lines, found);
    lines.push(advice(found));
    lines.extend(beside.map(BesideBase::line));
    lines.push(format!(
        "{} looked at in {:.1} s",
        size::show(found.sampled_bytes),
        time.as_secs_f64()
    ));
    lines
}

fn structure(lines: &mut Vec<String>, found: &Analysis) {
    for file in &found.files {
        lines.push(format!(
            "{}: {}",
            printable_name(&file.path),
            size::show(file.bytes)
        ));
        if file.header_bytes == 0 {
            let why = file
                .unread
                .as_deref()
                .unwrap_or("neither safetensors nor GGUF that can be read");
            lines.push(format!("  {why}; taken as plain bytes"));
        } else {
            lines.push(format!(
                "  header {} bytes ({}), {} tensors",
                file.header_bytes,
                share(file.header_bytes as f64, file.bytes as f64),
                file.tensors
            ));
        }
    }
    lines.push(format!("{} parameters; largest tensors:", found.parameters));
    let mut table = TextTable::new([right(11).after(2), left(8).after(2), left(0)]);
    for tensor in largest_tensors(found).iter().take(LISTED_TENSORS) {
        table.row([
            size::show(tensor.bytes),
            tensor.dtype.clone(),
            format!("{:?} {}", tensor.shape, tensor.name),
        ]);
    }
    lines.extend(table.into_lines());
}

fn of_dtype(lines: &mut Vec<String>, dtype: &DtypeFacts) {
    lines.push(String::new());
    lines.push(format!(
        "{}: {} in {}, {} elements",
        dtype.dtype,
        size::show(dtype.bytes),
        tensors_of(dtype),
        dtype.parameters
    ));
    match &dtype.statistics {
        Statistics::Numbers(numbers) => of_numbers(lines, dtype, numbers),
        Statistics::Records(records) => of_records(lines, records),
    }
}

fn of_numbers(lines: &mut Vec<String>, dtype: &DtypeFacts, statistics: &NumberStatistics) {
    lines.push("  entropy in bits".into());
    lines.extend(entropies(&statistics.entropy).into_lines());
    lines.push(format!(
        "  ceiling of coding each byte {:.4}, whole values {:.4}",
        statistics.byte_marginal, statistics.joint
    ));
    if let Some(frequent) = dtype.frequent.last() {
        lines.push("  most frequent highest bytes".into());
        let mut table = TextTable::new([left(4).after(4), right(7), left(0).after(2)]);
        for value in frequent {
            table.row([
                &format!("0x{:02x}", value.value),
                &percent(value.share),
                value.meaning.as_deref().unwrap_or(""),
            ]);
        }
        lines.extend(table.into_lines());
    }
    if let Some(values) = &statistics.values {
        of_values(lines, values);
    }
}

fn of_records(lines: &mut Vec<String>, found: &RecordStatistics) {
    lines.push("  fields, and their entropy in bits".into());
    let headings = [
        "order 0",
        "one table",
        "by neighbour",
        "by record",
        "corr. neighbour",
        "corr. record",
    ];
    let columns = headings.map(|heading| right(heading.len()).after(2));
    let first = [left(15).after(4), right(4), right(6)];
    let mut table = TextTable::new(first.into_iter().chain(columns));
    table.row(["", "bits", "each"].iter().chain(&headings));
    for field in &found.fields {
        let bits = |bits: Option<f64>| bits.map_or("-".into(), |bits| format!("{bits:.3}"));
        let signed = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:+.3}"));
        table.row([
            field.name.into(),
            field.bits.to_string(),
            format!("x {}", field.in_record),
            bits(Some(field.entropy)),
            bits(field.one_table),
            bits(field.after_neighbour),
            bits(field.after_record),
            signed(field.correlation_neighbour),
            signed(field.correlation_record),
        ]);
    }
    lines.extend(table.into_lines());
    lines.push(format!(
        "  ceiling of coding each field {:.4}",
        found.by_field
    ));
}

fn entropies(entropy: &Entropies) -> TextTable {
    let mut table = TextTable::new([left(28).after(4), left(0)]);
    let mut row = |what: &str, bits: f64| {
        table.row([what, &format!("{bits:.3}")]);
    };
    row("any byte", entropy.bytes);
    let top = entropy.planes.len() - 1;
    for (place, bits) in entropy.planes.iter().enumerate().rev() {
        match place {
            0 if top == 0 => row("byte", *bits),
            0 => row("lowest byte", *bits),
            place if place == top => row("highest byte", *bits),
            place => row(&format!("byte {place} from the lowest"), *bits),
        }
    }
    for (what, bits) in [
        ("exponent", entropy.exponent),
        ("sign and mantissa", entropy.sign_mantissa),
        ("whole value", Some(entropy.joint)),
        ("byte after the byte before", Some(entropy.bytes_after_byte)),
        ("highest byte after highest", Some(entropy.top_after_top)),
        ("difference of highest bytes", Some(entropy.top_delta)),
        ("exclusive or of those", Some(entropy.top_xor)),
    ] {
        if let Some(bits) = bits {
            row(what, bits);
        }
    }
    table
}

fn of_values(lines: &mut Vec<String>, values: &Values) {
    let of_all = |count| share(count, values.count);
    lines.push(format!(
        "  values from {:.4} to {:.4}, mean {:.2e}, deviation {:.4}",
        values.min, values.max, values.mean, values.deviation
    ));
    lines.push(format!(
        "    zero {}, negative {}, below 0.1 {}, 0.1 to 1 {}, 1 and more {}",
        of_all(values.zeros),
        of_all(values.negative),
        of_all(values.below_tenth),
        of_all(values.below_one),
        of_all(values.one_and_more),
    ));
    lines.push(format!(
        "    not a number {}, infinite {}, subnormal {}",
        of_all(values.nan),
        of_all(values.infinite),
        of_all(values.subnormal)
    ));
}

fn over_all(lines: &mut Vec<String>, found: &Analysis) {
    lines.push(String::new());
    // Beside quantized weights there are few floats, whose ratio says nothing of the file.
    let of_floats = |ceiling| match found.by_field_whole {
        Some(_) => None,
        None => ceiling,
    };
    let ceilings = [
        (
            "float tensors, each byte on its own",
            of_floats(found.byte_marginal),
        ),
        ("float tensors, whole values", of_floats(found.joint)),
        ("quantized tensors, each field on its own", found.by_field),
    ];
    for (what, ceiling) in ceilings {
        if let Some(Ceiling { mean, low, high }) = ceiling {
            lines.push(format!(
                "ceiling over all {what}: {mean:.4} (95 % interval {low:.4} to {high:.4})"
            ));
        }
    }
    if let Some(ratio) = found.by_field_whole {
        lines.push(format!(
            "ceiling of the whole, all but quantized tensors left as it is: {ratio:.4}"
        ));
    }
    if let Some(redundancy) = &found.redundancy {
        lines.push(format!("correlation of same tensors in neighbouring layers: median {:+.4} over {} pairs (5 to 95 %: {:+.4} to {:+.4})",
            redundancy.median, redundancy.pairs, redundancy.percentile_5, redundancy.percentile_95));
    }
    lines.push("expected of packing:".into());
    for (level, expected) in levels(found) {
        lines.push(format!(
            "  --level {level:<8} ratio {:.4}  {}",
            expected.ratio,
            size::show(expected.stored_bytes)
        ));
    }
}
