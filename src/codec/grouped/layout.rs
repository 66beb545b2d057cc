//! What encoder and decoder agree on.

use crate::codec::symbol::Split;

pub(super) const HEADER_BYTES: usize = 12;
/// Most classes a plane may have.
pub(in crate::codec) const MAX_CLASSES: usize = 32;
/// Most low bits that are not coded.
pub(super) const MAX_RAW_BITS: u8 = 4;

/// How a field is cut.
pub(super) const fn split(raw_bits: u8) -> Split {
    Split {
        width: 8,
        rotate: 0,
        raw_bits,
        base: 0,
    }
}

/// The class of each key, from the lowest keys of all classes but the first.
pub(super) fn classes(starts: &[u8]) -> [u8; 256] {
    let mut classes = [0; 256];
    for (class, &start) in (1..).zip(starts) {
        classes[usize::from(start)..].fill(class);
    }
    classes
}
