//! Coding of levels whose spread is known: numbers of matrices on a grid of equal steps.
//!
//! As in `scaled`, rows and columns have scales, and the scale that is expected of an element is their product:
//! `c = row + column`, in eighths of an octave. Here it is counted in levels, and there is a table for each
//! `c`. All of them follow from one shape, which the blocks of an archive share: how numbers are spread in
//! units of their scale. So a step can be anything, and no table is stored.
//!
//! An id is what is above the raw bits of a field, counted from level 0 at id 128. Id 0 is an escape: the next
//! escape code says how far the symbol is from that of level 0.
//!
//! Knows nothing of grids: levels are fields whose middle is level 0.

mod decode;
mod encode;
mod layout;
mod scales;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;
