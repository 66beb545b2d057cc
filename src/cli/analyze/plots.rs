//! The drawings of the report of `analyze`, as SVG elements to stand in a page.

use super::words::{levels, percent};
use crate::console::chart::{Bar, COLOURS, Drawing, END, MIDDLE, Scale, bars, ends, image};
use crate::console::size;
use crate::job::{Analysis, BYTES, Ceiling, TensorFacts};

/// Roles whose entropy is drawn by layer; more would not be told apart.
const DRAWN_ROLES: usize = COLOURS.len();

/// Bars of the expected ratio of each level, and of the ceilings.
pub(super) fn expected_ratios(found: &Analysis) -> String {
    let mut drawn = Vec::new();
    for (level, expected) in levels(found) {
        let size = size::show(expected.stored_bytes);
        drawn.push(Bar {
            name: format!("--level {level}"),
            value: expected.ratio,
            colour: COLOURS[0],
            text: format!("{:.4}, {size}", expected.ratio),
        });
    }
    let of_floats = |ceiling: Option<Ceiling>| ceiling.map(|ceiling| ceiling.mean);
    // Beside quantized weights there are few floats, whose ratio says nothing of the file.
    let ceilings = match found.by_field_whole {
        Some(ratio) => vec![("fields of records coded, at best", Some(ratio))],
        None => vec![
            (
                "each byte coded on its own, at best",
                of_floats(found.byte_marginal),
            ),
            ("whole values coded, at best", of_floats(found.joint)),
        ],
    };
    for (name, ratio) in ceilings {
        if let Some(ratio) = ratio {
            drawn.push(Bar {
                name: name.to_owned(),
                value: ratio,
                colour: "#bbb",
                text: format!("{ratio:.4}"),
            });
        }
    }
    bars(&drawn)
}

/// One bar for each value of a byte or of a narrower field.
pub(super) fn histogram(shares: &[f64]) -> String {
    let highest = shares.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let last = shares.len().saturating_sub(1);
    let step = 3.2 * BYTES as f64 / shares.len().max(1) as f64;
    let x = |value: usize| 56.0 + step * value as f64;
    let width = step * 0.875;
    image(150, |drawing| {
        drawing.text((50.0, 16.0), END, &percent(highest));
        drawing.text((50.0, 120.0), END, "0");
        drawing.line((55.0, 120.0), (880.0, 120.0), "#888");
        // One element for all: there are many pages with many of them.
        let mut bars = String::new();
        for (value, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let height = (108.0 * share / highest).max(0.3);
            bars += &format!("M{:.1} 120v-{height:.1}h{width:.1}v{height:.1}z", x(value));
        }
        drawing.add(&format!("<path fill=\"{}\" d=\"{bars}\"/>", COLOURS[0]));
        for value in (0..last)
            .step_by(shares.len().div_ceil(8).max(1))
            .chain([last])
        {
            // Hexadecimal, as the table of frequent values.
            let middle = x(value) + width / 2.0;
            drawing.text((middle, 138.0), MIDDLE, &format!("0x{value:02x}"));
        }
    })
}

/// Bits for each byte of a tensor if whole values, or fields of records, are coded.
pub(super) fn bits_per_byte(tensor: &TensorFacts) -> f64 {
    8.0 / tensor.statistics.best_ratio()
}

/// A role, and the entropy of its tensors by layer.
type RoleByLayer<'a> = (&'a str, Vec<(u32, f64)>);

/// Of the largest roles.
fn roles_by_layer(found: &Analysis) -> Vec<RoleByLayer<'_>> {
    let mut roles: Vec<(&str, u64)> = Vec::new();
    for tensor in found.tensors.iter().filter(|t| t.layer.is_some()) {
        match roles.iter_mut().find(|(role, _)| *role == tensor.role) {
            Some((_, bytes)) => *bytes += tensor.bytes,
            None => roles.push((&tensor.role, tensor.bytes)),
        }
    }
    roles.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    roles.truncate(DRAWN_ROLES);
    // Norms and biases are of another kind and would leave no room for the differences of weights.
    let least = roles.first().map_or(0, |&(_, bytes)| bytes / 100);
    roles.retain(|&(_, bytes)| bytes >= least);
    let points = |role: &str| {
        let tensors = found.tensors.iter().filter(|t| t.role == role);
        let mut points: Vec<(u32, f64)> = tensors
            .filter_map(|t| Some((t.layer?, bits_per_byte(t))))
            .collect();
        points.sort_by_key(|point| point.0);
        points
    };
    roles
        .iter()
        .map(|(role, _)| (*role, points(role)))
        .collect()
}

/// Entropy of the tensors of the largest roles, by layer; nothing of a model that has no layers.
pub(super) fn entropy_by_layer(found: &Analysis) -> Option<String> {
    let roles = roles_by_layer(found);
    let points = || roles.iter().flat_map(|(_, points)| points);
    let last = points()
        .map(|point| point.0)
        .max()
        .filter(|last| *last > 0)?;
    let (low, high) = ends(points().map(|point| point.1));
    let margin = ((high - low) * 0.1).max(0.02);
    let x = Scale {
        ends: (0.0, last.into()),
        places: (70.0, 870.0),
    };
    let y = Scale {
        ends: (low - margin, high + margin),
        places: (250.0, 15.0),
    };
    Some(image(300 + 20 * roles.len(), |drawing| {
        layer_axes(drawing, last, &x, &y);
        let mut below = 304.0;
        for ((role, points), colour) in roles.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<_> = points
                .iter()
                .map(|&(layer, bits)| (x.place(layer.into()), y.place(bits)))
                .collect();
            let stroke = format!("stroke=\"{colour}\" stroke-width=\"2\"");
            drawing.polyline(&points, &stroke);
            let fill = format!("fill=\"{colour}\"");
            drawing.rect((70.0, below), (22.0, 4.0), &fill);
            drawing.text((100.0, below + 8.0), "", role);
            below += 20.0;
        }
    }))
}

fn layer_axes(drawing: &mut Drawing, last: u32, x: &Scale, y: &Scale) {
    let (low, high) = y.ends;
    for tick in 0..=4 {
        let bits = low + (high - low) * f64::from(tick) / 4.0;
        let at = y.place(bits);
        drawing.line((70.0, at), (870.0, at), "#ddd");
        drawing.text((62.0, at + 4.0), END, &format!("{bits:.2}"));
    }
    let step = last.div_ceil(12).max(1) as usize;
    for layer in (0..=last).step_by(step) {
        drawing.text((x.place(layer.into()), 270.0), MIDDLE, &layer.to_string());
    }
    drawing.text((470.0, 288.0), MIDDLE, "layer");
}
