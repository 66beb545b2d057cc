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

mod context;
mod decode;
mod encode;
mod fit;
mod mean;
mod plane;
mod profile;

#[cfg(test)]
mod tests;

pub use context::Segment;
pub(super) use decode::Decoder;
pub(super) use encode::Encoder;
pub use fit::{Fitter, Sample};
pub use profile::{Model, ModelBuilder};

/// log2 of the phases of an octave, which are the steps of a scale: with four, an element takes
/// 0.003 bit more.
const PHASE_BITS: u32 = 3;
/// Phases of an octave, each with a table for each bin.
const PHASES: usize = 1 << PHASE_BITS;
/// Mantissa bits in a symbol.
const MANTISSA_BITS: u8 = 2;
/// The id of a symbol at the bottom of the element's octave. Of the 127 ids, those above reach 18
/// symbols (a number 23 times its expected scale), those below 27 octaves.
const OCTAVE_ID: u16 = 108;
/// Bits of an id that count symbols.
const SYMBOL_MASK: u8 = 0x7F;
/// The bit of an id that is set if the sign is not that of the mean.
const SIGN_BIT: u8 = 0x80;
/// Length of a row where there is no matrix: so many elements share a scale.
const PLAIN_ROW: usize = 1024;

/// The symbol of id 0 in octave 0, for floats with so many exponent bits.
const fn base(exponent_bits: u8) -> u16 {
    let bias = (1u16 << (exponent_bits - 1)) - 1;
    (bias << MANTISSA_BITS).wrapping_sub(OCTAVE_ID)
}
