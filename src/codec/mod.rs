//! Codes planes: each codec turns the bytes of one plane into fewer bytes and back.
//!
//! Invariant: `Decoder::decode_into` fills the plane exactly or fails; what it returns on success
//! may still be wrong if the input was damaged, so the caller checks a checksum. Knows nothing of
//! elements, blocks or files.
//!
//! A new codec is a variant of `CodecId`, an arm in `decode_into` and a candidate in `encode`.

mod ans;
mod float;
mod general;
mod huffman;
mod parts;
pub mod scaled;
mod symbol;
mod trimmed;

use std::sync::Arc;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

use crate::error::{Error, Result};
use crate::format::{CodecId, Profiles};
use crate::plane::{constant_value, fill_constant};
use crate::simd::Simd;
use float::FloatEncoder;
pub use general::ByteMethod;
use scaled::{Model, Segment};

/// What the writer optimizes for. A property of packing alone: every reader reads every level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Level {
    /// Decoding speed first, most of all on processors without AVX-512.
    Fast,
    /// Nearly as small as single tables allow, decoded fast.
    #[default]
    Default,
    /// Size first.
    Max,
}

/// What is known of a plane's values before looking at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The highest bits of floating-point numbers: a sign, so many bits of exponent, and what is left
    /// of the mantissa.
    FloatTop {
        /// Bits of the exponent.
        exponent_bits: u8,
    },
    /// Lower bits of mantissas: noise, if all bits of the type are made use of.
    Mantissa,
    /// Anything: text, tables, whole values that repeat.
    Any,
    /// A byte of each element, for the methods of byte planes.
    Byte {
        /// Whether it is the highest one.
        is_top: bool,
    },
}

impl Level {
    const fn zstd(self) -> i32 {
        match self {
            Self::Fast => 1,
            Self::Default => 3,
            Self::Max => 19,
        }
    }
}

/// The shape of a plane: `count` fields of `width` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneShape {
    /// Bits of a field.
    pub width: u8,
    /// Number of fields.
    pub count: usize,
}

/// A coded plane must be smaller by this share of its size, or it is stored raw: less is not worth
/// the time to decode it.
const DEFAULT_LEAST_SAVING: usize = 200;

/// Codes planes, with buffers that are used again.
pub struct Encoder {
    float: FloatEncoder,
    scaled: Option<scaled::Encoder>,
    matching: Compressor<'static>,
    bytes: Option<general::Encoder>,
    coded: Vec<u8>,
    candidate: Vec<u8>,
}

impl Encoder {
    /// With a model, planes that lie in its matrices may be coded by it.
    ///
    /// # Errors
    /// `Io` if zstd cannot get memory.
    pub fn new(level: Level, model: Option<Arc<Model>>) -> Result<Self> {
        Ok(Self {
            float: FloatEncoder::new(level),
            scaled: model.map(scaled::Encoder::new),
            matching: Compressor::new(level.zstd()).map_err(zstd_failed)?,
            bytes: None,
            coded: Vec::new(),
            candidate: Vec::new(),
        })
    }

    /// An encoder that codes byte planes by this method.
    ///
    /// # Errors
    /// `Io` if a library cannot get memory.
    pub fn for_bytes(method: ByteMethod, level: Level) -> Result<Self> {
        Ok(Self {
            bytes: Some(general::Encoder::new(method, level)?),
            ..Self::new(level, None)?
        })
    }

    /// Appends the coded plane to `out` in the way that is smallest, and says which that is.
    ///
    /// # Errors
    /// `Io` if zstd fails, which it does for want of memory only.
    pub fn encode(
        &mut self,
        plane: &[u8],
        shape: PlaneShape,
        content: Content,
        segments: &[Segment],
        out: &mut Vec<u8>,
    ) -> Result<CodecId> {
        if let Some(value) = constant_value(plane, shape.width, shape.count) {
            out.extend_from_slice(&value.to_le_bytes()[..constant_bytes(shape.width)]);
            return Ok(CodecId::Constant);
        }
        self.coded.clear();
        let codec = match (content, &mut self.bytes) {
            (Content::Byte { is_top }, Some(bytes)) if shape.width == 8 => {
                bytes.encode(plane, is_top, &mut self.coded)?
            }
            (Content::FloatTop { exponent_bits }, _) => {
                self.encode_float_top(plane, shape, exponent_bits, segments)
            }
            (Content::Mantissa, _) => {
                trimmed::encode(plane, shape.width, &mut self.coded).then_some(CodecId::Trimmed)
            }
            (Content::Any | Content::Byte { .. }, _) => self.encode_any(plane, shape)?,
        };
        if let Some(codec) = codec
            && self.coded.len() < plane.len() - plane.len() / DEFAULT_LEAST_SAVING
        {
            out.extend_from_slice(&self.coded);
            return Ok(codec);
        }
        out.extend_from_slice(plane);
        Ok(CodecId::Raw)
    }

