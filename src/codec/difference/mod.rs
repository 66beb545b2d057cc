//! Coding of the numbers of one model given those of another at the same places: a fine-tune beside its base.
//!
//! Numbers are ordered, as integers whose neighbours are neighbours as numbers, and what is coded is by how many places
//! the number lies beside that of the base. How far that is depends on how fine the grid of numbers is where the
//! base's number lies, so the table of an element follows from the base's exponent. What training changed is alike
//! within a row, and differs between rows: at the level `max` runs of elements have scales, in parts of an octave, and the
//! table follows from the exponent less the scale.
//!
//! The codec has no id of its own: who calls it keeps what the base is, and that it is the same when decoding. With
//! another base, decoding gives other numbers or an error.
//!
//! Knows nothing of files, blocks or elements: a number is so many bytes with so many bits of exponent.

mod decode;
mod encode;
mod keys;
mod layout;
mod number;
mod runs;
mod tail;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::Encoder;
pub use super::plane::Form;
