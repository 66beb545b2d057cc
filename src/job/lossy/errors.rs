//! How far what is served is from what it was made from.

/// Sums over numbers of a tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Errors {
    /// Numbers that are served as they were.
    pub exact: u64,
    /// The greatest error.
    pub greatest: f64,
    /// Sum of absolute errors.
    pub sum: f64,
    /// Sum of squares of errors.
    pub square_sum: f64,
    /// Numbers that are farther than was promised, or are not as they were though they are not finite.
    pub past: u64,
}

impl Errors {
    /// Of numbers that are all served as they were.
    pub const fn none(count: u64) -> Self {
        Self {
            exact: count,
            greatest: 0.0,
            sum: 0.0,
            square_sum: 0.0,
            past: 0,
        }
    }

    /// Counts one number that is not served as it was.
    pub fn count(&mut self, error: f64) {
        self.greatest = self.greatest.max(error);
        self.sum += error;
        self.square_sum += error * error;
    }

    /// Adds those of other numbers.
    pub fn add(&mut self, other: &Self) {
        self.exact += other.exact;
        self.greatest = self.greatest.max(other.greatest);
        self.sum += other.sum;
        self.square_sum += other.square_sum;
        self.past += other.past;
    }
}
