//! Coding of matrices whose rows and columns have scales of their own: the level `max`.
//!
//! The scale that is expected of an element is the product of a scale of its row and one of its
//! column, as logarithms in eighths of an octave: `c = row + column`. The octave `c div 8` is taken
//! off the symbol, and `c mod 8` is the phase: so one set of tables serves every scale.
//!
//! In some matrices the elements of a row or column have a mean that is not zero. The mean that is
//! expected is a product as well, in units of the scale: `mean`. Its size, in octaves, is the bin,
//! and its sign is taken off the sign of the element. Matrices without means are in bin 0, where
//! both signs are as likely. Each bin has a table a phase: table `8 * bin + phase`.
//!
//! Columns and tables are shared by all blocks of an archive (`Profiles`), rows are stored in the
//! block.
//!
//! An id is the symbol, counted from the element's octave, in the low 7 bits: symbol
//! `base + octave * 2^k + id`, where symbols hold the exponent and `k` mantissa bits; and above
//! them whether the sign differs from that of the mean. Id 0 is an escape: the next escape code is
//! the id, or, if its symbol is 0 too, the next escape word is the symbol.
//!
//! Knows nothing of files: what is shared comes and goes as bytes.

mod decode;
mod encode;
mod fit;
mod ids;
mod kept;
mod layout;
mod mean;
mod mean_codes;
mod model;
mod place;
mod rows;
mod segment;
mod shape;
mod stored_profile;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;
pub use fit::{Fitter, Sample};
pub(super) use ids::PLAIN_ROW;
pub(super) use kept::KeptColumns;
pub use model::{Model, ModelBuilder};
pub(super) use place::Columns;
pub(super) use rows::{inverse_scales, quantize, row_step_bits, scaled_mean};
pub use segment::Segment;
pub(super) use segment::{MAX_SEGMENTS, SEGMENT_BYTES};
pub(super) use shape::Shape;
