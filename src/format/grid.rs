//! Grids: how the levels of a block of levels stand for numbers, and the header that says so.

use super::element::ElementType;
use super::field;

/// Bytes of a grid's header, behind those of the planes.
pub const GRID_BYTES: usize = 32;
/// Widest of all levels, in bits.
pub const MAX_LEVEL_BITS: u8 = 24;
/// Steps of an octave that a reader makes tables for.
pub const MAX_OCTAVE_STEPS: u32 = 1 << 16;
/// Farthest level of groups.
pub const MAX_GROUP_LEVEL: u32 = 127;

/// How levels stand for numbers. The code is the one on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GridKind {
    /// Multiples of a step, of F32 and F64.
    Uniform = 1,
    /// As few numbers of F16 or BF16 as are within a bound of all others.
    Cover = 2,
    /// The same for a bound relative to each number.
    PointwiseCover = 3,
    /// Powers of a ratio, of F32 and F64.
    Logarithmic = 4,
    /// Multiples of a scale of each group of neighbours in a row.
    Groups = 5,
    /// As `Uniform`, with a step a row.
    UniformRows = 6,
    /// As `Cover`, with a bound a row.
    CoverRows = 7,
}

impl GridKind {
    const ALL: [Self; 7] = [
        Self::Uniform,
        Self::Cover,
        Self::PointwiseCover,
        Self::Logarithmic,
        Self::Groups,
        Self::UniformRows,
        Self::CoverRows,
    ];

    /// The code on disk.
    pub const fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Bits of the scale that each part of a row has, if it has one.
    pub const fn scale_bits(self, element: ElementType) -> Option<u8> {
        match self {
            Self::Groups => Some(element.bytes() * 8),
            Self::UniformRows | Self::CoverRows => Some(16),
            _ => None,
        }
    }

    /// Whether numbers of this type may lie on such a grid.
    const fn fits(self, element: ElementType) -> bool {
        match element {
            ElementType::F16 | ElementType::Bf16 => matches!(
                self,
                Self::Cover | Self::PointwiseCover | Self::Groups | Self::CoverRows
            ),
            ElementType::F32 | ElementType::F64 => matches!(
                self,
                Self::Uniform | Self::Logarithmic | Self::Groups | Self::UniformRows
            ),
            _ => false,
        }
    }
}

/// Where the elements of a block lie in rows, and the parts of rows that have a scale each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowParts {
    /// Elements of a row.
    pub row: u32,
    /// Place of the first element in its row.
    pub first_column: u32,
    /// Elements of a part; the last one of a row may be shorter.
    pub part: u32,
}

impl RowParts {
    /// How many parts so many elements have some of.
    pub fn count(&self, elements: usize) -> usize {
        if elements == 0 {
            return 0;
        }
        let (row, first) = (u64::from(self.row), u64::from(self.first_column));
        let number = |place: u64| {
            place / row * row.div_ceil(self.part.into()) + place % row / u64::from(self.part)
        };
        // At most as many as elements.
        usize::try_from(number(first + elements as u64 - 1) - number(first) + 1)
            .unwrap_or(usize::MAX)
    }

    /// The lengths of those parts, as far as they are among the elements.
    pub fn lengths(&self, elements: usize) -> impl Iterator<Item = usize> + use<> {
        let RowParts {
            row,
            first_column,
            part,
        } = *self;
        let (mut left, mut column) = (elements, first_column);
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let end = ((u64::from(column / part) + 1) * u64::from(part)).min(row.into());
            let whole = usize::try_from(end - u64::from(column)).unwrap_or(usize::MAX);
            let len = whole.min(left);
            left -= len;
            column = if end == u64::from(row) {
                0
            } else {
                u32::try_from(end).unwrap_or(0)
            };
            Some(len)
        })
    }
}

