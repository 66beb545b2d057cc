//! The page of a sweep.

use std::path::Path;

use maud::{Markup, PreEscaped, html};

use super::evaluation::Evaluation;
use super::settings::method;
use super::sheet::{Row, SettingSums, Sheet};
use crate::cli::page::{headings, page};
use crate::cli::report::{Sums, error};
use crate::console::chart::{Scatter, Series};
use crate::console::size::{self, ratio};
use crate::model::TensorKind;
use crate::printable::printable_name;

/// Settings of one way to be lossy, by level, for one line each.
type Settings<'a> = [((&'a str, &'a str), Vec<&'a Row>)];

pub(super) fn sweep_page(model: &Path, sheet: &Sheet, evaluation: Option<&Evaluation>) -> String {
    let name = printable_name(model);
    let settings = sheet.settings();
    let mark = evaluation
        .and_then(Evaluation::enough_bits)
        .map(|bits| (bits, "quality falls to the left"));
    page(
        &format!("weightfs sweep: {name}"),
        &html! {
            h1 { "Size against error of " (name) }
            @if let Some(drawing) = plot(&settings, |_| true, mark) {
                (PreEscaped(drawing))
                p.note {
                    "All tensors together, those that stay as they are among them. Left is smaller, down is nearer."
                }
            }
            (table(&settings))
            @if let Some(evaluation) = evaluation { (quality(evaluation)) }
            @for kind in TensorKind::ALL {
                @let of_it = |row: &Row| row.1.kind == kind.name();
                @if let Some(drawing) = plot(&settings, of_it, None) {
                    h2 { "Tensors of kind: " (kind.name()) }
                    (PreEscaped(drawing))
                }
            }
            p.note {
                "Made by weightfs " (env!("CARGO_PKG_VERSION")) ". sweep.csv has all of it; docs/SWEEP.md tells "
                "what columns mean."
            }
        },
    )
}

/// Bits a number against the error of the rows that are wanted, a line for each method and level.
fn plot(
    settings: &Settings<'_>,
    is_wanted: impl Fn(&Row) -> bool,
    mark: Option<(f64, &str)>,
) -> Option<String> {
    let mut series: Vec<Series> = Vec::new();
    for ((setting, level), rows) in settings {
        let wanted = rows.iter().filter(|row| is_wanted(row));
        let sums = Sums::of(wanted.map(|(_, tensor)| tensor));
        let name = match *level {
            "default" => method(setting).to_owned(),
            level => format!("{}, --level {level}", method(setting)),
        };
        let point = (sums.bits(), sums.root_mean_square_error());
        match series.iter_mut().find(|one| one.name == name) {
            Some(one) => one.points.push(point),
            None => series.push(Series {
                name,
                points: vec![point],
            }),
        }
    }
    for one in &mut series {
        one.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let scatter = Scatter {
        names: ("bits a number", "root mean square error"),
        series: &series,
        is_joined: true,
        mark,
    };
    scatter.draw()
}

fn table(settings: &Settings<'_>) -> Markup {
    html! {
        div.wide {
            table {
                (headings(&[
                    "setting", "level", "size", "ratio", "bits a number", "root mean square error",
                    "greatest error", "seconds",
                ]))
                @for setting in settings {
                    @let sums = SettingSums::of(setting);
                    tr {
                        td { (sums.setting) }
                        td { (sums.level) }
                        td { (size::show(sums.bytes_after)) }
                        td { (format!("{:.4}", ratio(sums.bytes_before, sums.bytes_after))) }
                        td { (format!("{:.3}", sums.bits())) }
                        td { (error(sums.tensors.root_mean_square_error())) }
                        td { (error(sums.tensors.greatest_error)) }
                        td { (format!("{:.1}", sums.tensors.seconds)) }
                    }
                }
            }
        }
    }
}

fn quality(evaluation: &Evaluation) -> Markup {
    let series = [Series {
        name: "variants".into(),
        points: evaluation
            .variants
            .iter()
            .map(|one| (one.bits, one.distance))
            .collect(),
    }];
    let scatter = Scatter {
        names: ("bits a number", evaluation.measure),
        series: &series,
        is_joined: false,
        mark: evaluation
            .enough_bits()
            .map(|bits| (bits, "quality falls to the left")),
    };
    html! {
        h2 { "Quality" }
        p {
            @match evaluation.enough_bits() {
                Some(bits) => (format!("Down to {bits:.3} bits a number, there is a variant with a distance of 0.01 at most.")),
                None => "No variant has a distance of 0.01 at most.",
            }
        }
        @if let Some(drawing) = scatter.draw() { (PreEscaped(drawing)) }
        div.wide {
            table {
                (headings(&["variant", "bits a number", evaluation.measure]))
                @for one in &evaluation.variants {
                    tr {
                        td.name { (one.name) }
                        td { (format!("{:.3}", one.bits)) }
                        td { (error(one.distance)) }
                    }
                }
            }
        }
    }
}
