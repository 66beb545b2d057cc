//! Symbols without an id: a list of their places and of what they are.

use super::split::Split;
use crate::error::{Error, Result};

/// Bytes of one exception: place (4), symbol (2).
const EXCEPTION_BYTES: usize = 6;
/// More exceptions than this a plane cannot have.
pub(in crate::codec) const MAX_EXCEPTIONS: usize = u16::MAX as usize;

/// Appends a list of exceptions.
pub(in crate::codec) fn put_exceptions(exceptions: &[(u32, u16)], out: &mut Vec<u8>) {
    for (place, symbol) in exceptions {
        out.extend_from_slice(&place.to_le_bytes());
        out.extend_from_slice(&symbol.to_le_bytes());
    }
}

/// Length of a list of exceptions.
pub(in crate::codec) const fn exceptions_bytes(count: usize) -> usize {
    count * EXCEPTION_BYTES
}

/// Puts the symbols of exceptions in their places.
///
/// # Errors
/// `Corrupt` if one lies outside the plane.
pub(in crate::codec) fn apply_exceptions(
    split: Split,
    list: &[u8],
    fields: &mut [u8],
) -> Result<()> {
    let field_bytes = usize::from(split.width / 8);
    for row in list.chunks_exact(EXCEPTION_BYTES) {
        let place = u32::from_le_bytes([row[0], row[1], row[2], row[3]]);
        let symbol = u16::from_le_bytes([row[4], row[5]]);
        let field = usize::try_from(place)
            .ok()
            .and_then(|place| fields.chunks_exact_mut(field_bytes).nth(place))
            .ok_or_else(|| Error::corrupt("an exception lies outside its plane"))?;
        let mut word = [0; 2];
        word[..field_bytes].copy_from_slice(field);
        let raw = split.rotate(u16::from_le_bytes(word)) & ((1 << split.raw_bits) - 1);
        let whole = split.rotate_back(symbol << split.raw_bits | raw);
        field.copy_from_slice(&whole.to_le_bytes()[..field_bytes]);
    }
    Ok(())
}
