//! A block as it is stored: header, coded planes, tail; and back into the bytes it stands for.
//!
//! Invariant: `BlockDecoder::decode_into` succeeds only if the decoded bytes have the checksum they
//! had when they were encoded. Knows nothing of where blocks are stored.

mod beside;
mod decode;
mod encode;
mod encoded;
mod groups;
mod kin;
mod structure;
#[cfg(test)]
mod tests;

pub use beside::Beside;
pub use decode::BlockDecoder;
pub use encode::{BlockEncoder, Kin};
pub use encoded::Encoded;
pub(crate) use structure::entropy_bits;
