//! The header of a stored block: how its elements were taken apart into planes.

use std::ops::Range;

use super::codec_id::CodecId;
use super::field;
use crate::error::{Error, Result};

/// Most planes a block may have: enough for every byte of the widest element to be cut in two.
pub const MAX_PLANES: usize = 16;
/// Bytes of the fixed part of a block header.
const FIXED_BYTES: usize = 8;
/// Bytes that describe a plane.
const PLANE_BYTES: usize = 8;

/// One plane: the bits `shift .. shift + width` of each rotated element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneHeader {
    /// How the plane is coded.
    pub codec: CodecId,
    /// Lowest bit of the field.
    pub shift: u8,
    /// Bits of the field, not zero.
    pub width: u8,
    /// Length of the coded plane in bytes.
    pub stored_len: u32,
}

/// How the elements of a block were taken apart.
///
/// Each element, a little-endian number of `element_bytes`, is first rotated left by `rotate` bits
/// (so that fields which are not neighbours, such as the sign and the mantissa, become neighbours),
/// then cut into planes from its lowest bit upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Bytes of an element: 1, 2, 4 or 8.
    pub element_bytes: u8,
    /// Bits an element is rotated left by, less than its width.
    pub rotate: u8,
    plane_count: u8,
    planes: [PlaneHeader; MAX_PLANES],
}

const NO_PLANE: PlaneHeader = PlaneHeader {
    codec: CodecId::Raw,
    shift: 0,
    width: 0,
    stored_len: 0,
};

impl BlockHeader {
    /// A header without planes yet.
    pub const fn new(element_bytes: u8, rotate: u8) -> Self {
        Self {
            element_bytes,
            rotate,
            plane_count: 0,
            planes: [NO_PLANE; MAX_PLANES],
        }
    }

    /// Adds the next plane upwards.
    ///
    /// # Panics
    /// If there are `MAX_PLANES` already, which is a mistake of the encoder.
    pub fn push(&mut self, plane: PlaneHeader) {
        self.planes[usize::from(self.plane_count)] = plane;
        self.plane_count += 1;
    }

    /// The planes, lowest bits first.
    pub fn planes(&self) -> &[PlaneHeader] {
        &self.planes[..usize::from(self.plane_count)]
    }

    /// Bytes of the header itself.
    pub fn header_bytes(&self) -> usize {
        FIXED_BYTES + PLANE_BYTES * usize::from(self.plane_count)
    }

    /// Appends the header to a block.
    pub fn encode_to(&self, block: &mut Vec<u8>) {
        block.extend_from_slice(&[
            self.plane_count,
            self.element_bytes,
            self.rotate,
            0,
            0,
            0,
            0,
            0,
        ]);
        for plane in self.planes() {
            block.extend_from_slice(&[plane.codec.code(), plane.shift, plane.width, 0]);
            block.extend_from_slice(&plane.stored_len.to_le_bytes());
        }
    }

    /// Reads the header of a block that decodes to `decoded_len` bytes. The planes tile the
    /// element, and header, planes and tail make up the block exactly.
    ///
    /// # Errors
    /// `Corrupt` if that does not hold, `Unsupported` for an unknown codec.
    pub fn parse(block: &[u8], decoded_len: usize) -> Result<Self> {
        let malformed = || Error::corrupt("the block header is malformed");
        let fixed = block.get(..FIXED_BYTES).ok_or_else(malformed)?;
        let plane_count = usize::from(fixed[0]);
        let mut header = Self::new(fixed[1], fixed[2]);
        let element_bits = u32::from(header.element_bytes) * 8;
        if plane_count > MAX_PLANES
            || !matches!(header.element_bytes, 1 | 2 | 4 | 8)
            || u32::from(header.rotate) >= element_bits
            || !field::is_zero(&fixed[3..])
        {
            return Err(malformed());
        }
        let rows = block
            .get(FIXED_BYTES..FIXED_BYTES + plane_count * PLANE_BYTES)
            .ok_or_else(malformed)?;
        let mut bits = 0;
        let mut stored = header.tail_bytes(decoded_len) as u64;
        for row in rows.chunks_exact(PLANE_BYTES) {
            let plane = PlaneHeader {
                codec: CodecId::from_code(row[0])?,
                shift: row[1],
                width: row[2],
                stored_len: field::u32(row, 4),
            };
            if u32::from(plane.shift) != bits || plane.width == 0 || row[3] != 0 {
                return Err(malformed());
            }
            bits += u32::from(plane.width);
            stored += u64::from(plane.stored_len);
            header.push(plane);
        }
        if bits != element_bits || stored + header.header_bytes() as u64 != block.len() as u64 {
            return Err(malformed());
        }
        Ok(header)
    }

    /// Elements in a block that decodes to `decoded_len` bytes.
    pub fn element_count(&self, decoded_len: usize) -> usize {
        decoded_len / usize::from(self.element_bytes)
    }

    /// Bytes behind the last whole element, stored as they are at the end of the block.
    pub fn tail_bytes(&self, decoded_len: usize) -> usize {
        decoded_len % usize::from(self.element_bytes)
    }

    /// The planes with the ranges of their coded bytes in the block.
    pub fn stored_planes(&self) -> impl Iterator<Item = (PlaneHeader, Range<usize>)> + '_ {
        let mut at = self.header_bytes();
        self.planes().iter().map(move |plane| {
            let start = at;
            // `parse` has shown that the sum is the length of the block.
            at += plane.stored_len as usize;
            (*plane, start..at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(shift: u8, width: u8, stored_len: u32) -> PlaneHeader {
        PlaneHeader {
            codec: CodecId::Raw,
            shift,
            width,
            stored_len,
        }
    }

    #[test]
    fn fields_of_any_width_round_trip() {
        let mut header = BlockHeader::new(2, 1);
        header.push(plane(0, 6, 3));
        header.push(plane(6, 10, 5));
        let mut block = Vec::new();
        header.encode_to(&mut block);
        block.extend_from_slice(&[0; 9]);
        assert_eq!(BlockHeader::parse(&block, 9).unwrap(), header);
        let ranges: Vec<_> = header.stored_planes().map(|(_, range)| range).collect();
        assert_eq!(ranges, [24..27, 27..32]);
        for len in 0..block.len() {
            assert!(BlockHeader::parse(&block[..len], 9).is_err());
        }
    }

    #[test]
    fn planes_that_do_not_tile_the_element_are_refused() {
        for planes in [
            vec![],
            vec![plane(0, 6, 0)],
            vec![plane(0, 8, 0), plane(7, 8, 0)],
            vec![plane(0, 8, 0), plane(8, 9, 0)],
            vec![plane(0, 0, 0), plane(0, 16, 0)],
            vec![plane(0, 8, 0), plane(8, 8, u32::MAX)],
        ] {
            let mut header = BlockHeader::new(2, 1);
            for plane in planes {
                header.push(plane);
            }
            let mut block = Vec::new();
            header.encode_to(&mut block);
            assert!(BlockHeader::parse(&block, 0).is_err());
        }
    }
}
