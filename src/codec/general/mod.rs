//! Coding of byte planes by general methods: what is published for comparison, and what to fall back
//! on where nothing but well-known formats may be used.
//!
//! Two kinds: a general compressor on every plane (byte reordering), or an entropy coder on the
//! highest byte of each element and next to nothing on the others (split streams).

mod arithmetic;
#[cfg(feature = "comparison")]
mod deflate;
mod encode;
#[cfg(feature = "comparison")]
mod lz4;
#[cfg(feature = "comparison")]
mod lzma;
mod run_length;

pub(super) use arithmetic::Decoder as ArithmeticDecoder;
#[cfg(feature = "comparison")]
pub(super) use deflate::Decoder as DeflateDecoder;
pub(super) use encode::Encoder;
#[cfg(feature = "comparison")]
pub(super) use lz4::decode_into as decode_lz4;
#[cfg(feature = "comparison")]
pub(super) use lzma::decode_into as decode_lzma;
pub(super) use run_length::decode_into as decode_run_length;