/// The grid of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridHeader {
    /// What the elements are.
    pub element: ElementType,
    /// How levels stand for them.
    pub kind: GridKind,
    /// The step, the bound or the ratio; 0 where each part has its own.
    pub parameter: f64,
    /// Parts with a scale; all zero if there are none.
    pub parts: RowParts,
    /// Of groups the level of the scale itself, of `Logarithmic` the steps of an octave; otherwise 0.
    pub steps: u32,
    /// The field that level 0 is stored as; of `Logarithmic` the exponent that field 2 stands for.
    pub bias: i32,
    /// Elements that are not on the grid: place and number of each, behind the planes.
    pub exceptions: u32,
}

impl GridHeader {
    /// Appends the header to a block.
    pub fn encode_to(&self, block: &mut Vec<u8>) {
        block.extend(self.parameter.to_le_bytes());
        for word in [
            self.parts.row,
            self.parts.first_column,
            self.parts.part,
            self.steps,
            self.bias.cast_unsigned(),
            self.exceptions,
        ] {
            block.extend(word.to_le_bytes());
        }
    }

    /// Reads the header of a grid of so many elements; `None` if there is no such grid.
    pub fn parse(element: ElementType, kind: u8, bytes: &[u8], elements: usize) -> Option<Self> {
        let kind = GridKind::from_code(kind)?;
        if bytes.len() != GRID_BYTES || !kind.fits(element) {
            return None;
        }
        let header = Self {
            element,
            kind,
            parameter: f64::from_bits(field::u64(bytes, 0)),
            parts: RowParts {
                row: field::u32(bytes, 8),
                first_column: field::u32(bytes, 12),
                part: field::u32(bytes, 16),
            },
            steps: field::u32(bytes, 20),
            bias: field::u32(bytes, 24).cast_signed(),
            exceptions: field::u32(bytes, 28),
        };
        header.is_sound(elements).then_some(header)
    }

    /// Whether a reader takes it for so many elements.
    pub fn is_sound(&self, elements: usize) -> bool {
        let RowParts {
            row,
            first_column,
            part,
        } = self.parts;
        let parameter_is_sound = match self.kind {
            GridKind::Uniform | GridKind::Cover => self.parameter > 0.0,
            GridKind::PointwiseCover => self.parameter > 0.0 && self.parameter < 1.0,
            GridKind::Logarithmic => self.parameter > 1.0 && self.parameter <= 2.0,
            _ => self.parameter.to_bits() == 0,
        };
        let parts_are_sound = if self.kind.scale_bits(self.element).is_some() {
            first_column < row && (1..=row).contains(&part)
        } else {
            self.parts == RowParts::default()
        };
        let steps_are_sound = match self.kind {
            GridKind::Groups => (1..=MAX_GROUP_LEVEL).contains(&self.steps),
            GridKind::Logarithmic => (1..=MAX_OCTAVE_STEPS).contains(&self.steps),
            _ => self.steps == 0,
        };
        parameter_is_sound
            && self.parameter.is_finite()
            && parts_are_sound
            && steps_are_sound
            && self.bias.unsigned_abs() < 1 << 30
            && (self.kind != GridKind::PointwiseCover || self.bias == 0)
            && self.exceptions as usize <= elements
    }

    /// Bytes of an exception: its place, and the element.
    pub const fn exception_bytes(&self) -> usize {
        4 + self.element.bytes() as usize
    }

    /// Bytes of all exceptions.
    pub const fn exceptions_bytes(&self) -> usize {
        self.exceptions as usize * self.exception_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_as_many_as_they_are_said_to_be(
            row in 1u32..300, first in 0u32..300, part in 1u32..300, elements in 0usize..2000,
        ) {
            let parts = RowParts { row, first_column: first % row, part: part.min(row) };
            let lengths: Vec<_> = parts.lengths(elements).collect();
            prop_assert_eq!(lengths.len(), parts.count(elements));
            prop_assert_eq!(lengths.iter().sum::<usize>(), elements);
            let mut column = parts.first_column;
            for len in lengths {
                let len = u32::try_from(len).unwrap();
                prop_assert!(len > 0 && column / parts.part == (column + len - 1) / parts.part);
                column = (column + len) % row;
            }
        }
    }
}
