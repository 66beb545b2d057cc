//! Encoding: choose how to take the elements apart, code each plane, keep the smallest result.

use std::sync::Arc;

use super::encoded::Encoded;
use super::structure::{are_bytes_alike, is_structured};
use crate::codec::scaled::{Model, Segment};
use crate::codec::{Content, Encoder, Level, Method, PlaneShape};
use crate::error::Result;
use crate::format::{BlockHeader, ElementType, PlaneHeader};
use crate::plane::record::{Meaning, RecordLayout};
use crate::plane::{Field, split};

/// Encodes blocks, with buffers that are used again.
pub struct BlockEncoder {
    codec: Encoder,
    plane: Vec<u8>,
    streams: Vec<Vec<u8>>,
    coded: Vec<u8>,
    candidate: Vec<u8>,
}

/// A way to take elements apart: planes of equal width.
#[derive(Debug, Clone, Copy)]
struct Split {
    element_bytes: u8,
    field_bits: u8,
}

impl Split {
    /// Elements left whole, as bytes.
    const NONE: Self = Self::bytes(1);

    const fn bytes(element_bytes: u8) -> Self {
        Self {
            element_bytes,
            field_bits: 8,
        }
    }
}

impl BlockEncoder {
    /// An encoder by the codecs for weights.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn new(level: Level) -> Result<Self> {
        Self::with_model(level, None)
    }

    /// The same for an archive whose profiles are made from a model.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn with_model(level: Level, model: Option<Arc<Model>>) -> Result<Self> {
        Self::with_method(Method::Weights, level, model)
    }

    /// An encoder by any method; a model is of use to the codecs for weights alone.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs, `Unsupported` for a method that this build leaves
    /// out.
    pub fn with_method(method: Method, level: Level, model: Option<Arc<Model>>) -> Result<Self> {
        Ok(Self {
            codec: Encoder::new(method, level, model)?,
            plane: Vec::new(),
            streams: Vec::new(),
            coded: Vec::new(),
            candidate: Vec::new(),
        })
    }

    /// Writes the stored form of a block of at most `MAX_BLOCK_BYTES` to `stored`, replacing what
    /// it held, and says what that will decode to. It is never longer than the block by more than 16
    /// bytes.
    ///
    /// `segments` tell which matrices of the model its elements belong to; empty if that is not
    /// known, otherwise they make up all of its elements.
    ///
    /// # Errors
    /// `Io` if a codec runs out of memory.
    pub fn encode(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        segments: &[Segment],
        stored: &mut Vec<u8>,
    ) -> Result<Encoded> {
        self.encode_smallest(bytes, element, segments, stored)?;
        Ok(Encoded::exact(bytes))
    }

    fn encode_smallest(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        segments: &[Segment],
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let width = element.bytes();
        if is_one_byte(bytes) {
            return self.encode_split(bytes, Split::NONE, |_| Content::Any, &[], stored);
        }
        if self.codec.is_by_bytes() && !element.is_record() {
            let content = |shift| Content::Byte {
                is_top: shift == (width - 1) * 8,
            };
            return self.encode_split(bytes, Split::bytes(width), content, &[], stored);
        }
        if let Some(record) = element.record() {
            return self.encode_records(bytes, element, record, stored);
        }
        let Some(exponent_bits) = element.exponent_bits() else {
            let content = |_| match element {
                ElementType::Bytes => Content::Any,
                _ => Content::Integers,
            };
            if width > 1 && are_bytes_alike(bytes, width) {
                return self.encode_split(bytes, Split::NONE, content, &[], stored);
            }
            self.encode_split(bytes, Split::bytes(width), content, &[], stored)?;
            if width > 1 {
                // Repeats of whole values are longer matches when the bytes stay together.
                self.keep_if_smaller(bytes, Split::NONE, stored)?;
            }
            return Ok(());
        };
        // Floats are cut in planes of 16 bits: the top one holds sign, exponent and the first
        // mantissa bits.
        let how = Split {
            element_bytes: width,
            field_bits: if width == 1 { 8 } else { 16 },
        };
        let top = width * 8 - how.field_bits;
        let content = |shift| {
            if shift == top {
                Content::FloatTop { exponent_bits }
            } else {
                Content::Mantissa
            }
        };
        self.encode_split(bytes, how, content, segments, stored)?;
        if stored.len() > bytes.len() || is_structured(bytes, width) {
            self.keep_if_smaller(bytes, Split::NONE, stored)?;
            if width > 1 {
                self.keep_if_smaller(bytes, Split::bytes(width), stored)?;
            }
        }
        Ok(())
    }

    /// Takes records apart, each stream a plane; or leaves them together if that is smaller.
    fn encode_records(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        record: RecordLayout,
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let mut header = BlockHeader::of_records(element);
        let (records, tail) = bytes.split_at(bytes.len() - header.tail_bytes(bytes.len()));
        let mut streams = std::mem::take(&mut self.streams);
        record.take(records, &mut streams);
        self.coded.clear();
        for (number, (plane, stream)) in (0..).zip(streams.iter().zip(record.streams())) {
            let shape = PlaneShape {
                width: stream.field_bytes * 8,
                count: plane.len() / usize::from(stream.field_bytes),
            };
            let content = match stream.meaning {
                Meaning::Half => Content::Scale,
                Meaning::Levels => Content::Levels,
                Meaning::Scales | Meaning::Bytes => Content::Any,
            };
            let before = self.coded.len();
            let codec = self
                .codec
                .encode(plane, shape, content, &[], &mut self.coded)?;
            header.push(PlaneHeader {
                codec,
                shift: number,
                width: shape.width,
                stored_len: u32::try_from(self.coded.len() - before)
                    .expect("invariant: a plane is not larger than its block"),
            });
        }
        self.streams = streams;
        stored.clear();
        header.encode_to(stored);
        stored.extend_from_slice(&self.coded);
        stored.extend_from_slice(tail);
        if stored.len() > bytes.len() - bytes.len() / 64 {
            self.keep_if_smaller(bytes, Split::NONE, stored)?;
        }
        Ok(())
    }

    /// Tries another split with codecs for anything.
    fn keep_if_smaller(&mut self, bytes: &[u8], how: Split, stored: &mut Vec<u8>) -> Result<()> {
        let mut candidate = std::mem::take(&mut self.candidate);
        self.encode_split(bytes, how, |_| Content::Any, &[], &mut candidate)?;
        if candidate.len() < stored.len() {
            std::mem::swap(stored, &mut candidate);
        }
        self.candidate = candidate;
        Ok(())
    }

    fn encode_split(
        &mut self,
        bytes: &[u8],
        how: Split,
        content: impl Fn(u8) -> Content,
        segments: &[Segment],
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let mut header = BlockHeader::new(how.element_bytes, 0);
        let (elements, tail) = bytes.split_at(bytes.len() - header.tail_bytes(bytes.len()));
        self.coded.clear();
        let element_bits = how.element_bytes * 8;
        for shift in (0..element_bits).step_by(how.field_bits.into()) {
            let field = Field {
                shift,
                width: how.field_bits,
            };
            let shape = PlaneShape {
                width: field.width,
                count: header.element_count(bytes.len()),
            };
            let before = self.coded.len();
            let codec = if how.field_bits == element_bits {
                self.codec
                    .encode(elements, shape, content(shift), segments, &mut self.coded)?
            } else {
                split(elements, how.element_bytes, 0, field, &mut self.plane);
                self.codec.encode(
                    &self.plane,
                    shape,
                    content(shift),
                    segments,
                    &mut self.coded,
                )?
            };
            header.push(PlaneHeader {
                codec,
                shift: field.shift,
                width: field.width,
                stored_len: u32::try_from(self.coded.len() - before)
                    .expect("invariant: a plane is not larger than its block"),
            });
        }
        stored.clear();
        header.encode_to(stored);
        stored.extend_from_slice(&self.coded);
        stored.extend_from_slice(tail);
        Ok(())
    }
}

fn is_one_byte(bytes: &[u8]) -> bool {
    bytes.windows(2).all(|pair| pair[0] == pair[1])
}
