//! Planes as raw DEFLATE streams (RFC 1951), without a zlib or gzip header.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::codec::plane::Coded;
use crate::error::{Error, Result};

pub(super) struct Encoder(Compress);

impl Encoder {
    pub fn new(level: i32) -> Self {
        Self(Compress::new(Compression::new(level.unsigned_abs()), false))
    }

    pub fn encode(&mut self, plane: &[u8], coded: &mut Vec<u8>) -> Result<()> {
        self.0.reset();
        // Stored blocks take 5 bytes each, of which the shortest hold some 16 KiB.
        coded.reserve(plane.len() + plane.len() / 1024 + 64);
        let status = self
            .0
            .compress_vec(plane, coded, FlushCompress::Finish)
            .map_err(std::io::Error::other);
        match status {
            Ok(Status::StreamEnd) => Ok(()),
            Ok(_) => {
                // Longer than raw: the caller leaves it raw.
                coded.resize(plane.len(), 0);
                Ok(())
            }
            Err(e) => Err(Error::io("DEFLATE failed", e)),
        }
    }
}

pub(in crate::codec) struct Decoder(Decompress);

impl Decoder {
    pub fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// # Errors
    /// `Corrupt` if the stream is not whole or does not decode to the length of the plane.
    pub fn decode_into(&mut self, coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
        let coded = coded.bytes;
        self.0.reset(false);
        let status = self.0.decompress(coded, plane, FlushDecompress::Finish);
        if !matches!(status, Ok(Status::StreamEnd))
            || self.0.total_in() != coded.len() as u64
            || self.0.total_out() != plane.len() as u64
        {
            return Err(Error::corrupt(
                "a DEFLATE plane does not decode to its length",
            ));
        }
        Ok(())
    }
}
