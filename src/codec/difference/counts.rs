//! What is counted to tell elements apart.

use super::layout::KEYS;
use crate::codec::grouped::Counts;

/// Scales that a run may have.
pub(super) const SCALES: usize = 96;
/// log2 of the keys in an octave, where there are scales.
pub(super) const STEP_BITS: u8 = 2;

/// Elements of a run with the same exponent.
#[derive(Clone, Copy)]
pub(super) struct OfExponent {
    pub exponent: u8,
    pub all: u16,
    pub equal: u16,
}

/// How often elements have each key, and what those have that are changed.
pub(super) struct KeyCounts {
    pub equal: [u32; KEYS],
    pub ids: Box<[Counts; KEYS]>,
    /// Of what is changed.
    pub keys: Vec<u8>,
}

impl Default for KeyCounts {
    fn default() -> Self {
        Self {
            equal: [0; KEYS],
            ids: Box::new([[0; 256]; KEYS]),
            keys: Vec::new(),
        }
    }
}
