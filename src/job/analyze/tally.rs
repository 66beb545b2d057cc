//! Counts of a tensor, and of all tensors of a dtype: of numbers or of records, whichever they are.

use super::counts::Counts;
use super::facts::{Frequent, NumberStatistics, Statistics};
use super::fields::{FieldCounts, FieldTotals};
use super::values::{self, Values};
use crate::format::ElementType;

/// Values that are listed as the most frequent ones.
const FREQUENT: usize = 6;

/// Counts of a sample of one tensor.
pub(super) enum Sample {
    Numbers {
        element: ElementType,
        counts: Counts<u32>,
        /// Of floats that are too wide for counts to tell.
        wide: Values,
    },
    Records(FieldCounts),
}

impl Sample {
    pub fn new(element: ElementType) -> Self {
        match element.record() {
            Some(layout) => Self::Records(FieldCounts::new(layout)),
            None => Self::Numbers {
                element,
                counts: Counts::new(element),
                wide: Values::default(),
            },
        }
    }

    /// Counts a piece of whole elements.
    pub fn add(&mut self, piece: &[u8]) {
        match self {
            Self::Numbers {
                element,
                counts,
                wide,
            } => {
                counts.add(piece);
                wide.add_wide(*element, piece);
            }
            Self::Records(counts) => counts.add(piece),
        }
    }

    /// Elements that were counted.
    pub fn sampled(&self) -> u64 {
        match self {
            Self::Numbers { counts, .. } => counts.elements.into(),
            Self::Records(counts) => counts.sampled(),
        }
    }
}

/// Counts of all tensors of a dtype, each sample standing for its tensor.
pub(super) enum Tally {
    Numbers {
        element: ElementType,
        counts: Box<Counts<f64>>,
        wide: Values,
        sampled: u64,
    },
    Records(FieldTotals),
}

impl Tally {
    pub fn new(element: ElementType) -> Self {
        match element.record() {
            Some(layout) => Self::Records(FieldTotals::new(layout)),
            None => Self::Numbers {
                element,
                counts: Box::new(Counts::new(element)),
                wide: Values::default(),
                sampled: 0,
            },
        }
    }

    /// Adds the sample of a tensor that has so many elements and bytes, and says what it shows.
    pub fn add(&mut self, sample: &Sample, elements: u64, bytes: u64) -> Statistics {
        match sample {
            Sample::Numbers {
                element,
                counts,
                wide,
            } => {
                let one = u64::from(counts.elements);
                let weight = elements as f64 / (one as f64).max(1.0);
                let weighted = counts.weighted(weight);
                let mut of_one = Values::default();
                of_one.merge(wide, weight);
                if let Self::Numbers {
                    counts,
                    wide,
                    sampled,
                    ..
                } = self
                {
                    counts.merge(&weighted);
                    wide.merge(&of_one, 1.0);
                    *sampled += one;
                }
                Statistics::Numbers(Box::new(statistics(*element, &weighted, &of_one, one)))
            }
            Sample::Records(counts) => {
                let found = counts.statistics(elements);
                if let Self::Records(totals) = self {
                    totals.add(counts, &found, bytes);
                }
                Statistics::Records(found)
            }
        }
    }

    /// Whether they are floats.
    pub fn is_float(&self) -> bool {
        matches!(self, Self::Numbers { element, .. } if element.exponent_bits().is_some())
    }

    pub fn statistics(&self) -> Statistics {
        match self {
            Self::Numbers {
                element,
                counts,
                wide,
                sampled,
            } => Statistics::Numbers(Box::new(statistics(*element, counts, wide, *sampled))),
            Self::Records(totals) => Statistics::Records(totals.statistics()),
        }
    }

    /// How often each value of each byte occurs, lowest byte first; nothing of records.
    pub fn histograms(&self) -> Vec<Vec<f64>> {
        let Self::Numbers { counts, .. } = self else {
            return Vec::new();
        };
        let shares = |plane: &[f64; 256]| {
            let total = plane.iter().sum::<f64>().max(f64::MIN_POSITIVE);
            plane.iter().map(|count| count / total).collect()
        };
        counts.planes().iter().map(shares).collect()
    }

    /// The most frequent values of the highest byte, or of one below.
    pub fn frequent(&self, shares: &[f64], is_top: bool) -> Vec<Frequent> {
        let meaning = |value| match self {
            Self::Numbers { element, .. } if is_top => values::meaning_of_top_byte(*element, value),
            _ => None,
        };
        let mut values: Vec<(u8, f64)> = (0..=u8::MAX).zip(shares.iter().copied()).collect();
        values.sort_by(|a, b| b.1.total_cmp(&a.1));
        let values = values.into_iter().take(FREQUENT).filter(|v| v.1 > 0.0);
        values
            .map(|(value, share)| Frequent {
                value,
                share,
                meaning: meaning(value),
            })
            .collect()
    }
}

fn statistics(
    element: ElementType,
    counts: &Counts<f64>,
    wide: &Values,
    sampled: u64,
) -> NumberStatistics {
    let entropy = counts.entropies(sampled as f64);
    let of_wide = || {
        let is_wide = element.exponent_bits().is_some() && element.bytes() > 2;
        is_wide.then(|| wide.clone().finished())
    };
    NumberStatistics {
        sampled,
        byte_marginal: entropy.byte_marginal(),
        joint: entropy.joint_ceiling(),
        values: Values::of_counts(element, counts).or_else(of_wide),
        entropy,
    }
}
