//! Cuts the fields of a plane into a symbol, which is worth entropy coding, and raw bits, which are
//! not; and joins them again. Both entropy coders of numbers build on this.
//!
//! A field of `width` bits is first rotated left by `rotate` bits within its width, so that a sign
//! at the top comes to the bottom. Its low `raw_bits` are the raw bits, the others the symbol. A
//! symbol is named by an id of one byte: 0 stands for symbol 0, every other id for `base + id`.
//! What has no id is an exception: it goes through the coder under some other id, and its place and
//! symbol are kept in a list.
//!
//! Raw bits of a plane are stored as a run of bytes, the low 8 bits of each element, if there are
//! as many; then what is left above them, `raw_bits % 8` an element, as a bit string.
//!
//! Knows nothing of how ids are coded.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
mod cut_parts;
mod decode;
mod encode;
mod exceptions;
mod plan;
mod portable;
mod split;
#[cfg(test)]
mod tests;

pub(super) use cut_parts::Parts;
pub(super) use decode::join;
pub(super) use encode::cut;
pub(super) use exceptions::{MAX_EXCEPTIONS, apply_exceptions, exceptions_bytes, put_exceptions};
pub(super) use plan::{Choices, Plan, Planner, log2};
pub(super) use split::{LANES, Raw, Split};
