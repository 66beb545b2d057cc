//! Planes as they are, planes of one value, and planes through zstd.

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

use super::plane::{Coded, PlaneShape};
use crate::error::{Error, Result};
use crate::plane::{constant_value, fill_constant};

/// # Errors
/// `Corrupt` if a raw plane has another length.
pub(super) fn decode_raw(coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
    if coded.bytes.len() != plane.len() {
        return Err(Error::corrupt("a raw plane has the wrong length"));
    }
    plane.copy_from_slice(coded.bytes);
    Ok(())
}

/// Appends the value of a plane all of whose fields have the same, and tells whether they do.
pub(super) fn encode_constant(plane: &[u8], shape: PlaneShape, out: &mut Vec<u8>) -> bool {
    let Some(value) = constant_value(plane, shape.width, shape.count) else {
        return false;
    };
    out.extend_from_slice(&value.to_le_bytes()[..constant_bytes(shape.width)]);
    true
}

/// # Errors
/// `Corrupt` if the coded bytes are not one value of the plane's width.
pub(super) fn decode_constant(coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
    let PlaneShape { width, count } = coded.shape;
    fill_constant(constant(coded.bytes, width)?, width, count, plane);
    Ok(())
}

fn constant_bytes(width: u8) -> usize {
    usize::from(width.div_ceil(8))
}

fn constant(coded: &[u8], width: u8) -> Result<u64> {
    let mut value = [0; 8];
    let valid = coded.len() == constant_bytes(width);
    if valid {
        value[..coded.len()].copy_from_slice(coded);
    }
    let value = u64::from_le_bytes(value);
    if !valid || value > u64::MAX >> (64 - width) {
        return Err(Error::corrupt("a constant plane does not hold one value"));
    }
    Ok(value)
}

/// Encodes planes with zstd.
pub(super) struct ZstdEncoder(Compressor<'static>);

impl ZstdEncoder {
    /// # Errors
    /// `Io` if zstd cannot get memory.
    pub fn new(level: i32) -> Result<Self> {
        Ok(Self(Compressor::new(level).map_err(zstd_failed)?))
    }

    /// Makes `coded` the coded plane.
    ///
    /// # Errors
    /// `Io` if zstd fails, which it does for want of memory only.
    pub fn encode(&mut self, plane: &[u8], coded: &mut Vec<u8>) -> Result<()> {
        coded.clear();
        coded.reserve(compress_bound(plane.len()));
        self.0
            .compress_to_buffer(plane, coded)
            .map_err(zstd_failed)?;
        Ok(())
    }
}

/// Decodes planes with zstd.
pub(super) struct ZstdDecoder(Decompressor<'static>);

impl ZstdDecoder {
    /// # Errors
    /// `Io` if zstd cannot get memory.
    pub fn new() -> Result<Self> {
        Ok(Self(Decompressor::new().map_err(zstd_failed)?))
    }

    /// # Errors
    /// `Corrupt` if the frames do not decode to the length of the plane.
    pub fn decode_into(&mut self, coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
        let decoded = self.0.decompress_to_buffer(coded.bytes, plane);
        if decoded.ok() != Some(plane.len()) {
            return Err(Error::corrupt("a zstd plane does not decode to its length"));
        }
        Ok(())
    }
}

fn zstd_failed(error: std::io::Error) -> Error {
    Error::io("zstd failed", error)
}
