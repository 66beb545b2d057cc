//! Bars below each other, each with its name before it and a text behind it.

use super::drawing::{END, image};
use super::scale::Scale;

/// A bar.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    /// Its length, in the unit of all bars; not below 0.
    pub(crate) value: f64,
    pub(crate) colour: &'static str,
    pub(crate) text: String,
}

/// Draws bars; one of 1 or more, or the longest, is as long as there is room.
pub(crate) fn bars(bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.value).fold(1.0, f64::max);
    let scale = Scale {
        ends: (0.0, longest),
        places: (0.0, 420.0),
    };
    image(20 + 34 * bars.len(), |drawing| {
        let mut y = 12.0;
        for bar in bars {
            let length = scale.place(bar.value);
            drawing.text((255.0, y + 16.0), END, &bar.name);
            let fill = format!("fill=\"{}\"", bar.colour);
            drawing.rect((265.0, y), (length, 22.0), &fill);
            drawing.text((272.0 + length, y + 16.0), "", &bar.text);
            y += 34.0;
        }
    })
}
