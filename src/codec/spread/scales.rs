//! The scale that is expected of each element, and its table.

use super::layout::SCALES;
use crate::codec::ans::TABLES;
use crate::codec::ans::frequencies::Frequencies;
use crate::codec::scaled::{Columns, Shape};
use crate::simd::Simd;

/// Scales that there are tables for at once, one for each.
pub(super) const COUNT: i16 = 64;
const _: () = assert!(COUNT as usize == TABLES);

/// Which of so many tables are those of which scale.
#[derive(Debug)]
pub(super) struct Prepared {
    of: Option<(u64, u32, u8)>,
    scales: [Option<i16>; TABLES],
}

impl Default for Prepared {
    fn default() -> Self {
        Self {
            of: None,
            scales: [None; TABLES],
        }
    }
}

impl Prepared {
    /// Nothing is prepared any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Has `prepare` make the tables of all scales that are in use, if they are not there: by the shape
    /// that has this name.
    pub fn make(
        &mut self,
        of: (u64, u32, u8),
        shape: &Shape,
        used: &Used,
        mut prepare: impl FnMut(u8, &Frequencies),
    ) {
        if self.of != Some(of) {
            self.forget();
            self.of = Some(of);
        }
        for scale in used.lowest..used.lowest + COUNT {
            let table = table_of(scale);
            let is_used = used.tables >> table & 1 == 1;
            let prepared = &mut self.scales[usize::from(table)];
            if is_used && *prepared != Some(scale) {
                *prepared = None;
                prepare(table, &shape.table(scale, of.2));
                *prepared = Some(scale);
            }
        }
    }
}

/// Which tables the elements of a plane are coded with, and some more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    /// Scales below count as this, those that are too high as the highest.
    pub lowest: i16,
    /// A bit for each table.
    pub tables: u64,
}

impl Used {
    pub const fn new(lowest: i16) -> Self {
        Self { lowest, tables: 0 }
    }

    /// Finds the tables of a run of a row, which starts at column `first` of a matrix, if it is of one.
    pub fn fill(
        &mut self,
        simd: Simd,
        row: i16,
        columns: Option<(&Columns, usize)>,
        choice: &mut [u8],
    ) {
        let (lowest, highest) = (self.lowest, self.lowest + COUNT - 1);
        let Some((columns, first)) = columns else {
            let table = table_of(row.clamp(lowest, highest));
            self.tables |= 1 << table;
            choice.fill(table);
            return;
        };
        let scales = &columns.scales[first..];
        let (least, most) = simd.vectorized(
            #[inline(always)]
            move || {
                // In registers, whatever is written to `choice`.
                let (row, lowest, highest) = (row, lowest, highest);
                let (mut least, mut most) = (i16::MAX, i16::MIN);
                for (table, &scale) in choice.iter_mut().zip(scales) {
                    let scale = row.saturating_add(scale).clamp(lowest, highest);
                    least = least.min(scale);
                    most = most.max(scale);
                    *table = table_of(scale);
                }
                (least, most)
            },
        );
        for scale in least..=most {
            self.tables |= 1 << table_of(scale);
        }
    }
}

/// The table that a scale has its place in.
#[inline(always)]
pub(super) const fn table_of(scale: i16) -> u8 {
    // A power of two of them.
    let [low, _] = scale.to_le_bytes();
    low % COUNT.to_le_bytes()[0]
}

/// The lowest of the scales that there are tables for, if these are the highest of those that are wanted.
pub(super) fn lowest_below(highest: i16) -> i16 {
    let last = *SCALES.end();
    highest.clamp(*SCALES.start() + COUNT - 1, last) - COUNT + 1
}
