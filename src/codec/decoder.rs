//! Decoding: which decoder gets a plane.

use super::catalog;
use super::dictionary;
use super::general;
use super::grouped;
use super::plain::{ZstdDecoder, decode_constant, decode_raw};
use super::plane::Coded;
use super::{ans, difference, huffman, scaled, spread, trimmed};
use crate::error::{Error, Result};
use crate::format::CodecId;
use crate::plane::plane_bytes;

/// Decodes planes; holds what the codecs need between calls.
pub struct Decoder {
    zstd: ZstdDecoder,
    ans: ans::Decoder,
    huffman: huffman::Decoder,
    scaled: scaled::Decoder,
    values: dictionary::Values,
    places: Vec<u8>,
    grouped: grouped::Decoder,
    spread: spread::Decoder,
    difference: difference::Decoder,
    #[cfg(feature = "comparison")]
    deflate: general::DeflateDecoder,
    arithmetic: general::ArithmeticDecoder,
}

impl Decoder {
    /// # Errors
    /// `Io` if zstd cannot get memory.
    pub fn new() -> Result<Self> {
        Ok(Self {
            zstd: ZstdDecoder::new()?,
            ans: ans::Decoder::default(),
            huffman: huffman::Decoder::new(),
            scaled: scaled::Decoder::default(),
            values: dictionary::Values::default(),
            places: Vec::new(),
            grouped: grouped::Decoder::default(),
            spread: spread::Decoder::default(),
            difference: difference::Decoder::default(),
            #[cfg(feature = "comparison")]
            deflate: general::DeflateDecoder::new(),
            arithmetic: general::ArithmeticDecoder::new(),
        })
    }

    /// Keeps nothing that was made of profiles: who decoded something wrong may have been shown wrong
    /// ones.
    pub fn forget_profiles(&mut self) {
        self.scaled.forget_profiles();
        self.spread.forget_profiles();
    }

    /// Gives back buffers that are as long as the longest plane so far.
    pub fn give_back(&mut self) {
        self.places = Vec::new();
        self.scaled.give_back();
        self.spread.give_back();
        self.difference = difference::Decoder::default();
    }

    /// Decodes a plane into `plane`, whose length is that of the shape. Every codec is asked in the same
    /// way; those that keep nothing between planes are functions.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane, or a profile it needs is missing;
    /// `Unsupported` if this build has no such codec; `InvalidInput` if `plane` has another length.
    pub fn decode_into(
        &mut self,
        codec: CodecId,
        coded: &Coded<'_>,
        plane: &mut [u8],
    ) -> Result<()> {
        catalog::check(codec, coded.shape.width)?;
        if plane.len() != plane_bytes(coded.shape.count, coded.shape.width) {
            return Err(Error::InvalidInput(
                "a plane is to be decoded into something of another length".into(),
            ));
        }
        match codec {
            CodecId::Raw => decode_raw(coded, plane),
            CodecId::Constant => decode_constant(coded, plane),
            CodecId::Zstd => self.zstd.decode_into(coded, plane),
            CodecId::Ans => self.ans.decode_into(coded, plane),
            CodecId::Trimmed => trimmed::decode_into(coded, plane),
            CodecId::Scaled => self.scaled.decode_into(coded, plane),
            CodecId::Huffman => self.huffman.decode_into(coded, plane),
            #[cfg(feature = "comparison")]
            CodecId::Lz4 => general::decode_lz4(coded, plane),
            #[cfg(feature = "comparison")]
            CodecId::Deflate => self.deflate.decode_into(coded, plane),
            #[cfg(feature = "comparison")]
            CodecId::Lzma => general::decode_lzma(coded, plane),
            #[cfg(not(feature = "comparison"))]
            CodecId::Lz4 | CodecId::Deflate | CodecId::Lzma => Err(catalog::not_built(codec)),
            CodecId::Arithmetic => self.arithmetic.decode_into(coded, plane),
            CodecId::Dictionary => self.decode_by_values(coded, plane),
            CodecId::Grouped => self.grouped.decode_into(coded, plane),
            CodecId::Spread => self.spread.decode_into(coded, plane),
            CodecId::RunLength => general::decode_run_length(coded, plane),
            CodecId::Difference => self.decode_beside(coded, plane),
        }
    }

    /// A plane of numbers that are told by those of a base.
    fn decode_beside(&mut self, coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
        let base = coded.context.base.filter(|base| {
            base.form.bytes * 8 == coded.shape.width && base.numbers.len() == plane.len()
        });
        let base = base.ok_or_else(|| Error::corrupt("a plane rests on a base, and has none"))?;
        let (bytes, numbers) = (coded.bytes, base.numbers);
        self.difference
            .decode_into(bytes, numbers, base.form, coded.simd, plane)
    }

    /// A plane of which the places of the fields in a list of values are coded.
    fn decode_by_values(&mut self, coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
        let places = self.values.take(coded)?;
        let shape = places.coded.shape;
        let mut decoded = std::mem::take(&mut self.places);
        decoded.resize(plane_bytes(shape.count, shape.width), 0);
        let filled = self
            .decode_into(places.codec, &places.coded, &mut decoded)
            .and_then(|()| self.values.fill(&decoded, plane));
        self.places = decoded;
        filled
    }
}
