//! Takes elements apart into planes and puts them together again.
//!
//! A plane of `n` elements is its `n` fields of `width` bits one behind the other, lowest bit
//! first, in `ceil(n * width / 8)` bytes whose unused top bits are zero. For a width of 8 that is a
//! plane of bytes. Knows nothing of how planes are coded or stored.

mod bits;
mod constant;
mod field;
mod interleave;
pub mod record;
mod register;
mod split;
#[cfg(test)]
mod tests;

pub(crate) use bits::{BitReader, BitWriter};
pub use constant::{constant_value, fill_constant};
pub use field::{Field, plane_bytes};
pub use interleave::interleave;
pub use split::split;
