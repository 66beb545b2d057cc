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

/// A way to take elements apart: planes of bytes, after a rotation.
#[derive(Debug, Clone, Copy)]
struct Split {
    element_bytes: u8,
    rotate: u8,
}

const UNSPLIT: Split = Split {
    element_bytes: 1,
    rotate: 0,
};

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
        let content = if element.is_float() {
            Content::Numbers
        } else {
            Content::Any
        };
        self.encode_split(bytes, preferred_split(element), content, stored)?;
        // Repeats of whole values are longer matches when the bytes stay together; floats that
        // did not shrink may still be something else under a float's name.
        let unsplit_may_win = element.bytes() > 1
            && (!element.is_float() || stored.len() > bytes.len() || is_one_byte(bytes));
        if unsplit_may_win {
            let mut candidate = std::mem::take(&mut self.candidate);
            self.encode_split(bytes, UNSPLIT, Content::Any, &mut candidate)?;
            if candidate.len() < stored.len() {
                std::mem::swap(stored, &mut candidate);
            }
            self.candidate = candidate;
        }
        Ok(())
    }

    fn encode_split(
        &mut self,
        bytes: &[u8],
        how: Split,
        content: Content,
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let mut header = BlockHeader::new(how.element_bytes, how.rotate);
        let (elements, tail) = bytes.split_at(bytes.len() - header.tail_bytes(bytes.len()));
        self.coded.clear();
        for byte in 0..how.element_bytes {
            let field = Field {
                shift: byte * 8,
                width: 8,
            };
            let shape = PlaneShape {
                width: field.width,
                count: header.element_count(bytes.len()),
            };
            let before = self.coded.len();
            let codec = if how.element_bytes == 1 {
                self.codec
                    .encode(elements, shape, content, &mut self.coded)?
            } else {
                split(
                    elements,
                    how.element_bytes,
                    how.rotate,
                    field,
                    &mut self.plane,
                );
                self.codec
                    .encode(&self.plane, shape, content, &mut self.coded)?
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

/// Floats are rotated left by one bit: the sign goes to the bottom, and the top byte is the
/// exponent (with the first mantissa bits where the exponent is shorter than a byte).
fn preferred_split(element: ElementType) -> Split {
    Split {
        element_bytes: element.bytes(),
        rotate: u8::from(element.is_float() && element.bytes() > 1),
    }
}

fn is_one_byte(bytes: &[u8]) -> bool {
    bytes.windows(2).all(|pair| pair[0] == pair[1])
}
