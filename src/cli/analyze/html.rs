//! The report of `analyze` as one HTML file with drawings inside.

use maud::{Markup, PreEscaped, html};

use super::plots::{bits_per_byte, entropy_by_layer, expected_ratios, histogram};
use super::words::{advice, largest_tensors, percent, share, tensors_of};
use crate::cli::page::{headings, page};
use crate::console::size;
use crate::job::{
    Analysis, DtypeFacts, Entropies, FieldFacts, Frequent, NumberStatistics, RecordStatistics,
    Redundancy, Statistics, Values,
};
use crate::printable::{printable, printable_name};

/// Tensors in the table at the end, by size.
const LISTED_TENSORS: usize = 400;

pub(super) fn html_page(found: &Analysis) -> String {
    let title = match found.files.as_slice() {
        [file] => printable_name(&file.path),
        files => format!("{} files", files.len()),
    };
    page(
        &format!("weightfs analyze: {title}"),
        &html! {
            h1 { "What is in " (title) ", and what packing it gives" }
            p.big { (advice(found)) }
            (expectation(found))
            (files(found))
            @for dtype in &found.dtypes { (of_dtype(dtype)) }
            @if let Some(drawing) = entropy_by_layer(found) {
                h2 { "Entropy by layer" }
                p {
                    "Bits for each byte of a tensor if whole values, or fields of records, are coded: the \
                     lower, the smaller it packs."
                }
                (PreEscaped(drawing))
            }
            @if let Some(redundancy) = &found.redundancy { (resemblance(redundancy)) }
            (tensors(found))
            p.note {
                "Made by weightfs " (env!("CARGO_PKG_VERSION")) " from "
                (size::show(found.sampled_bytes))
                " of the tensors' bytes; docs/ANALYZE.md tells how."
            }
        },
    )
}

/// What each level is expected to give, beside the ceilings.
fn expectation(found: &Analysis) -> Markup {
    html! {
        h2 { "Ratio to expect" }
        (PreEscaped(expected_ratios(found)))
        p.note {
            "Ratio: bytes of the files for each byte of the archives. Blue: expected, from encoding \
             some of the blocks, tables included. Grey: what order-0 coding could reach if its tables \
             cost nothing, "
            @if found.by_field_whole.is_some() {
                "of each field of quantized tensors on its own, all else left as it is. Real codecs go \
                 past it by choosing tables for each block, and by making the rest smaller."
            } @else {
                "on float tensors. Real codecs go past the first ceiling by coding exponent and mantissa \
                 bits together, and past both by choosing tables for each block and by the scales of \
                 rows and columns."
            }
        }
        @if let Some(c) = found.byte_marginal {
            p.note {
                (format!(
                    "Byte ceiling: mean weighted by bytes {:.4}, 95 % interval over tensors {:.4} to \
                     {:.4}.",
                    c.mean, c.low, c.high
                ))
            }
        }
    }
}

fn files(found: &Analysis) -> Markup {
    html! {
        h2 { "Files" }
        p { (found.parameters) " parameters in " (found.tensors.len()) " tensors." }
        div.wide {
            table {
                (headings(&["file", "size", "header", "tensors"]))
                @for file in &found.files {
                    tr {
                        td.name { (printable_name(&file.path)) }
                        td { (size::show(file.bytes)) }
                        td {
                            (file.header_bytes) " B ("
                            (share(file.header_bytes as f64, file.bytes as f64)) ")"
                        }
                        td { (file.tensors) }
                    }
                }
            }
        }
    }
}

fn of_dtype(dtype: &DtypeFacts) -> Markup {
    html! {
        h2 { (printable(&dtype.dtype)) ": " (size::show(dtype.bytes)) " in " (tensors_of(dtype)) }
        @match &dtype.statistics {
            Statistics::Numbers(numbers) => (of_numbers(dtype, numbers)),
            Statistics::Records(records) => (of_records(records)),
        }
    }
}

fn of_numbers(dtype: &DtypeFacts, numbers: &NumberStatistics) -> Markup {
    let is_float = numbers.values.is_some();
    html! {
        @for (place, shares) in dtype.histograms.iter().enumerate().rev() {
            @let name = byte_name(dtype.histograms.len() - 1, place, is_float);
            @if let Some(value) = shares.iter().position(|&share| share == 1.0) {
                p { b { (name) } (format!(": always 0x{value:02x}")) }
            } @else {
                p { b { (name) } (format!(": {:.3} bits of 8", numbers.entropy.planes[place])) }
                (PreEscaped(histogram(shares)))
            }
        }
        (entropies(&numbers.entropy))
        @if let Some(frequent) = dtype.frequent.last() { (most_frequent(frequent)) }
        @if let Some(values) = &numbers.values { (of_values(values)) }
    }
}

