//! Coding of matrices whose rows and columns have scales of their own: the level `max`.
//!
//! The scale that is expected of an element is the product of a scale of its row and one of its
//! column, as logarithms in eighths of an octave: `c = row + column`. `c mod 8`, the phase, picks one
//! of eight frequency tables, and the octave `c div 8` is taken off the symbol: so one set of tables
//! serves every scale. Columns and tables are shared by all blocks of an archive (`Profiles`), rows
//! are stored in the block.
//!
//! Ids are as in `symbol`, but count from the element's octave: symbol `base + octave * 2^k + id`,
//! where symbols hold `k` mantissa bits. Id 0 is an escape: the next escape byte is the id, or, if
//! that is 0 too, the next escape word is the symbol.
//!
//! Knows nothing of files: what is shared comes and goes as bytes.

mod context;
mod fit;
mod plane;
mod profile;

#[cfg(test)]
mod tests;

pub use context::Segment;
pub use fit::{Fitter, Sample};
pub(super) use plane::{Decoder, Encoder};
pub use profile::{Model, ModelBuilder};

use super::ans::table::Frequencies;

/// log2 of the phases of an octave.
const PHASE_BITS: u32 = 3;
/// Phases of an octave, each with a table.
pub(super) const PHASES: usize = 1 << PHASE_BITS;
/// Mantissa bits in a symbol.
const MANTISSA_BITS: u8 = 2;
/// The id of a symbol at the bottom of the element's octave. Of the 127 ids, those above reach 18
/// symbols (a number 23 times its expected scale), those below 27 octaves.
const OCTAVE_ID: u16 = 108;
/// Highest id with a frequency of its own.
const MAX_ID: u8 = 127;
/// Length of a row where there is no matrix: so many elements share a scale.
const PLAIN_ROW: usize = 1024;

/// One table a phase.
type PhaseFrequencies = [Frequencies; PHASES];

/// The symbol of id 0 in octave 0, for floats with so many exponent bits.
const fn base(exponent_bits: u8) -> u16 {
    let bias = (1u16 << (exponent_bits - 1)) - 1;
    (bias << MANTISSA_BITS).wrapping_sub(OCTAVE_ID)
}
