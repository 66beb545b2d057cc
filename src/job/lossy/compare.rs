//! Comparing what was decoded with the source, by what was promised.

use super::errors::Errors;
use super::plan::TreatedBlock;
use crate::error::Result;
use crate::grid::{Bound, Treatment, root_mean_square, values};
use crate::job::source_file::SourceFile;

/// Compares blocks, with buffers that are used again.
#[derive(Debug, Default)]
pub struct Comparer {
    bytes: Vec<u8>,
    source: Vec<f64>,
    served: Vec<f64>,
}

impl Comparer {
    /// How far the numbers of a block are from those of the source.
    ///
    /// # Errors
    /// As `SourceFile::read_at`.
    pub fn compare(
        &mut self,
        block: &TreatedBlock<'_>,
        source: &SourceFile,
        decoded: &[u8],
    ) -> Result<Errors> {
        let element = block.tensor.element;
        let width = usize::from(element.bytes());
        block.read(source, &mut self.bytes)?;
        values(element, &self.bytes, &mut self.source);
        values(element, decoded, &mut self.served);
        let before = block.before();
        let count = self.served.len();
        let bytes = &self.bytes[before * width..(before + count) * width];
        let mut errors = Errors::default();
        let mut check = |places: std::ops::Range<usize>, bound: &dyn Fn(f64) -> f64| {
            for place in places {
                let (value, served) = (self.source[before + place], self.served[place]);
                let of = place * width..(place + 1) * width;
                if bytes[of.clone()] == decoded[of] {
                    errors.exact += 1;
                    continue;
                }
                let error = (served - value).abs();
                let is_kept = value.is_finite() && served.is_finite() && error <= bound(value);
                errors.past += u64::from(!is_kept);
                errors.count(error);
            }
        };
        match block.tensor.treatment {
            Treatment::Groups { .. } => check(0..count, &|_| f64::INFINITY),
            Treatment::Bounded { bound, .. } => match bound {
                Bound::Absolute(bound) => check(0..count, &|_| bound),
                Bound::Pointwise(bound) => check(0..count, &|value| bound * value.abs()),
                Bound::Row(ratio) => {
                    let row = block.tensor.row as usize;
                    // What was read starts with a row.
                    for (number, whole) in self.source.chunks(row).enumerate() {
                        let bound = ratio * root_mean_square(whole);
                        let start = (number * row).max(before) - before;
                        let end = (number * row + whole.len()).min(before + count);
                        check(start..end.saturating_sub(before), &|_| bound);
                    }
                }
            },
        }
        Ok(errors)
    }

    /// The numbers of the source that were compared last, with those of the rows they are of.
    pub fn numbers(&self) -> &[f64] {
        &self.source
    }
}
