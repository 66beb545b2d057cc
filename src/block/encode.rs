//! Encoding: choose how to take the elements apart, code each plane, keep the smallest result.

use std::sync::Arc;

use crate::codec::scaled::{Model, Segment};
use crate::codec::{ByteMethod, Content, Encoder, Level, PlaneShape};
use crate::error::Result;
use crate::format::{BlockHeader, ElementType, PlaneHeader};
use crate::plane::{Field, split};

/// Encodes blocks, with buffers that are used again.
pub struct BlockEncoder {
    /// Takes elements apart at their bytes and leaves the rest to a method of byte planes.
    by_bytes: bool,
    codec: Encoder,
    plane: Vec<u8>,
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

/// Elements of a block that are looked at to guess its structure.
const SAMPLES: usize = 2048;
/// A block of floats may be something else than weights if so many of its samples are zero, or if
/// they have fewer different values than this. Weights in 8-bit types have 60 to 200.
const STRUCTURED_ZEROS: usize = SAMPLES / 32;
const STRUCTURED_VALUES: usize = 256;
const STRUCTURED_BYTES: usize = 32;

impl BlockEncoder {
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn new(level: Level) -> Result<Self> {
        Self::with_model(level, None)
    }

    /// An encoder for an archive whose profiles are made from a model.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn with_model(level: Level, model: Option<Arc<Model>>) -> Result<Self> {
        Ok(Self::with_codec(Encoder::new(level, model)?, false))
    }

    /// An encoder that codes byte planes by a general method.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn for_bytes(method: ByteMethod, level: Level) -> Result<Self> {
        Ok(Self::with_codec(Encoder::for_bytes(method, level)?, true))
    }

    fn with_codec(codec: Encoder, by_bytes: bool) -> Self {
        Self {
            by_bytes,
            codec,
            plane: Vec::new(),
            coded: Vec::new(),
            candidate: Vec::new(),
        }
    }

    /// Writes the stored form of a block of at most `MAX_BLOCK_BYTES` to `stored`, replacing what
    /// it held. It is never longer than the block by more than 16 bytes.
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
    ) -> Result<()> {
        let width = element.bytes();
        if is_one_byte(bytes) {
            return self.encode_split(bytes, Split::NONE, |_| Content::Any, &[], stored);
        }
        if self.by_bytes {
            let content = |shift| Content::Byte {
                is_top: shift == (width - 1) * 8,
            };
            return self.encode_split(bytes, Split::bytes(width), content, &[], stored);
        }
        let Some(exponent_bits) = element.exponent_bits() else {
            self.encode_split(bytes, Split::bytes(width), |_| Content::Any, &[], stored)?;
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

/// Whether floats look like something else than weights: many zeros, or few different values.
fn is_structured(bytes: &[u8], width: u8) -> bool {
    match width {
        1 => is_structured_of::<1>(bytes),
        2 => is_structured_of::<2>(bytes),
        4 => is_structured_of::<4>(bytes),
        _ => is_structured_of::<8>(bytes),
    }
}

fn is_structured_of<const WIDTH: usize>(bytes: &[u8]) -> bool {
    let elements = bytes.as_chunks::<WIDTH>().0;
    let samples = || {
        elements
            .iter()
            .step_by((elements.len() / SAMPLES).max(1))
            .take(SAMPLES)
    };
    let zeros = samples().filter(|&&value| value == [0; WIDTH]).count();
    let different = if WIDTH == 1 {
        STRUCTURED_BYTES
    } else {
        STRUCTURED_VALUES
    };
    zeros >= STRUCTURED_ZEROS || !has_different(samples(), different)
}

/// Whether there are so many different values, at most 256.
fn has_different<'v, const WIDTH: usize>(
    values: impl Iterator<Item = &'v [u8; WIDTH]>,
    wanted: usize,
) -> bool {
    // An open hash table of the values met; most blocks have enough of them very soon.
    const PLACES: usize = 1024;
    let mut met: [Option<[u8; WIDTH]>; PLACES] = [None; PLACES];
    let mut different = 0;
    for value in values {
        let value = *value;
        let mut word = [0; 8];
        word[..WIDTH].copy_from_slice(&value);
        let [.., low, high] = u64::from_le_bytes(word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .to_le_bytes();
        let mut place = usize::from(u16::from_le_bytes([low, high])) % PLACES;
        while met[place].is_some_and(|other| other != value) {
            place = (place + 1) % PLACES;
        }
        if met[place].is_none() {
            met[place] = Some(value);
            different += 1;
            if different == wanted {
                return true;
            }
        }
    }
    false
}
