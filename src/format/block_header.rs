//! The header of a stored block: how its elements were taken apart into planes.

use std::ops::Range;

use super::base::{Kinship, REFERENCE_BYTES, Reference};
use super::codec_id::CodecId;
use super::element::ElementType;
use super::field;
use super::grid::{GRID_BYTES, GridHeader, MAX_LEVEL_BITS};
use crate::error::{Error, Result};
use crate::plane::record::RecordForm;

/// Most planes a block may have: enough for every byte of the widest element to be cut in two.
pub const MAX_PLANES: usize = 16;
/// Bytes of the fixed part of a block header.
const FIXED_BYTES: usize = 8;
/// Bytes that describe a plane.
const PLANE_BYTES: usize = 8;

/// So many of a block's first bytes, or all of a shorter one, tell what it rests on.
pub const REFERENCE_PREFIX_BYTES: usize = FIXED_BYTES + PLANE_BYTES + REFERENCE_BYTES;

/// The shift of a plane that is not of levels, but of the scales of a grid.
pub const SCALES_SHIFT: u8 = 255;

/// One plane: the bits `shift .. shift + width` of each rotated element, or of each level; or stream number
/// `shift` of records, with fields of `width` bits.
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockHeader {
    /// Bytes of an element: 1, 2, 4 or 8; or those of a record.
    pub element_bytes: u8,
    /// Bits an element is rotated left by, less than its width.
    pub rotate: u8,
    /// What the elements are, if they are records, and their form: a plane is a stream of it then.
    pub record: Option<(ElementType, RecordForm)>,
    /// The grid that the elements lie on, if they are stored as levels: planes are of those then.
    pub grid: Option<GridHeader>,
    /// What the block rests on, if it is not told by itself: its planes are of differences then, or there are none.
    pub reference: Option<(ElementType, Reference)>,
    plane_count: u8,
    planes: [PlaneHeader; MAX_PLANES],
}

/// Checks that planes make up an element.
enum Tiling {
    /// Of a number of so many bits, so many are there.
    Number { bits: u32, there: u32 },
    /// The form of a record, and how many of its streams are there.
    Record { form: RecordForm, there: u8 },
    /// Of numbers that are the same as those of a base, or near them: planes that are still to come, and their bits.
    Kin { planes: u8, bits: u32 },
    /// Bits of a scale that is still to come, most of a level, and those of it that are there.
    Levels {
        scale: Option<u8>,
        most: u8,
        there: u8,
    },
}

impl Tiling {
    fn new(header: &BlockHeader) -> Self {
        if let Some(grid) = header.grid {
            return Self::Levels {
                scale: grid.kind.scale_bits(grid.element),
                most: MAX_LEVEL_BITS.min(grid.element.bytes() * 8),
                there: 0,
            };
        }
        if let Some((element, reference)) = header.reference {
            return Self::Kin {
                planes: u8::from(reference.kinship == Kinship::Difference),
                // A record may have more bits than a plane can be wide.
                bits: u32::from(element.bytes()) * 8,
            };
        }
        match header.record {
            Some((_, form)) => Self::Record { form, there: 0 },
            None => Self::Number {
                bits: u32::from(header.element_bytes) * 8,
                there: 0,
            },
        }
    }

