//! Encoding: which codecs a plane is tried with, and which of them it gets.

use std::sync::Arc;

use super::dictionary;
use super::difference;
use super::general;
use super::grouped;
use super::hints::Hints;
use super::method::Method;
use super::numbers::NumbersEncoder;
use super::plain::{ZstdEncoder, encode_constant};
use super::plane::{Content, Form, Level, PlaneShape, enough_saved};
use super::scaled::{self, Model, Segment};
use super::spread;
use super::trimmed;
use crate::error::Result;
use crate::format::CodecId;

/// Bits of the exponent of a float of 16 bits.
const HALF_EXPONENT_BITS: u8 = 5;

/// Shorter planes of integers are not sampled, but tried as a whole.
const ENOUGH_BYTES_TO_SAMPLE: usize = 1 << 16;
/// From so many places of a plane, one byte in so many of each part: long enough for zstd to be about as
/// good on it as on the whole.
const SAMPLES: usize = 4;
const SAMPLED_SHARE: usize = 8;

/// Codes planes, with buffers that are used again.
pub struct Encoder {
    level: Level,
    numbers: NumbersEncoder,
    scaled: Option<scaled::Encoder>,
    spread: Option<spread::Encoder>,
    matching: ZstdEncoder,
    bytes: Option<general::Encoder>,
    dictionary: dictionary::Encoder,
    grouped: grouped::Encoder,
    /// Made when the first plane comes that has a base.
    difference: Option<Box<difference::Encoder>>,
    coded: Vec<u8>,
    candidate: Vec<u8>,
}

impl Encoder {
    /// An encoder for a method. With a model, planes of weights that lie in its matrices may be coded
    /// by it.
    ///
    /// # Errors
    /// `Io` if a library cannot get memory, `Unsupported` for a method that this build leaves out.
    pub fn new(method: Method, level: Level, model: Option<Arc<Model>>) -> Result<Self> {
        method.check()?;
        Ok(Self {
            level,
            numbers: NumbersEncoder::new(level),
            spread: model.clone().map(spread::Encoder::new),
            scaled: model.map(scaled::Encoder::new),
            matching: ZstdEncoder::new(Method::Weights.library_level(level))?,
            bytes: general::Encoder::new(method, level)?,
            dictionary: dictionary::Encoder::default(),
            grouped: grouped::Encoder::default(),
            difference: None,
            coded: Vec::new(),
            candidate: Vec::new(),
        })
    }

    /// Whether it makes use of groups, of pairs or of single levels, so that they are worth finding.
    pub const fn wants_groups(&self, pairs: Option<u8>) -> bool {
        match self.level {
            _ if self.is_by_bytes() => false,
            Level::Fast => false,
            // Pairs are looked up in memory anyway; single levels decode faster with one table.
            Level::Default => pairs.is_some(),
            Level::Max => true,
        }
    }

    /// Whether it codes byte planes by a general method.
    pub const fn is_by_bytes(&self) -> bool {
        self.bytes.is_some()
    }

    /// Appends the coded plane to `out` in the way that is smallest, and says which that is.
    ///
    /// # Errors
    /// `Io` if a library fails, which they do for want of memory only.
    pub fn encode(
        &mut self,
        plane: &[u8],
        shape: PlaneShape,
        content: Content,
        hints: Hints<'_>,
        out: &mut Vec<u8>,
    ) -> Result<CodecId> {
        if plane.is_empty() {
            // Of a block that is shorter than a record.
            return Ok(CodecId::Raw);
        }
        if encode_constant(plane, shape, out) {
            return Ok(CodecId::Constant);
        }
        self.coded.clear();
        let codec = match (content, &mut self.bytes) {
            // Floats of 16 bits in records are left whole.
            (Content::Byte { is_top }, Some(bytes)) if shape.width == 8 || !is_top => {
                bytes.encode(plane, is_top, &mut self.coded)?
            }
            (Content::FloatTop { exponent_bits }, _) => {
                self.encode_float_top(plane, shape, exponent_bits, hints.segments)
            }
            (Content::Mantissa, _) => {
                trimmed::encode(plane, shape.width, &mut self.coded).then_some(CodecId::Trimmed)
            }
            (Content::Scale, _) => self.encode_scales(plane, shape),
            (Content::Levels, _) => self.encode_levels(plane, shape, hints),
            // With one table for all, parts that differ make matching pay where a sample does not show it.
            (Content::Integers, _) => self.encode_any(plane, shape, self.level != Level::Fast)?,
            (Content::Any | Content::Byte { .. }, _) => self.encode_any(plane, shape, false)?,
        };
        if let Some(codec) = codec
            && self.coded.len() < enough_saved(plane.len())
        {
            out.extend_from_slice(&self.coded);
            return Ok(codec);
        }
        out.extend_from_slice(plane);
        Ok(CodecId::Raw)
    }

