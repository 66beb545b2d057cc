//! Frames of zstd, set up as the tool `zstd` does for a file.

use std::io::{self, Write};

use zstd::stream::write::Encoder;

/// A frame with a checksum and its length.
pub(super) fn encoder<W: Write>(out: W, level: u32, bytes: u64) -> io::Result<Encoder<'static, W>> {
    let level = i32::try_from(level).map_err(io::Error::other)?;
    let mut encoder = Encoder::new(out, level)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(bytes))?;
    Ok(encoder)
}
