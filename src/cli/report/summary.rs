//! The page of a report of packing.

use maud::{Markup, PreEscaped, html};

use super::plots::{before_and_after, distribution_of_bits, size_and_error};
use super::rows::TensorRow;
use super::run::Run;
use super::sums::Sums;
use crate::cli::page::{headings, page};
use crate::console::size::{self, ratio};
use crate::model::TensorKind;
use crate::printable::printable_name;

/// Tensors in the table at the end, by size.
const LISTED_TENSORS: usize = 400;

pub(super) fn summary(run: &Run<'_>, rows: &[&TensorRow]) -> String {
    let name = printable_name(run.source);
    let totals = &run.done.totals;
    page(
        &format!("weightfs pack: {name}"),
        &html! {
            h1 { "What packing " (name) " did" }
            p.big {
                (size::show(totals.original_bytes)) " became " (size::show(totals.stored_bytes))
                (format!(", ratio {:.4}, in {:.1} s.",
                    ratio(totals.original_bytes, totals.stored_bytes), run.seconds))
            }
            @if !run.done.failures.is_empty() {
                p { b { (run.done.failures.len()) " files failed and are in none of the figures." } }
            }
            @if rows.is_empty() {
                p { "No file of it has tensors that this version can read, so that there are none to tell of." }
            } @else {
                (of_tensors(rows))
            }
            p.note {
                "Made by weightfs " (env!("CARGO_PKG_VERSION")) ". tensors.csv has all of it, run.json how it "
                "was made; docs/SWEEP.md tells what columns mean."
            }
        },
    )
}

fn of_tensors(rows: &[&TensorRow]) -> Markup {
    let mut largest = rows.to_vec();
    largest.sort_by_key(|row| std::cmp::Reverse(row.bytes_before));
    html! {
        (of_kinds(rows))
        @if let Some(drawing) = size_and_error(rows) {
            h2 { "Size and error" }
            (PreEscaped(drawing))
            p.note { "A point for each tensor that is not served as it was. Left is smaller, down is nearer." }
        } @else {
            p { "Nothing is lossy: every number is served as it was." }
        }
        h2 { "Bits a number" }
        (PreEscaped(distribution_of_bits(rows)))
        p.note { "Shares of all numbers, by what their tensor takes." }
        h2 { "Largest tensors" }
        (PreEscaped(before_and_after(&largest)))
        p.note { "Grey: before. Blue: after." }
        (tensors(&largest))
    }
}

fn of_kinds(rows: &[&TensorRow]) -> Markup {
    html! {
        div.wide {
            table {
                (headings(&[
                    "kind", "tensors", "before", "after", "bits a number", "root mean square error",
                    "greatest error",
                ]))
                @for kind in TensorKind::ALL {
                    @let of_it = rows.iter().filter(|row| row.kind == kind.name());
                    @let sums = Sums::of(of_it.copied());
                    @if sums.tensors > 0 {
                        tr {
                            td { (kind.name()) }
                            td { (sums.tensors) }
                            td { (size::show(sums.bytes_before)) }
                            td { (size::show(sums.bytes_after)) }
                            td { (format!("{:.3}", sums.bits())) }
                            td { (error(sums.root_mean_square_error())) }
                            td { (error(sums.greatest_error)) }
                        }
                    }
                }
            }
        }
    }
}

fn tensors(largest: &[&TensorRow]) -> Markup {
    html! {
        h2 { "Tensors" }
        div.wide {
            table {
                (headings(&[
                    "name", "type", "shape", "before", "after", "method", "bound", "bits", "limit",
                    "root mean square error", "greatest error",
                ]))
                @for row in largest.iter().take(LISTED_TENSORS) {
                    tr {
                        td.name { (row.tensor) }
                        td { (row.dtype) }
                        td { (row.shape) }
                        td { (size::show(row.bytes_before)) }
                        td { (size::show(row.bytes_after)) }
                        td { (row.method) }
                        td { @if let Some(bound) = row.bound { (error(bound)) } }
                        td { (format!("{:.3}", row.bits)) }
                        td { @if let Some(bits) = row.limit_bits { (format!("{bits:.3}")) } }
                        td { (error(row.root_mean_square_error)) }
                        td { (error(row.greatest_error)) }
                    }
                }
            }
        }
        @if largest.len() > LISTED_TENSORS {
            p.note { "The largest " (LISTED_TENSORS) " of " (largest.len()) "." }
        }
    }
}

pub(in crate::cli) fn error(error: f64) -> String {
    if error == 0.0 {
        "0".into()
    } else {
        format!("{error:.2e}")
    }
}