    /// The better of a model, if there is one, and of tables of the plane's own.
    fn encode_float_top(
        &mut self,
        plane: &[u8],
        shape: PlaneShape,
        exponent_bits: u8,
        segments: &[Segment],
    ) -> Option<CodecId> {
        let codec = self
            .float
            .encode(plane, shape.width, exponent_bits, &mut self.coded);
        if let Some(scaled) = &mut self.scaled
            && shape.width == 16
        {
            self.candidate.clear();
            if scaled.encode(plane, exponent_bits, segments, &mut self.candidate)
                && (codec.is_none() || self.candidate.len() < self.coded.len())
            {
                std::mem::swap(&mut self.candidate, &mut self.coded);
                return Some(CodecId::Scaled);
            }
        }
        codec
    }

    /// The better of matches with zstd and of single values.
    fn encode_any(&mut self, plane: &[u8], shape: PlaneShape) -> Result<Option<CodecId>> {
        zstd_compress(&mut self.matching, plane, &mut self.coded)?;
        self.candidate.clear();
        if matches!(shape.width, 8 | 16)
            && let Some(codec) = self
                .float
                .encode_order_0(plane, shape.width, &mut self.candidate)
            && self.candidate.len() < self.coded.len()
        {
            std::mem::swap(&mut self.candidate, &mut self.coded);
            return Ok(Some(codec));
        }
        Ok(Some(CodecId::Zstd))
    }
}

fn zstd_compress(zstd: &mut Compressor<'_>, plane: &[u8], coded: &mut Vec<u8>) -> Result<()> {
    coded.clear();
    coded.reserve(compress_bound(plane.len()));
    zstd.compress_to_buffer(plane, coded).map_err(zstd_failed)?;
    Ok(())
}

fn zstd_failed(error: std::io::Error) -> Error {
    Error::io("zstd failed", error)
}

/// Decodes planes; holds what the codecs need between calls.
pub struct Decoder {
    zstd: Decompressor<'static>,
    ans: ans::Decoder,
    huffman: huffman::Decoder,
    simd: Simd,
    scaled: scaled::Decoder,
    deflate: general::DeflateDecoder,
    arithmetic: general::ArithmeticDecoder,
}

impl Decoder {
    /// # Errors
    /// `Io` if zstd cannot get memory.
    pub fn new() -> Result<Self> {
        Self::with_simd(Simd::detect())
    }

    /// A decoder that uses these vector instructions only.
    ///
    /// # Errors
    /// `Io` if zstd cannot get memory.
    pub fn with_simd(simd: Simd) -> Result<Self> {
        Ok(Self {
            zstd: Decompressor::new().map_err(zstd_failed)?,
            ans: ans::Decoder::new(simd),
            huffman: huffman::Decoder::new(),
            simd,
            scaled: scaled::Decoder::new(simd),
            deflate: general::DeflateDecoder::new(),
            arithmetic: general::ArithmeticDecoder::new(),
        })
    }

    /// Decodes a plane into `plane`, whose length is that of the shape.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane, or a profile it needs is missing.
    pub fn decode_into(
        &mut self,
        codec: CodecId,
        coded: &[u8],
        shape: PlaneShape,
        profiles: Profiles<'_>,
        plane: &mut [u8],
    ) -> Result<()> {
        match codec {
            CodecId::Raw => {
                if coded.len() != plane.len() {
                    return Err(Error::corrupt("a raw plane has the wrong length"));
                }
                plane.copy_from_slice(coded);
            }
            CodecId::Constant => {
                let value = constant(coded, shape.width)?;
                fill_constant(value, shape.width, shape.count, plane);
            }
            CodecId::Zstd => {
                let decoded = self.zstd.decompress_to_buffer(coded, plane);
                if decoded.ok() != Some(plane.len()) {
                    return Err(Error::corrupt("a zstd plane does not decode to its length"));
                }
            }
            CodecId::Ans | CodecId::Trimmed | CodecId::Huffman
                if !matches!(shape.width, 8 | 16) =>
            {
                return Err(wrong_width());
            }
            CodecId::Ans => self.ans.decode_into(coded, shape.width, plane)?,
            CodecId::Huffman => {
                self.huffman
                    .decode_into(coded, shape.width, self.simd, plane)?;
            }
            CodecId::Trimmed => trimmed::decode_into(coded, shape.width, plane)?,
            CodecId::Scaled if shape.width == 16 => {
                self.scaled.decode_into(coded, profiles, plane)?;
            }
            CodecId::Scaled => return Err(wrong_width()),
            CodecId::Lz4 => general::decode_lz4(coded, plane)?,
            CodecId::Deflate => self.deflate.decode_into(coded, plane)?,
            CodecId::Lzma => general::decode_lzma(coded, plane)?,
            CodecId::Arithmetic => self.arithmetic.decode_into(coded, plane)?,
            CodecId::RunLength => general::decode_run_length(coded, plane)?,
        }
        Ok(())
    }
}

