//! The drawings of a report of packing.

use super::rows::TensorRow;
use crate::console::chart::{Bar, COLOURS, Scatter, Series, bars};
use crate::console::size;
use crate::model::TensorKind;

/// Tensors whose bytes before and after are drawn.
const DRAWN_TENSORS: usize = 12;
/// Bars of the distribution of bits, at most.
const MOST_BARS: f64 = 20.0;

/// Bits a number against the error, by kind; nothing if nothing is lossy.
pub(super) fn size_and_error(rows: &[&TensorRow]) -> Option<String> {
    let series = TensorKind::ALL.map(|kind| {
        let of_it = rows.iter().filter(|row| row.kind == kind.name());
        let points = of_it.map(|row| (row.bits, row.root_mean_square_error));
        Series {
            name: kind.name().into(),
            points: points.collect(),
        }
    });
    let scatter = Scatter {
        names: ("bits a number", "root mean square error"),
        series: &series,
        is_joined: false,
        mark: None,
    };
    scatter.draw()
}

/// Which share of all numbers takes how many bits.
pub(super) fn distribution_of_bits(rows: &[&TensorRow]) -> String {
    let most = rows.iter().map(|row| row.bits).fold(0.0, f64::max);
    let step = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
        .into_iter()
        .find(|step| most / step <= MOST_BARS)
        .unwrap_or(16.0);
    let all: u64 = rows.iter().map(|row| row.elements).sum();
    let mut drawn = Vec::new();
    let mut low = 0.0;
    while low <= most {
        let is_in_it = |row: &&&TensorRow| row.bits >= low && row.bits < low + step;
        let elements: u64 = rows.iter().filter(is_in_it).map(|row| row.elements).sum();
        let percent = 100.0 * elements as f64 / all.max(1) as f64;
        if elements > 0 || !drawn.is_empty() {
            drawn.push(Bar {
                name: format!("{low} to {} bits", low + step),
                value: percent,
                colour: COLOURS[0],
                text: format!("{percent:.2} %"),
            });
        }
        low += step;
    }
    bars(&drawn)
}

/// Bytes of the largest tensors, before and after.
pub(super) fn before_and_after(largest: &[&TensorRow]) -> String {
    let mut drawn = Vec::new();
    for row in largest.iter().take(DRAWN_TENSORS) {
        for (bytes, name, colour) in [
            (row.bytes_before, short(&row.tensor), "#bbb"),
            (row.bytes_after, String::new(), COLOURS[0]),
        ] {
            drawn.push(Bar {
                name,
                value: bytes as f64,
                colour,
                text: size::show(bytes),
            });
        }
    }
    bars(&drawn)
}

/// The end of a name, as far as there is room before a bar.
fn short(name: &str) -> String {
    const ROOM: usize = 36;
    let count = name.chars().count();
    if count <= ROOM {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - ROOM + 3).collect();
    format!("...{end}")
}
