//! Lossy storage of numbers: levels on a grid, and the numbers that they stand for.
//!
//! Invariant: what a bound promises holds for the numbers that are served, in their own type. The
//! encoder restores its levels by the code that decodes them, and what does not keep the bound then is
//! stored as it is, as an exception.
//!
//! Knows nothing of how levels are coded, nor of files.

mod cover;
mod group_scale;
mod levels;
mod number;
mod octave;
mod quantize;
mod restore;
#[cfg(test)]
mod tests;
mod treatment;
mod uniform;

pub use levels::LevelPlanes;
pub use number::{LANES, root_mean_square, round_to_half, to_bf16, values};
pub use octave::{octave_ratio, octave_steps};
pub use quantize::{Levels, Quantizer};
pub use restore::Restorer;
pub use treatment::{Bound, PartsOf, ScaleFit, Treatment};
