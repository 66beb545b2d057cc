//! Planes as one LZ4 block each, without the length that some libraries put in front.

use lz4::block::{CompressionMode, compress_bound, compress_to_buffer, decompress_to_buffer};

use crate::codec::plane::Coded;
use crate::error::{Error, Result};

pub(super) struct Encoder(CompressionMode);

impl Encoder {
    /// Up to level 1 without looking long for matches.
    pub fn new(level: i32) -> Self {
        Self(if level > 1 {
            CompressionMode::HIGHCOMPRESSION(level)
        } else {
            CompressionMode::FAST(1)
        })
    }

    pub fn encode(&self, plane: &[u8], coded: &mut Vec<u8>) -> Result<()> {
        let failed = |e| Error::io("LZ4 failed", e);
        coded.resize(compress_bound(plane.len()).map_err(failed)?, 0);
        let len = compress_to_buffer(plane, Some(self.0), false, coded).map_err(failed)?;
        coded.truncate(len);
        Ok(())
    }
}

/// # Errors
/// `Corrupt` if the block does not decode to the length of the plane.
pub(in crate::codec) fn decode_into(coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
    let coded = coded.bytes;
    let len = i32::try_from(plane.len()).ok();
    // An empty block is an error to LZ4; empty planes are raw.
    let decoded = len
        .filter(|_| !coded.is_empty())
        .and_then(|len| decompress_to_buffer(coded, Some(len), plane).ok());
    if decoded != Some(plane.len()) {
        return Err(Error::corrupt("an LZ4 plane does not decode to its length"));
    }
    Ok(())
}