    /// Appends what tells numbers from those of a base, if there is a codec for them.
    pub fn encode_beside(
        &mut self,
        numbers: &[u8],
        base: &[u8],
        form: Form,
        out: &mut Vec<u8>,
    ) -> Option<CodecId> {
        let level = self.level;
        let difference = self
            .difference
            .get_or_insert_with(|| Box::new(difference::Encoder::new(level)));
        difference
            .encode(numbers, base, form, out)
            .then_some(CodecId::Difference)
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
            .numbers
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

    /// The better of floats coded as such, and of places in a list of all values.
    fn encode_scales(&mut self, plane: &[u8], shape: PlaneShape) -> Option<CodecId> {
        let numbers = &mut self.numbers;
        let codec = numbers.encode(plane, shape.width, HALF_EXPONENT_BITS, &mut self.coded);
        let Some(values) = dictionary::distinct(plane) else {
            return codec;
        };
        let (places, bits) = self.dictionary.places(plane, &values);
        let mut coded_places = Vec::new();
        let of_places = numbers.encode_places(places, bits, values.len(), &mut coded_places);
        let of_places = of_places.unwrap_or_else(|| {
            coded_places.extend_from_slice(places);
            CodecId::Raw
        });
        self.candidate.clear();
        dictionary::put_values(&values, of_places, &mut self.candidate);
        self.candidate.extend_from_slice(&coded_places);
        if codec.is_none() || self.candidate.len() < self.coded.len() {
            std::mem::swap(&mut self.candidate, &mut self.coded);
            return Some(CodecId::Dictionary);
        }
        codec
    }

    /// The better of a table for all, and of tables by what is known of groups, or of rows and columns.
    fn encode_levels(
        &mut self,
        plane: &[u8],
        shape: PlaneShape,
        hints: Hints<'_>,
    ) -> Option<CodecId> {
        self.candidate.clear();
        let is_spread = match &mut self.spread {
            Some(spread) if !hints.in_steps.is_empty() => {
                let (width, in_steps) = (shape.width, hints.in_steps);
                spread.encode(plane, width, in_steps, hints.segments, &mut self.candidate)
            }
            _ => false,
        };
        let to_beat = if is_spread {
            self.candidate.len()
        } else {
            plane.len()
        };
        let codec = self
            .numbers
            .encode_levels(plane, shape.width, to_beat, &mut self.coded);
        if is_spread && (codec.is_none() || self.candidate.len() < self.coded.len()) {
            std::mem::swap(&mut self.candidate, &mut self.coded);
            return Some(CodecId::Spread);
        }
        let Some(groups) = hints.groups else {
            return codec;
        };
        let to_beat = if codec.is_some() {
            self.coded.len()
        } else {
            plane.len()
        };
        self.candidate.clear();
        if self.grouped.encode(plane, groups, &mut self.candidate)
            && self.candidate.len() < enough_saved(to_beat)
        {
            std::mem::swap(&mut self.candidate, &mut self.coded);
            return Some(CodecId::Grouped);
        }
        codec
    }

    /// The better of single values and of matches with zstd, which are looked for only where a sample has
    /// some, if samples are believed.
    fn encode_any(
        &mut self,
        plane: &[u8],
        shape: PlaneShape,
        believes_samples: bool,
    ) -> Result<Option<CodecId>> {
        let codec = match shape.width {
            8 | 16 => self
                .numbers
                .encode_order_0(plane, shape.width, &mut self.coded),
            _ => None,
        };
        let bytes = codec.map_or(plane.len(), |_| self.coded.len());
        self.candidate.clear();
        if believes_samples && plane.len() >= ENOUGH_BYTES_TO_SAMPLE {
            let sample: Vec<u8> = plane
                .chunks(plane.len() / SAMPLES)
                .flat_map(|part| &part[..part.len() / SAMPLED_SHARE])
                .copied()
                .collect();
            self.matching.encode(&sample, &mut self.candidate)?;
            if self.candidate.len() as u64 * plane.len() as u64
                >= bytes as u64 * sample.len() as u64
            {
                return Ok(codec);
            }
            self.candidate.clear();
        }
        self.matching.encode(plane, &mut self.candidate)?;
        if codec.is_none() || self.candidate.len() < bytes {
            std::mem::swap(&mut self.candidate, &mut self.coded);
            return Ok(Some(CodecId::Zstd));
        }
        Ok(codec)
    }
}