/// Fields of records: what they need, and how their values are spread.
fn of_records(found: &RecordStatistics) -> Markup {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
    let signed = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:+.3}"));
    html! {
        div.wide {
            table {
                (headings(&[
                    "field", "bits", "in a record", "entropy", "one table", "if the neighbour is known",
                    "if the record before is known", "correlation with the neighbour",
                    "with the record before",
                ]))
                @for field in &found.fields {
                    tr {
                        td { (field.name) }
                        td { (field.bits) }
                        td { (field.in_record) }
                        td { (number(Some(field.entropy))) }
                        td { (number(field.one_table)) }
                        td { (number(field.after_neighbour)) }
                        td { (number(field.after_record)) }
                        td { (signed(field.correlation_neighbour)) }
                        td { (signed(field.correlation_record)) }
                    }
                }
            }
        }
        p {
            (format!("Ratio of coding each field at order 0, with tables for each tensor that cost nothing: {:.4}.",
                found.by_field))
        }
        p.note {
            "Entropy: bits of a field at order 0, with a table for each tensor. What is known before \
             helps where it leaves less than one table for all tensors."
        }
        @for field in found.fields.iter().filter(|field| !field.shares.is_empty()) { (spread(field)) }
    }
}

fn spread(field: &FieldFacts) -> Markup {
    html! {
        p { b { (field.name) } (format!(": {:.3} bits of {}", field.entropy, field.bits)) }
        (PreEscaped(histogram(&field.shares)))
    }
}

fn byte_name(top: usize, place: usize, is_float: bool) -> String {
    match place {
        _ if top == 0 && !is_float => "The bytes".into(),
        place if place == top && is_float => "Highest byte: sign and exponent".into(),
        place if place == top => "Highest byte".into(),
        0 => "Lowest byte".into(),
        place => format!("Byte {place}, counted from the lowest"),
    }
}

fn entropies(entropy: &Entropies) -> Markup {
    let rows = [
        ("exponent", entropy.exponent, None),
        ("sign and mantissa", entropy.sign_mantissa, None),
        (
            "whole value",
            Some(entropy.joint),
            Some(8 * entropy.planes.len()),
        ),
        ("any byte", Some(entropy.bytes), Some(8)),
        (
            "a byte, if the one before is known",
            Some(entropy.bytes_after_byte),
            Some(8),
        ),
        (
            "a highest byte, if that of the element before is known",
            Some(entropy.top_after_top),
            Some(8),
        ),
        (
            "difference of neighbouring highest bytes",
            Some(entropy.top_delta),
            Some(8),
        ),
        (
            "exclusive or of neighbouring highest bytes",
            Some(entropy.top_xor),
            Some(8),
        ),
    ];
    html! {
        div.wide {
            table {
                (headings(&["entropy", "bits", "of"]))
                @for (what, value, of) in rows {
                    @if let Some(value) = value {
                        tr {
                            td { (what) }
                            td { (format!("{value:.3}")) }
                            td { @if let Some(of) = of { (of) } }
                        }
                    }
                }
            }
        }
        p.note {
            "Predicting a byte by its neighbour helps where the last two are below the entropy of \
             the highest byte; for trained weights they are above it."
        }
    }
}

fn most_frequent(frequent: &[Frequent]) -> Markup {
    html! {
        p { b { "Most frequent highest bytes" } }
        table {
            (headings(&["value", "share", "numbers"]))
            @for value in frequent {
                tr {
                    td { (format!("0x{:02x}", value.value)) }
                    td { (percent(value.share)) }
                    td { (value.meaning.as_deref().unwrap_or("")) }
                }
            }
        }
    }
}

fn of_values(values: &Values) -> Markup {
    html! {
        p { b { "Values" } }
        table {
            (headings(&["kind", "share"]))
            @for (what, count) in [
                ("zero", values.zeros),
                ("negative", values.negative),
                ("0 < |x| < 0.1", values.below_tenth),
                ("0.1 \u{2264} |x| < 1", values.below_one),
                ("1 \u{2264} |x|", values.one_and_more),
                ("subnormal", values.subnormal),
                ("infinite", values.infinite),
                ("not a number", values.nan),
            ] {
                tr { td { (what) } td { (share(count, values.count)) } }
            }
        }
        p {
            (format!(
                "From {:.4} to {:.4}; mean {:.2e}, standard deviation {:.4}.",
                values.min, values.max, values.mean, values.deviation
            ))
        }
    }
}

fn resemblance(redundancy: &Redundancy) -> Markup {
    html! {
        h2 { "Resemblance of layers" }
        p {
            (format!(
                "Tensors of the same role in neighbouring layers, {} pairs: Pearson's correlation has \
                 the median {:+.4}; 90 % of the pairs lie between {:+.4} and {:+.4}. Near 0, a layer \
                 tells nothing of the next, and coding differences would make files larger.",
                redundancy.pairs, redundancy.median, redundancy.percentile_5, redundancy.percentile_95
            ))
        }
    }
}

fn tensors(found: &Analysis) -> Markup {
    let largest = largest_tensors(found);
    html! {
        h2 { "Tensors" }
        div.wide {
            table {
                (headings(&["name", "dtype", "shape", "size", "bits a byte", "ceiling"]))
                @for tensor in largest.iter().take(LISTED_TENSORS) {
                    tr {
                        td.name { (printable(&tensor.name)) }
                        td { (printable(&tensor.dtype)) }
                        td { (format!("{:?}", tensor.shape)) }
                        td { (size::show(tensor.bytes)) }
                        td { (format!("{:.2}", bits_per_byte(tensor))) }
                        td { (format!("{:.4}", tensor.statistics.best_ratio())) }
                    }
                }
            }
        }
        @if largest.len() > LISTED_TENSORS {
            p.note { "The largest " (LISTED_TENSORS) " of " (largest.len()) "." }
        }
    }
}