    /// Whether a plane is the next one.
    fn takes(&mut self, plane: &PlaneHeader) -> bool {
        match self {
            Self::Number { there, .. } => {
                let is_next = u32::from(plane.shift) == *there && plane.width > 0;
                *there += u32::from(plane.width);
                is_next
            }
            Self::Record { form, there } => {
                let is_next = form.stream(*there).is_some_and(|stream| {
                    plane.shift == *there && plane.width == stream.field_bytes * 8
                });
                *there += 1;
                is_next
            }
            Self::Kin { planes, bits } => {
                let is_next = *planes > 0 && plane.shift == 0 && u32::from(plane.width) == *bits;
                *planes = planes.saturating_sub(1);
                is_next
            }
            Self::Levels { scale, there, .. } => {
                if let Some(bits) = scale.take() {
                    return plane.shift == SCALES_SHIFT && plane.width == bits;
                }
                // The low byte of wide levels, and what is above it or all of others.
                let is_next = plane.shift == *there
                    && match *there {
                        0 => matches!(plane.width, 8 | 16),
                        8 => plane.width == 16,
                        _ => false,
                    };
                *there = there.saturating_add(plane.width);
                is_next
            }
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Number { bits, there } => *bits == *there,
            Self::Record { form, there } => form.streams().count() == usize::from(*there),
            Self::Kin { planes, .. } => *planes == 0,
            Self::Levels { scale, most, there } => {
                scale.is_none() && matches!(*there, 8 | 16 | MAX_LEVEL_BITS) && there <= most
            }
        }
    }
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
            record: None,
            grid: None,
            reference: None,
            plane_count: 0,
            planes: [NO_PLANE; MAX_PLANES],
        }
    }

    /// The same for records, in a form of the element's layout.
    pub const fn of_records(element: ElementType, form: RecordForm) -> Self {
        let mut header = Self::new(element.bytes(), 0);
        header.record = Some((element, form));
        header
    }

    /// The same for levels of a grid.
    pub const fn of_levels(grid: GridHeader) -> Self {
        let mut header = Self::new(grid.element.bytes(), 0);
        header.grid = Some(grid);
        header
    }

    /// The same for numbers that rest on those of a base.
    pub const fn of_kin(element: ElementType, reference: Reference) -> Self {
        let mut header = Self::new(element.bytes(), 0);
        header.reference = Some((element, reference));
        header
    }

    /// What a block rests on, from its first `REFERENCE_PREFIX_BYTES`; `None` for one that stands for itself, and for
    /// what is no block.
    pub fn reference_of(prefix: &[u8]) -> Option<(ElementType, Reference)> {
        let fixed = prefix.get(..FIXED_BYTES).filter(|fixed| fixed[1] == 0)?;
        let kinship = Kinship::from_code(fixed[2])?;
        let at = FIXED_BYTES + usize::from(fixed[0]) * PLANE_BYTES;
        let reference = prefix.get(at..at + REFERENCE_BYTES)?;
        let element = ElementType::from_code(fixed[3]).ok()?;
        Some((element, Reference::parse(kinship, reference)?))
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
        FIXED_BYTES
            + PLANE_BYTES * usize::from(self.plane_count)
            + if self.grid.is_some() { GRID_BYTES } else { 0 }
            + if self.reference.is_some() {
                REFERENCE_BYTES
            } else {
                0
            }
    }

    /// Appends the header to a block.
    pub fn encode_to(&self, block: &mut Vec<u8>) {
        let kind = match (self.record, self.grid, self.reference) {
            (Some((element, form)), ..) => [0, form.code(), element.code()],
            (None, Some(grid), _) => [0, grid.kind.code(), grid.element.code()],
            (None, None, Some((element, reference))) => {
                [0, reference.kinship as u8, element.code()]
            }
            (None, None, None) => [self.element_bytes, self.rotate, 0],
        };
        block.push(self.plane_count);
        block.extend_from_slice(&kind);
        block.extend_from_slice(&[0; FIXED_BYTES - 4]);
        for plane in self.planes() {
            block.extend_from_slice(&[plane.codec.code(), plane.shift, plane.width, 0]);
            block.extend_from_slice(&plane.stored_len.to_le_bytes());
        }
        if let Some(grid) = &self.grid {
            grid.encode_to(block);
        }
        if let Some((_, reference)) = self.reference {
            reference.encode_to(block);
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
        let planes_end = FIXED_BYTES + plane_count * PLANE_BYTES;
        let mut header = match (fixed[1], fixed[3]) {
            (0, code) => {
                let element = ElementType::from_code(code)?;
                if let Some(kinship) = Kinship::from_code(fixed[2]) {
                    let reference = block.get(planes_end..planes_end + REFERENCE_BYTES);
                    reference
                        .and_then(|bytes| Reference::parse(kinship, bytes))
                        .filter(|reference| !reference.is_rounded || element.is_half())
                        .map(|reference| Self::of_kin(element, reference))
                        .ok_or_else(malformed)?
                } else if let Some(layout) = element.record() {
                    let form = RecordForm::from_code(layout, fixed[2]).ok_or_else(malformed)?;
                    Self::of_records(element, form)
                } else {
                    let grid = block.get(planes_end..planes_end + GRID_BYTES);
                    let elements = decoded_len / usize::from(element.bytes());
                    grid.and_then(|grid| GridHeader::parse(element, fixed[2], grid, elements))
                        .map(Self::of_levels)
                        .ok_or_else(malformed)?
                }
            }
            (element_bytes @ (1 | 2 | 4 | 8), 0) => Self::new(element_bytes, fixed[2]),
            _ => return Err(malformed()),
        };
        if plane_count > MAX_PLANES
            || u32::from(header.rotate) >= u32::from(header.element_bytes) * 8
            || !field::is_zero(&fixed[4..])
        {
            return Err(malformed());
        }
        let rows = block.get(FIXED_BYTES..planes_end).ok_or_else(malformed)?;
        let mut tiling = Tiling::new(&header);
        let mut stored = (header.tail_bytes(decoded_len) + header.exceptions_bytes()) as u64;
        for row in rows.chunks_exact(PLANE_BYTES) {
            let plane = PlaneHeader {
                codec: CodecId::from_code(row[0])?,
                shift: row[1],
                width: row[2],
                stored_len: field::u32(row, 4),
            };
            // Differences are to a base, and what rests on one is told by nothing else.
            let is_beside = plane.codec == CodecId::Difference;
            if !tiling.takes(&plane) || row[3] != 0 || is_beside != header.reference.is_some() {
                return Err(malformed());
            }
            stored += u64::from(plane.stored_len);
            header.push(plane);
        }
        if !tiling.is_whole() || stored + header.header_bytes() as u64 != block.len() as u64 {
            return Err(malformed());
        }
        Ok(header)
    }

    /// Fields of a plane in a block that decodes to `decoded_len` bytes.
    pub fn field_count(&self, plane: &PlaneHeader, decoded_len: usize) -> usize {
        let elements = self.element_count(decoded_len);
        if let Some(grid) = &self.grid
            && plane.shift == SCALES_SHIFT
        {
            return grid.parts.count(elements);
        }
        match self.record {
            // A stream that there is: `parse` has seen to that.
            Some((_, form)) => {
                let fields = form.stream(plane.shift).map_or(0, |stream| stream.fields);
                elements * usize::from(fields)
            }
            None => elements,
        }
    }

    /// Elements in a block that decodes to `decoded_len` bytes.
    pub fn element_count(&self, decoded_len: usize) -> usize {
        decoded_len / usize::from(self.element_bytes)
    }

    /// Bytes behind the last whole element, stored as they are at the end of the block.
    pub fn tail_bytes(&self, decoded_len: usize) -> usize {
        decoded_len % usize::from(self.element_bytes)
    }

    /// Bytes of what does not lie on the grid, stored behind the planes.
    fn exceptions_bytes(&self) -> usize {
        self.grid.map_or(0, |grid| grid.exceptions_bytes())
    }

    /// What is stored behind the planes of elements that do not lie on the grid.
    pub fn exceptions<'b>(&self, block: &'b [u8], decoded_len: usize) -> &'b [u8] {
        let end = block.len() - self.tail_bytes(decoded_len);
        &block[end - self.exceptions_bytes()..end]
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
    fn whatever_rests_on_a_base_has_planes_as_wide_as_its_elements() {
        for &element in ElementType::ALL {
            for width in 1..=u8::MAX {
                let reference = Reference {
                    kinship: Kinship::Difference,
                    base: 3,
                    offset: 5,
                    is_rounded: false,
                };
                let mut header = BlockHeader::of_kin(element, reference);
                header.push(PlaneHeader {
                    codec: CodecId::Difference,
                    ..plane(0, width, 0)
                });
                let mut block = Vec::new();
                header.encode_to(&mut block);
                let is_sound = u32::from(width) == u32::from(element.bytes()) * 8;
                assert_eq!(
                    BlockHeader::parse(&block, 0).is_ok(),
                    is_sound,
                    "{element:?}"
                );
                let front = BlockHeader::reference_of(&block);
                assert_eq!(front, Some((element, reference)));
            }
        }
    }

    #[test]
    fn planes_that_do_not_tile_the_element_are_refused() {
        for planes in [
            vec![],
            vec![PlaneHeader {
                codec: CodecId::Difference,
                ..plane(0, 16, 0)
            }],
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
