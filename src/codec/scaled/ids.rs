//! Ids: symbols counted from an octave, and the numbers that all of this codec agrees on.

use super::mean::{BINS, SIGN};

/// log2 of the phases of an octave, which are the steps of a scale: with four, an element takes
/// 0.003 bit more.
pub(super) const PHASE_BITS: u32 = 3;
/// Phases of an octave, each with a table for each bin.
pub(super) const PHASES: usize = 1 << PHASE_BITS;
/// Mantissa bits in a symbol.
pub(super) const MANTISSA_BITS: u8 = 2;
/// The id of a symbol at the bottom of the element's octave. Of the 127 ids, those above reach 18
/// symbols (a number 23 times its expected scale), those below 27 octaves.
pub(super) const OCTAVE_ID: u16 = 108;
/// Bits of an id that count symbols.
pub(super) const SYMBOL_MASK: u8 = 0x7F;
/// The bit of an id that is set if the sign is not that of the mean.
pub(super) const SIGN_BIT: u8 = 0x80;
/// Length of a row where there is no matrix: so many elements share a scale.
pub(in crate::codec) const PLAIN_ROW: usize = 1024;

/// The symbol of id 0 in octave 0, for floats with so many exponent bits.
pub(super) const fn base(exponent_bits: u8) -> u16 {
    let bias = (1u16 << (exponent_bits - 1)) - 1;
    (bias << MANTISSA_BITS).wrapping_sub(OCTAVE_ID)
}

/// Bits of a field of 16 that are not coded: the mantissa's that are not in the symbol.
pub(super) const fn raw_bits(exponent_bits: u8) -> u8 {
    15 - exponent_bits - MANTISSA_BITS
}

/// How far the symbol of a field lies above a base as `fill` makes it, and whether its sign differs.
#[inline(always)]
pub(super) const fn distance(field: u16, base: u16, raw_bits: u8) -> (u16, bool) {
    let distance = (field & !SIGN).wrapping_sub(base & !SIGN) & !SIGN;
    (distance >> raw_bits, (field ^ base) & SIGN != 0)
}

/// The id, unless the distance is too far for one.
#[inline(always)]
pub(super) fn near_id(distance: u16, sign: bool) -> Option<u8> {
    match u8::try_from(distance) {
        Ok(near @ 1..=SYMBOL_MASK) => Some(if sign { near | SIGN_BIT } else { near }),
        _ => None,
    }
}

/// Tables there are for so many bins.
pub(super) const fn tables(bins: usize) -> usize {
    PHASES * bins
}

/// Tables there are at most.
pub(super) const MAX_TABLES: usize = tables(BINS);