fn wrong_width() -> Error {
    Error::corrupt("a plane has a codec that its width cannot have")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::plane_bytes;
    use proptest::prelude::*;

    fn round_trip(plane: &[u8], shape: PlaneShape) -> CodecId {
        let encoder = Encoder::new(Level::Default, None).unwrap();
        round_trip_of(encoder, plane, shape, Content::Any)
    }

    /// Encodes, decodes, and decodes every shorter code, which must fail.
    fn round_trip_of(
        mut encoder: Encoder,
        plane: &[u8],
        shape: PlaneShape,
        content: Content,
    ) -> CodecId {
        let mut coded = vec![0xEE];
        let codec = encoder
            .encode(plane, shape, content, &[], &mut coded)
            .unwrap();
        let mut decoder = Decoder::new().unwrap();
        let mut back = vec![0x55; plane.len()];
        decoder
            .decode_into(codec, &coded[1..], shape, Profiles::NONE, &mut back)
            .unwrap();
        assert_eq!(back, plane);
        for len in 0..coded.len() - 1 {
            assert!(
                decoder
                    .decode_into(codec, &coded[1..=len], shape, Profiles::NONE, &mut back)
                    .is_err(),
                "{codec:?} cut to {len}"
            );
        }
        codec
    }

    #[test]
    fn each_kind_of_plane_finds_its_codec() {
        let shape = |count| PlaneShape { width: 8, count };
        assert_eq!(round_trip(&[], shape(0)), CodecId::Raw);
        assert_eq!(round_trip(&[9; 1000], shape(1000)), CodecId::Constant);
        let text = b"weights weights weights ".repeat(20);
        assert_eq!(round_trip(&text, shape(text.len())), CodecId::Zstd);
        let noise: Vec<u8> = (0..200u32)
            .map(|i| (i.wrapping_mul(0x9E37_79B1) >> 24) as u8)
            .collect();
        assert_eq!(round_trip(&noise, shape(200)), CodecId::Raw);
    }

    const METHODS: [(ByteMethod, CodecId, CodecId); 6] = [
        (ByteMethod::Lz4, CodecId::Lz4, CodecId::Lz4),
        (ByteMethod::Deflate, CodecId::Deflate, CodecId::Deflate),
        (ByteMethod::Zstd, CodecId::Zstd, CodecId::Zstd),
        (ByteMethod::Lzma, CodecId::Lzma, CodecId::Lzma),
        (ByteMethod::SplitHuffman, CodecId::Huffman, CodecId::Raw),
        (
            ByteMethod::SplitArithmetic,
            CodecId::Arithmetic,
            CodecId::RunLength,
        ),
    ];

    fn byte_shape(plane: &[u8]) -> PlaneShape {
        PlaneShape {
            width: 8,
            count: plane.len(),
        }
    }

    #[test]
    fn methods_of_byte_planes_code_each_plane_by_their_codec() {
        let plane: Vec<u8> = (0..4000u32)
            .map(|i| {
                if i % 400 < 300 {
                    7
                } else {
                    (i * i % 251) as u8
                }
            })
            .collect();
        for (method, top, low) in METHODS {
            for level in [Level::Fast, Level::Default, Level::Max] {
                for (is_top, expected) in [(true, top), (false, low)] {
                    let encoder = Encoder::for_bytes(method, level).unwrap();
                    let content = Content::Byte { is_top };
                    let codec = round_trip_of(encoder, &plane, byte_shape(&plane), content);
                    assert_eq!(codec, expected, "{method:?} {level:?} {is_top}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn methods_of_byte_planes_give_back_any_bytes(
            runs in prop::collection::vec((any::<u8>(), 1usize..200), 0..40),
            noise in prop::collection::vec(0u8..20, 0..600),
            method in prop::sample::select(METHODS.to_vec()),
            is_top: bool,
        ) {
            let mut plane: Vec<u8> = runs.iter().flat_map(|&(v, n)| vec![v; n]).collect();
            plane.extend(noise);
            let encoder = Encoder::for_bytes(method.0, Level::Default).unwrap();
            round_trip_of(encoder, &plane, byte_shape(&plane), Content::Byte { is_top });
        }

        #[test]
        fn constant_planes_of_every_width(width in 1u8..=64, count in 1usize..100, bits: u64) {
            let value = bits & (u64::MAX >> (64 - width));
            let shape = PlaneShape { width, count };
            let mut plane = vec![0; plane_bytes(count, width)];
            fill_constant(value, width, count, &mut plane);
            prop_assert_eq!(constant_value(&plane, width, count), Some(value));
            prop_assert_eq!(round_trip(&plane, shape), CodecId::Constant);
        }

        #[test]
        fn garbage_never_panics(
            coded in prop::collection::vec(any::<u8>(), 0..200),
            codec in prop::sample::select(CodecId::ALL.to_vec()),
            width in 1u8..=64, count in 0usize..100,
        ) {
            let mut plane = vec![0; plane_bytes(count, width)];
            let shape = PlaneShape { width, count };
            let _ = Decoder::new().unwrap().decode_into(codec, &coded, shape, Profiles::NONE, &mut plane);
        }
    }
}
