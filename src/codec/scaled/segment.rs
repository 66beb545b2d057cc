//! Which matrices the elements of a block belong to.

use super::ids::PLAIN_ROW;

/// Bytes of a segment in a block.
pub(in crate::codec) const SEGMENT_BYTES: usize = 16;
/// Segments that a plane may have.
pub(in crate::codec) const MAX_SEGMENTS: usize = 255;
/// In place of the number of a profile, if there is none.
const NO_PROFILE: u32 = u32::MAX;

/// A run of elements of a block that belong to one matrix, or to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The profile with the matrix's column scales.
    pub profile: Option<u32>,
    /// Columns of the matrix; of no meaning without a profile.
    pub columns: u32,
    /// Column of the first element.
    pub first_column: u32,
    /// Number of elements.
    pub elements: u32,
}

impl Segment {
    /// Elements to the first end of a row.
    fn first_row(&self) -> usize {
        match self.profile {
            Some(_) => self.columns.saturating_sub(self.first_column) as usize,
            None => PLAIN_ROW,
        }
    }

    fn row(&self) -> usize {
        match self.profile {
            Some(_) => self.columns as usize,
            None => PLAIN_ROW,
        }
    }

    /// The form that is stored.
    pub(in crate::codec) fn to_bytes(self) -> [u8; SEGMENT_BYTES] {
        let mut bytes = [0; SEGMENT_BYTES];
        let words = [
            self.profile.unwrap_or(NO_PROFILE),
            self.columns,
            self.first_column,
            self.elements,
        ];
        for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// All that are stored one behind the other.
    pub(in crate::codec) fn all(stored: &[u8]) -> impl Iterator<Item = Self> + use<'_> {
        stored.as_chunks::<SEGMENT_BYTES>().0.iter().map(|row| {
            let field =
                |at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
            Self {
                profile: Some(field(0)).filter(|&number| number != NO_PROFILE),
                columns: field(4),
                first_column: field(8),
                elements: field(12),
            }
        })
    }

    /// The parts of rows it is made of, as numbers of elements.
    pub(in crate::codec) fn rows(&self) -> impl Iterator<Item = usize> + use<> {
        let mut left = self.elements as usize;
        let mut next = self.first_row();
        let row = self.row();
        std::iter::from_fn(move || {
            if left == 0 || next == 0 {
                return None;
            }
            let len = next.min(left);
            left -= len;
            next = row;
            Some(len)
        })
    }
}
