//! Levels of quantized weights by the group they are in: groups whose steps say that their levels are spread
//! alike share a frequency table.
//!
//! What is known of a group is its key, one byte, which is made of the block's scales (`Groups`) before the
//! levels are decoded. A class is a range of keys, and has a table of its own.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 0: an id is a field without its raw bits; 1: it is a field of two levels, whose frequencies are multiplied |
//! | 1 | low bits of a field that are not coded, 0 to 4; 0 for two levels |
//! | 1 | number of classes, 1 to 32 |
//! | 1 | reserved, zero |
//! | 4 | length of the tables |
//! | 4 | length of the words |
//! | 1 each | the lowest key of each class but the first, ascending |
//! | .. | the tables of all classes, as `ans` stores them, as one bit string: of ids, or of single levels |
//! | .. | the states of the lanes |
//! | .. | words |
//! | .. | bit string of the raw bits |
//!
//! The states carry raw bits as in `ans`. Behind the last id, decoders go on with the first table.

mod decode;
mod encode;
mod layout;
mod merge;
mod pairs;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;
pub(super) use layout::MAX_CLASSES;
pub(super) use merge::{Class, Counts, merged};
