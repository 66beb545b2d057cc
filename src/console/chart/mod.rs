//! Charts: SVG elements, scales, and what only the plot of benchmarks needs, ticks and labels.

mod drawing;
#[cfg(feature = "comparison")]
pub(crate) mod labels;
mod scale;
#[cfg(feature = "comparison")]
pub(crate) mod ticks;

#[cfg(feature = "comparison")]
pub(crate) use drawing::coordinates;
pub(crate) use drawing::{COLOURS, Drawing};
pub(crate) use scale::{Scale, ends};
