//! From the place of an element to its phase and octave.

use super::{MANTISSA_BITS, PHASE_BITS, PHASES, PLAIN_ROW};

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

/// Phase and first symbol of each of a run of elements of one row.
///
/// `columns` are the scales of the run's columns, or none if there is no matrix.
pub(super) fn fill(
    row_scale: i16,
    columns: Option<&[i16]>,
    base: u16,
    phases: &mut [u8],
    bases: &mut [u16],
) {
    let place = |scale: i16| {
        let [octave_low, octave_high] = (scale >> PHASE_BITS).to_le_bytes();
        let octave = u16::from_le_bytes([octave_low, octave_high]);
        let [low, _] = scale.to_le_bytes();
        (
            low % PHASES.to_le_bytes()[0],
            base.wrapping_add(octave << MANTISSA_BITS),
        )
    };
    match columns {
        Some(columns) => {
            for ((phase, base), &column) in phases.iter_mut().zip(bases).zip(columns) {
                (*phase, *base) = place(row_scale.wrapping_add(column));
            }
        }
        None => {
            let (phase, base) = place(row_scale);
            phases.fill(phase);
            bases.fill(base);
        }
    }
}
