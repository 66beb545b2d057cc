//! Entropy coding of ids with Huffman codes, made to be decoded fast: words are so short that a
//! table tells several at a time, and several streams are decoded side by side.
//!
//! Knows nothing of what ids mean.

mod code;
mod decode;
mod encode;
mod entry_table;
mod lanes;
mod layout;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;
pub(super) use layout::coded_bits;
