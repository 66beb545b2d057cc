//! Sums over tensors: size and error of many as of one.

use super::rows::TensorRow;

/// What some tensors take together, and how far they are from what they were.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::cli) struct Sums {
    pub(in crate::cli) tensors: usize,
    pub(in crate::cli) elements: u64,
    pub(in crate::cli) bytes_before: u64,
    pub(in crate::cli) bytes_after: u64,
    square_sum: f64,
    pub(in crate::cli) greatest_error: f64,
    pub(in crate::cli) seconds: f64,
}

impl Sums {
    pub(in crate::cli) fn of<'a>(rows: impl IntoIterator<Item = &'a TensorRow>) -> Self {
        let mut sums = Self::default();
        for row in rows {
            let error = row.root_mean_square_error;
            sums.tensors += 1;
            sums.elements += row.elements;
            sums.bytes_before += row.bytes_before;
            sums.bytes_after += row.bytes_after;
            sums.square_sum += error * error * row.elements as f64;
            sums.greatest_error = sums.greatest_error.max(row.greatest_error);
            sums.seconds += row.seconds;
        }
        sums
    }

    /// Bits a number.
    pub(in crate::cli) fn bits(&self) -> f64 {
        8.0 * self.bytes_after as f64 / self.elements.max(1) as f64
    }

    pub(in crate::cli) fn root_mean_square_error(&self) -> f64 {
        (self.square_sum / self.elements.max(1) as f64).sqrt()
    }
}
