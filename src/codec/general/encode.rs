//! Encoding byte planes by the methods that are not made for weights.

use super::arithmetic;
use super::run_length;
#[cfg(feature = "comparison")]
use super::{deflate, lz4, lzma};
use crate::codec::method::Method;
use crate::codec::numbers::NumbersEncoder;
use crate::codec::plain::ZstdEncoder;
use crate::codec::plane::Level;
use crate::error::Result;
use crate::format::CodecId;

enum Coder {
    #[cfg(feature = "comparison")]
    Lz4(lz4::Encoder),
    #[cfg(feature = "comparison")]
    Deflate(deflate::Encoder),
    Zstd(ZstdEncoder),
    #[cfg(feature = "comparison")]
    Lzma(lzma::Encoder),
    SplitHuffman(Box<NumbersEncoder>),
    SplitArithmetic,
}

/// Codes byte planes.
pub(in crate::codec) struct Encoder(Coder);

impl Encoder {
    /// The encoder of a method that is built; `None` for one that is not of byte planes.
    ///
    /// # Errors
    /// `Io` if a library cannot get memory.
    pub fn new(method: Method, level: Level) -> Result<Option<Self>> {
        let library_level = method.library_level(level);
        let coder = match method {
            #[cfg(feature = "comparison")]
            Method::Lz4 => Coder::Lz4(lz4::Encoder::new(library_level)),
            #[cfg(feature = "comparison")]
            Method::Deflate => Coder::Deflate(deflate::Encoder::new(library_level)),
            Method::Zstd => Coder::Zstd(ZstdEncoder::new(library_level)?),
            #[cfg(feature = "comparison")]
            Method::Lzma => Coder::Lzma(lzma::Encoder::new(library_level)),
            Method::SplitHuffman => Coder::SplitHuffman(Box::new(NumbersEncoder::new(Level::Fast))),
            Method::SplitArithmetic => Coder::SplitArithmetic,
            Method::Weights => return Ok(None),
            #[cfg(not(feature = "comparison"))]
            Method::Lz4 | Method::Deflate | Method::Lzma => return Ok(None),
        };
        Ok(Some(Self(coder)))
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
            #[cfg(feature = "comparison")]
            Coder::Lz4(encoder) => {
                encoder.encode(plane, coded)?;
                Some(CodecId::Lz4)
            }
            #[cfg(feature = "comparison")]
            Coder::Deflate(encoder) => {
                encoder.encode(plane, coded)?;
                Some(CodecId::Deflate)
            }
            Coder::Zstd(encoder) => {
                encoder.encode(plane, coded)?;
                Some(CodecId::Zstd)
            }
            #[cfg(feature = "comparison")]
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
