//! Comparing what was decoded with the source, by what was promised.

use std::ops::Range;

use super::errors::Errors;
use super::plan::TreatedBlock;
use crate::error::Result;
use crate::grid::{Bound, LANES, Treatment, root_mean_square, values};
use crate::job::source_file::SourceFile;
use crate::simd::Simd;

/// Compares blocks, with buffers that are used again.
#[derive(Debug)]
pub struct Comparer {
    simd: Simd,
    bytes: Vec<u8>,
    row: Vec<f64>,
    numbers: Vec<f64>,
    served: Vec<f64>,
}

impl Default for Comparer {
    fn default() -> Self {
        Self {
            simd: Simd::detect(),
            bytes: Vec::new(),
            row: Vec::new(),
            numbers: Vec::new(),
            served: Vec::new(),
        }
    }
}

/// The greatest error of a number.
enum Allowed {
    Any,
    Absolute(f64),
    /// This share of it.
    Share(f64),
}

impl Allowed {
    fn of(&self, value: f64) -> f64 {
        match *self {
            Self::Any => f64::INFINITY,
            Self::Absolute(bound) => bound,
            Self::Share(share) => share * value.abs(),
        }
    }
}

/// Numbers that are compared together: they stay in the first cache.
const COMPARED_AT_ONCE: usize = 1024;

/// Sums over numbers that are all finite and as near as they are to be; `None` if one is not.
#[inline(always)]
fn sums(numbers: &[f64], served: &[f64], bound: impl Fn(f64) -> f64) -> Option<Errors> {
    let mut exact = [0u64; LANES];
    let mut greatest = [0f64; LANES];
    let mut sum = [0f64; LANES];
    let mut square_sum = [0f64; LANES];
    let mut all_kept = true;
    let mut count = |lane: usize, value: f64, served: f64| {
        let error = (served - value).abs();
        all_kept &= error <= bound(value) && error < f64::INFINITY;
        exact[lane] += u64::from(value.to_bits() == served.to_bits());
        greatest[lane] = if error > greatest[lane] {
            error
        } else {
            greatest[lane]
        };
        sum[lane] += error;
        square_sum[lane] += error * error;
    };
    let (values, values_rest) = numbers.as_chunks::<LANES>();
    let (served, served_rest) = served.as_chunks::<LANES>();
    for (values, served) in values.iter().zip(served) {
        for lane in 0..LANES {
            count(lane, values[lane], served[lane]);
        }
    }
    for (&value, &served) in values_rest.iter().zip(served_rest) {
        count(0, value, served);
    }
    all_kept.then(|| Errors {
        exact: exact.iter().sum(),
        greatest: greatest.into_iter().fold(0.0, f64::max),
        sum: sum.iter().sum(),
        square_sum: square_sum.iter().sum(),
        past: 0,
    })
}

impl Comparer {
    /// How far the numbers of a block are from those of the source, whose bytes of the block are given. What else of
    /// its rows there is, is read where a bound depends on it.
    ///
    /// # Errors
    /// As `SourceFile::read_at`.
    pub fn compare(
        &mut self,
        block: &TreatedBlock<'_>,
        source: &SourceFile,
        original: &[u8],
        decoded: &[u8],
    ) -> Result<Errors> {
        let element = block.tensor.element;
        let width = usize::from(element.bytes());
        let (before, around) = if block.is_bound_by_more_than(decoded.len() / width) {
            block.read(source, &mut self.bytes)?;
            (block.before(), self.bytes.as_slice())
        } else {
            (0, original)
        };
        let count = decoded.len() / width;
        let bytes = &around[before * width..(before + count) * width];
        let mut errors = Errors::default();
        let simd = self.simd;
        let (row, numbers, served) = (&mut self.row, &mut self.numbers, &mut self.served);
        let mut piece = |places: Range<usize>, bound: &Allowed| {
            let of = places.start * width..places.end * width;
            values(simd, element, &bytes[of.clone()], numbers);
            values(simd, element, &decoded[of], served);
            let (numbers, served) = (numbers.as_slice(), served.as_slice());
            let found = simd.vectorized(
                #[inline(always)]
                || match *bound {
                    Allowed::Any => sums(numbers, served, |_| f64::INFINITY),
                    Allowed::Absolute(bound) => sums(numbers, served, |_| bound),
                    Allowed::Share(share) => sums(numbers, served, |value| share * value.abs()),
                },
            );
            if let Some(found) = found {
                errors.add(&found);
                return;
            }
            // Some are not finite: those are to be as they were.
            for (place, (&value, &served)) in places.zip(numbers.iter().zip(served)) {
                let of = place * width..(place + 1) * width;
                if bytes[of.clone()] == decoded[of] {
                    errors.exact += 1;
                    continue;
                }
                let error = (served - value).abs();
                let is_kept = value.is_finite() && served.is_finite() && error <= bound.of(value);
                errors.past += u64::from(!is_kept);
                errors.count(error);
            }
        };
        let mut check = |places: Range<usize>, bound: &Allowed| {
            for start in places.clone().step_by(COMPARED_AT_ONCE) {
                piece(start..(start + COMPARED_AT_ONCE).min(places.end), bound);
            }
        };
        match block.tensor.treatment {
            Treatment::Groups { .. } => check(0..count, &Allowed::Any),
            Treatment::Bounded { bound, .. } => match bound {
                Bound::Absolute(bound) => check(0..count, &Allowed::Absolute(bound)),
                Bound::Pointwise(bound) => check(0..count, &Allowed::Share(bound)),
                Bound::Row(ratio) => {
                    let row_len = block.tensor.row as usize;
                    // What was read starts with a row.
                    for (number, whole) in around.chunks(row_len * width).enumerate() {
                        values(simd, element, whole, row);
                        let bound = ratio * root_mean_square(simd, row);
                        let start = (number * row_len).max(before) - before;
                        let end = (number * row_len + row.len()).min(before + count);
                        let end = end.saturating_sub(before);
                        check(start..end.max(start), &Allowed::Absolute(bound));
                    }
                }
            },
        }
        Ok(errors)
    }
}
