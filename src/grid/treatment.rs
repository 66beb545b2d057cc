//! What is to be done to the numbers of a tensor.

use std::ops::Range;

/// What a lossy tensor promises of each of its numbers, as it is served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Greatest error.
    Absolute(f64),
    /// Greatest error as a share of the root mean square of the row.
    Row(f64),
    /// Greatest error as a share of the number.
    Pointwise(f64),
}

/// How the scale of a group is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ScaleFit {
    /// The greatest magnitude has the farthest level.
    #[default]
    Max,
    /// What leaves the least sum of squared errors.
    LeastSquares,
}

/// How the numbers of a tensor become levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Treatment {
    /// Numbers within a bound.
    Bounded {
        /// The bound.
        bound: Bound,
        /// What numbers are like, to judge how far their type rounds them: about the root mean square.
        typical: f64,
    },
    /// Levels from `-most - 1` to `most` times the scale of a group, of which `most` is the level.
    Groups {
        /// Farthest level.
        most: u32,
        /// Numbers of a group.
        group: u32,
        /// How scales are found.
        fit: ScaleFit,
    },
}

impl Treatment {
    /// Whether numbers twice as far from zero have a level twice as far.
    pub const fn has_equal_steps(&self) -> bool {
        matches!(
            self,
            Self::Bounded {
                bound: Bound::Absolute(_),
                ..
            }
        )
    }

    /// How many neighbours in a row share what is found of all of them; `None` if each number stands for itself.
    pub fn part(&self, row: u32) -> Option<u32> {
        match self {
            Self::Bounded {
                bound: Bound::Row(_),
                ..
            } => Some(row),
            Self::Bounded { .. } => None,
            Self::Groups { group, .. } => Some((*group).min(row)),
        }
    }
}

/// A run of elements of a tensor with what lies around it, so that parts of rows are whole.
#[derive(Debug, Clone, Copy)]
pub struct PartsOf<'a> {
    /// Bytes of the source: the run, and what completes its first and last part.
    pub bytes: &'a [u8],
    /// How many elements of those lie before the run.
    pub before: usize,
    /// Elements of a row.
    pub row: u32,
    /// Place of the run's first element in its row.
    pub first_column: u32,
}

impl Treatment {
    /// Which elements of a tensor of so many complete the parts that a run of them has a share in.
    pub fn whole_parts(&self, row: u64, run: Range<u64>, elements: u64) -> Range<u64> {
        let Some(part) = u32::try_from(row).ok().and_then(|row| self.part(row)) else {
            return run;
        };
        let part = u64::from(part);
        let start_of = |place: u64| place - place % row % part;
        let start = start_of(run.start);
        let last = start_of(run.end.saturating_sub(1));
        let row_end = last - last % row + row;
        start..(last + part).min(row_end).min(elements).max(run.end)
    }
}
