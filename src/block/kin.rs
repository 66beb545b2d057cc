//! The numbers of a base as encoder and decoder of a block see them.

use crate::codec::Form;
use crate::format::{ElementType, Reference};
use crate::grid::round_to_half;

/// The form of numbers that differences are coded of.
pub(super) fn form_of(element: ElementType) -> Option<Form> {
    // Those of 64 bits differ in nearly all of their bits, whatever the training.
    let exponent_bits = element.exponent_bits().filter(|_| element.bytes() <= 4)?;
    Some(Form {
        bytes: element.bytes(),
        exponent_bits,
    })
}

/// The numbers that a block's own `own_bytes` rest on, in its own type; `None` if those of the base are not as many.
pub(super) fn base_as_own<'a>(
    element: ElementType,
    reference: &Reference,
    base: &'a [u8],
    own_bytes: usize,
    rounded: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    let range = reference.range(own_bytes);
    if range.end - range.start != base.len() as u64 {
        return None;
    }
    if !reference.is_rounded {
        return Some(base);
    }
    rounded.resize(own_bytes, 0);
    round_to_half(element, base, rounded);
    Some(rounded)
}
