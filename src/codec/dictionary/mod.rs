//! Planes of few different values, each of them coded by its place in a list of all: scales of quantized
//! weights, which were numbers with a short mantissa before they were divided by a constant.
//!
//! | bytes | |
//! |---|---|
//! | 2 | number of values less one |
//! | 1 | codec of the places: raw, ans or huffman |
//! | 1 | Rice parameter |
//! | .. | the values, ascending: a bit string of the first one (16 bits) and the Rice codes of what each further one is above the one before, less one |
//! | .. | the places as a plane of that codec, of 8 bits for up to 256 values, else of 16 |

mod decode;
mod encode;
mod layout;
#[cfg(test)]
mod tests;

pub(super) use decode::Values;
pub(super) use encode::{Encoder, distinct, put_values};
