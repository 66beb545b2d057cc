//! Runs as they are stored.

use crate::error::{Error, Result};

pub(super) const RUN_BYTES: usize = 4;
/// Bits of a run that tell its zero bits; the others tell its number of fields.
const ZEROS_BITS: u32 = 5;
pub(super) const MAX_RUN_FIELDS: usize = 0x07FF_FFFF;

/// Neighbouring fields that all end in so many zero bits, or in more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub zeros: u8,
    pub fields: usize,
}

impl Run {
    pub fn encode_to(self, out: &mut Vec<u8>) {
        let fields = u32::try_from(self.fields).expect("invariant: at most MAX_RUN_FIELDS");
        out.extend_from_slice(&(fields << ZEROS_BITS | u32::from(self.zeros)).to_le_bytes());
    }

    pub fn decode(bytes: [u8; RUN_BYTES], width: u8) -> Result<Self> {
        let zeros = bytes[0] & ((1 << ZEROS_BITS) - 1);
        match usize::try_from(u32::from_le_bytes(bytes) >> ZEROS_BITS) {
            Ok(fields) if fields > 0 && zeros <= width => Ok(Self { zeros, fields }),
            _ => Err(Error::corrupt("a trimmed plane has a run that cannot be")),
        }
    }
}

/// The number of fields, if their width is one that this codec has and the last one is whole.
pub(super) fn field_count(plane: &[u8], width: u8) -> Option<usize> {
    let field_bytes = usize::from(width / 8);
    let whole = matches!(width, 8 | 16) && plane.len().is_multiple_of(field_bytes);
    whole.then(|| plane.len() / field_bytes)
}
