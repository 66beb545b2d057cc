//! Charts: SVG elements, scales, ticks, the kinds of charts that reports share, and what only the plot of benchmarks
//! needs, labels.

mod bars;
mod drawing;
#[cfg(feature = "comparison")]
pub(crate) mod labels;
mod scale;
mod scatter;
pub(crate) mod ticks;

pub(crate) use bars::{Bar, bars};
#[cfg(feature = "comparison")]
pub(crate) use drawing::coordinates;
pub(crate) use drawing::{COLOURS, Drawing, END, MIDDLE, image};
pub(crate) use scale::{Scale, ends};
pub(crate) use scatter::{Scatter, Series};
