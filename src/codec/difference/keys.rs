//! The key of each element, which says what table it is coded with.

use super::layout::KEYS;
use super::number::Number;
use crate::codec::plane::Form;

/// How keys are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    /// log2 of the keys in an octave.
    pub step_bits: u8,
    pub lowest: i16,
}

/// Writes the keys of a run of elements, given their base and scale.
#[inline(always)]
pub(super) fn find<N: Number>(
    form: Form,
    counted: Counted,
    base: &[N::Bytes],
    scale: u8,
    keys: &mut [u8],
) {
    let (mantissa_bits, step_bits) = (form.mantissa_bits(), counted.step_bits);
    let less = counted.lowest.wrapping_add(scale.into());
    for (key, &base) in keys.iter_mut().zip(base) {
        *key = key_of_exponent(N::load(base).exponent(mantissa_bits), step_bits, less);
    }
}

/// The same of exponents.
#[inline(always)]
pub(super) fn find_of_exponents(counted: Counted, exponents: &[u8], scale: u8, keys: &mut [u8]) {
    let less = counted.lowest.wrapping_add(scale.into());
    for (key, &exponent) in keys.iter_mut().zip(exponents) {
        *key = key_of_exponent(exponent.into(), counted.step_bits, less);
    }
}

#[inline(always)]
pub(super) fn key_of_exponent(exponent: u16, step_bits: u8, less: i16) -> u8 {
    key_of((exponent << step_bits).cast_signed().saturating_sub(less))
}

/// A key, counted from the lowest one.
#[inline(always)]
fn key_of(place: i16) -> u8 {
    place.clamp(0, LAST).to_le_bytes()[0]
}

pub(super) const LAST: i16 = i16::from_le_bytes([KEYS.to_le_bytes()[0] - 1, 0]);

/// The class of each key, from the lowest keys of all classes but the first.
pub(super) fn classes(starts: &[u8]) -> [u8; 64] {
    let mut classes = [0; 64];
    for (class, &start) in (1..).zip(starts) {
        classes[usize::from(start)..].fill(class);
    }
    classes
}
