//! Codes planes: each codec turns the bytes of one plane into fewer bytes and back.
//!
//! Invariant: `Decoder::decode_into` fills the plane exactly or fails; what it returns on success
//! may still be wrong if the input was damaged, so the caller checks a checksum. Knows nothing of
//! elements, blocks or files.
//!
//! How to add a codec is told in README.md beside this file.

mod ans;
mod catalog;
mod decoder;
mod dictionary;
pub mod difference;
mod encoder;
mod general;
mod grouped;
mod hints;
mod huffman;
mod method;
mod numbers;
mod parts;
mod plain;
mod plane;
mod rice;
pub mod scaled;
mod spread;
mod symbol;
#[cfg(test)]
mod tests;
mod trimmed;

pub use catalog::is_built;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use hints::Hints;
pub use method::{Family, Method};
pub use plane::{Base, Coded, Content, Context, Form, Groups, Level, PlaneShape};
