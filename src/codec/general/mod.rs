//! Coding of byte planes by general methods: what is published for comparison, and what to fall back
//! on where nothing but well-known formats may be used.
//!
//! Two kinds: a general compressor on every plane (byte reordering), or an entropy coder on the
//! highest byte of each element and next to nothing on the others (split streams).

mod arithmetic;
mod deflate;
mod lz4;
mod lzma;
mod run_length;

use zstd::bulk::Compressor;

use super::float::FloatEncoder;
use super::{Level, zstd_compress, zstd_failed};
use crate::error::Result;
use crate::format::CodecId;

pub(super) use arithmetic::Decoder as ArithmeticDecoder;
pub(super) use deflate::Decoder as DeflateDecoder;
pub(super) use lz4::decode_into as decode_lz4;
pub(super) use lzma::decode_into as decode_lzma;
pub(super) use run_length::decode_into as decode_run_length;

/// How the byte planes of an archive are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteMethod {
    /// LZ4 on every plane; from the level `Default` on with its slow match finder.
    Lz4,
    /// DEFLATE on every plane, levels 3, 6 and 9.
    Deflate,
    /// zstd on every plane, levels 3, 12 and 19.
    Zstd,
    /// LZMA2 on every plane, presets 3, 6 and 9.
    Lzma,
    /// A static Huffman code for the highest byte of each element, the others raw.
    SplitHuffman,
    /// Static order-0 arithmetic coding of the highest byte, run lengths of the others where that
    /// makes them smaller.
    SplitArithmetic,
}

enum Coder {
    Lz4(lz4::Encoder),
    Deflate(deflate::Encoder),
    Zstd(Box<Compressor<'static>>),
    Lzma(lzma::Encoder),
    SplitHuffman(Box<FloatEncoder>),
    SplitArithmetic,
}

/// Codes byte planes.
pub(super) struct Encoder(Coder);

impl Encoder {
    /// # Errors
    /// `Io` if a library cannot get memory.
    pub fn new(method: ByteMethod, level: Level) -> Result<Self> {
        Ok(Self(match method {
            ByteMethod::Lz4 => Coder::Lz4(lz4::Encoder::new(level)),
            ByteMethod::Deflate => Coder::Deflate(deflate::Encoder::new(level)),
            ByteMethod::Zstd => {
                let level = match level {
                    Level::Fast => 3,
                    Level::Default => 12,
                    Level::Max => 19,
                };
                Coder::Zstd(Box::new(Compressor::new(level).map_err(zstd_failed)?))
            }
            ByteMethod::Lzma => Coder::Lzma(lzma::Encoder::new(level)),
            ByteMethod::SplitHuffman => {
                Coder::SplitHuffman(Box::new(FloatEncoder::new(Level::Fast)))
            }
            ByteMethod::SplitArithmetic => Coder::SplitArithmetic,
        }))
    }

    /// Appends the coded plane to `coded`, which is empty, and says how; `None` for one to leave
    /// raw. `is_top` tells the plane of the highest bytes.
    ///
    /// # Errors
    /// `Io` if a library fails, which they do for want of memory only.
    pub fn encode(
        &mut self,
        plane: &[u8],
        is_top: bool,
        coded: &mut Vec<u8>,
    ) -> Result<Option<CodecId>> {
        Ok(match &mut self.0 {
            Coder::Lz4(encoder) => {
                encoder.encode(plane, coded)?;
                Some(CodecId::Lz4)
            }
            Coder::Deflate(encoder) => {
                encoder.encode(plane, coded)?;
                Some(CodecId::Deflate)
            }
            Coder::Zstd(compressor) => {
                zstd_compress(compressor, plane, coded)?;
                Some(CodecId::Zstd)
            }
            Coder::Lzma(encoder) => {
                encoder.encode(plane, coded)?;
                Some(CodecId::Lzma)
            }
            Coder::SplitHuffman(encoder) if is_top => encoder.encode_bytes(plane, coded),
            Coder::SplitHuffman(_) => None,
            Coder::SplitArithmetic if is_top => {
                arithmetic::encode(plane, coded);
                Some(CodecId::Arithmetic)
            }
            Coder::SplitArithmetic => {
                run_length::encode(plane, coded);
                Some(CodecId::RunLength)
            }
        })
    }
}
