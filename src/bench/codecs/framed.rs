//! Pieces of a file one after the other, each a frame of zstd with its length before it.

use std::io::{self, Read, Write};

use super::zstd_frame;
use crate::error::{Error, Result};
use crate::job::Monitor;

/// Bytes of an extent or a tensor that are taken apart at once: several windows of zstd at its level 19.
pub(super) const PART_BYTES: u64 = 32 << 20;

/// Writes the next frame.
///
/// # Errors
/// `Io` if the system refuses, `Interrupted`.
pub(super) fn put_frame(
    out: &mut impl Write,
    level: u32,
    bytes: &[u8],
    cannot: &impl Fn(io::Error) -> Error,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let frame = zstd_frame::encoder(Vec::new(), level, bytes.len() as u64);
    let mut frame = frame.map_err(cannot)?;
    for piece in bytes.chunks(1 << 20) {
        monitor.check()?;
        frame.write_all(piece).map_err(cannot)?;
    }
    let frame = frame.finish().map_err(cannot)?;
    put(out, &frame).map_err(cannot)
}

/// Writes bytes with their length before them.
pub(super) fn put(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

/// What `put` wrote, if that is not more than `most`.
pub(super) fn get(input: &mut impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut len = [0; 8];
    input.read_exact(&mut len)?;
    let len = u64::from_le_bytes(len);
    let mut bytes = Vec::new();
    if len > most || input.by_ref().take(len).read_to_end(&mut bytes)? as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Fills `bytes` from the next frame, which must hold as many.
pub(super) fn get_frame(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<()> {
    let frame = get(input, 2 * PART_BYTES)?;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame.as_slice())?;
    decoder.read_exact(bytes)?;
    match decoder.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
