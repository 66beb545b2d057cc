//! Planes as raw LZMA2 streams, without the container of .xz files.

use liblzma::stream::{Action, Error as LzmaError, Filters, LzmaOptions, Status, Stream};

use crate::codec::plane::Coded;
use crate::error::{Error, Result};
use crate::format::MAX_BLOCK_BYTES;

/// The smallest dictionary that LZMA2 has.
const MIN_DICTIONARY_BYTES: u32 = 4096;

pub(super) struct Encoder {
    preset: u32,
}

impl Encoder {
    pub fn new(level: i32) -> Self {
        Self {
            preset: level.unsigned_abs(),
        }
    }

    pub fn encode(&self, plane: &[u8], coded: &mut Vec<u8>) -> Result<()> {
        let mut options = LzmaOptions::new_preset(self.preset).map_err(failed)?;
        options.dict_size(dictionary_bytes(plane.len()));
        let mut filters = Filters::new();
        filters.lzma2(&options);
        let mut stream = Stream::new_raw_encoder(&filters).map_err(failed)?;
        // Chunks that do not shrink are stored, with 3 bytes in front of each 64 KiB.
        coded.reserve(plane.len() + plane.len() / 4096 + 64);
        let status = stream
            .process_vec(plane, coded, Action::Finish)
            .map_err(failed)?;
        if status != Status::StreamEnd {
            // Longer than raw: the caller leaves it raw.
            coded.resize(plane.len(), 0);
        }
        Ok(())
    }
}

fn failed(error: LzmaError) -> Error {
    Error::io("LZMA failed", error.into())
}

fn dictionary_bytes(plane_len: usize) -> u32 {
    u32::try_from(plane_len).map_or(MAX_BLOCK_BYTES, |len| {
        len.clamp(MIN_DICTIONARY_BYTES, MAX_BLOCK_BYTES)
    })
}

/// # Errors
/// `Corrupt` if the stream is not whole or does not decode to the length of the plane, `Io` for want
/// of memory.
pub(in crate::codec) fn decode_into(coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
    let coded = coded.bytes;
    let mut options = LzmaOptions::new_preset(0).map_err(failed)?;
    options.dict_size(dictionary_bytes(plane.len()));
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut stream = Stream::new_raw_decoder(&filters).map_err(failed)?;
    let status = stream.process(coded, plane, Action::Finish);
    if matches!(status, Err(LzmaError::Mem)) {
        return Err(failed(LzmaError::Mem));
    }
    if !matches!(status, Ok(Status::StreamEnd))
        || stream.total_in() != coded.len() as u64
        || stream.total_out() != plane.len() as u64
    {
        return Err(Error::corrupt(
            "an LZMA plane does not decode to its length",
        ));
    }
    Ok(())
}
