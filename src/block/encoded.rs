//! What the encoder says of a block that it has encoded.

use crate::format::{Fidelity, checksum};

/// What decoding a stored block will give, and how that compares with what it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// Checksum of what it will decode to.
    pub decoded_checksum: u64,
    /// What that is of the bytes it was made from.
    pub fidelity: Fidelity,
}

impl Encoded {
    /// Of a block that will decode to the very bytes it was made from.
    pub(super) fn exact(bytes: &[u8]) -> Self {
        Self {
            decoded_checksum: checksum(bytes),
            fidelity: Fidelity::Exact,
        }
    }
}
