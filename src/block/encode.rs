//! Encoding: choose how to take the elements apart, code each plane, keep the smallest result.

use crate::codec::{Content, Encoder, Level, PlaneShape};
use crate::error::Result;
use crate::format::{BlockHeader, ElementType, PlaneHeader};
use crate::plane::{Field, split};

/// Encodes blocks, with buffers that are used again.
pub struct BlockEncoder {
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
/// they have fewer different values than this.
const STRUCTURED_ZEROS: usize = SAMPLES / 32;
const STRUCTURED_VALUES: usize = 256;

impl BlockEncoder {
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn new(level: Level) -> Result<Self> {
        Ok(Self {
            codec: Encoder::new(level)?,
            plane: Vec::new(),
            coded: Vec::new(),
            candidate: Vec::new(),
        })
    }

    /// Writes the stored form of a block of at most `MAX_BLOCK_BYTES` to `stored`, replacing what
    /// it held. It is never longer than the block by more than 16 bytes.
    ///
    /// # Errors
    /// `Io` if a codec runs out of memory.
    pub fn encode(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let width = element.bytes();
        if is_one_byte(bytes) {
            return self.encode_split(bytes, Split::NONE, |_| Content::Any, stored);
        }
        let Some(exponent_bits) = exponent_bits(element) else {
            self.encode_split(bytes, Split::bytes(width), |_| Content::Any, stored)?;
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
        self.encode_split(bytes, how, content, stored)?;
        if stored.len() > bytes.len() || is_structured(bytes, width) {
            self.keep_if_smaller(bytes, Split::NONE, stored)?;
            self.keep_if_smaller(bytes, Split::bytes(width), stored)?;
        }
        Ok(())
    }

    /// Tries another split with codecs for anything.
    fn keep_if_smaller(&mut self, bytes: &[u8], how: Split, stored: &mut Vec<u8>) -> Result<()> {
        let mut candidate = std::mem::take(&mut self.candidate);
        self.encode_split(bytes, how, |_| Content::Any, &mut candidate)?;
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
                    .encode(elements, shape, content(shift), &mut self.coded)?
            } else {
                split(elements, how.element_bytes, 0, field, &mut self.plane);
                self.codec
                    .encode(&self.plane, shape, content(shift), &mut self.coded)?
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

/// Bits of the exponent, for types that have one beside other bits.
const fn exponent_bits(element: ElementType) -> Option<u8> {
    match element {
        ElementType::F8E4M3 => Some(4),
        ElementType::F8E5M2 | ElementType::F16 => Some(5),
        ElementType::Bf16 | ElementType::F32 => Some(8),
        ElementType::F64 => Some(11),
        _ => None,
    }
}

fn is_one_byte(bytes: &[u8]) -> bool {
    bytes.windows(2).all(|pair| pair[0] == pair[1])
}

/// Whether floats look like something else than weights: many zeros, or few different values.
fn is_structured(bytes: &[u8], width: u8) -> bool {
    let width = usize::from(width);
    let count = bytes.len() / width;
    let samples = bytes
        .chunks_exact(width)
        .step_by((count / SAMPLES).max(1))
        .take(SAMPLES);
    let mut values: Vec<&[u8]> = samples.collect();
    let zeros = values
        .iter()
        .filter(|value| value.iter().all(|&byte| byte == 0))
        .count();
    values.sort_unstable();
    values.dedup();
    zeros >= STRUCTURED_ZEROS || values.len() < STRUCTURED_VALUES
}
