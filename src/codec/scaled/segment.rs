//! Which matrices the elements of a block belong to.

use super::ids::PLAIN_ROW;

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

    /// The parts of rows it is made of, as numbers of elements.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> + use<> {
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
