//! The report of `analyze` for terminals.

use std::fmt::Write as _;
use std::time::Duration;

use super::words::{advice, largest_tensors, levels, percent, share, tensors_of};
use crate::console::size;
use crate::console::text_table::{TextTable, left, right};
use crate::job::{Analysis, Ceiling, DtypeFacts, Entropies, Values};

/// Largest tensors that are listed.
const LISTED_TENSORS: usize = 8;

pub(super) fn as_text(found: &Analysis, time: Duration) -> String {
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
    let mut table = TextTable::new([right(11).after(2), left(8).after(2), left(0)]);
    for tensor in largest_tensors(found).iter().take(LISTED_TENSORS) {
        table.row([
            size::show(tensor.bytes),
            tensor.dtype.clone(),
            format!("{:?} {}", tensor.shape, tensor.name),
        ]);
    }
    lines(text, table)
}

fn of_dtype(text: &mut String, dtype: &DtypeFacts) -> std::fmt::Result {
    let statistics = &dtype.statistics;
    writeln!(
        text,
        "\n{}: {} in {}, {} elements",
        dtype.dtype,
        size::show(dtype.bytes),
        tensors_of(dtype),
        dtype.parameters
    )?;
    writeln!(text, "  entropy in bits")?;
    lines(text, entropies(&statistics.entropy))?;
    writeln!(
        text,
        "  ceiling of coding each byte {:.4}, whole values {:.4}",
        statistics.byte_marginal, statistics.joint
    )?;
    if let Some(frequent) = dtype.frequent.last() {
        writeln!(text, "  most frequent highest bytes")?;
        let mut table = TextTable::new([left(4).after(4), right(7), left(0).after(2)]);
        for value in frequent {
            table.row([
                &format!("0x{:02x}", value.value),
                &percent(value.share),
                value.meaning.as_deref().unwrap_or(""),
            ]);
        }
        lines(text, table)?;
    }
    if let Some(values) = &statistics.values {
        of_values(text, values)?;
    }
    Ok(())
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

fn lines(text: &mut String, table: TextTable) -> std::fmt::Result {
    for line in table.into_lines() {
        writeln!(text, "{line}")?;
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
