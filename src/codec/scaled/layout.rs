//! A plane coded with row and column scales: what is stored.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | split; `base` is that of octave 0 |
//! | 1 | log2 of the step between row scales |
//! | 1 | Rice parameter of the row scales |
//! | 1 | number of segments, not zero |
//! | 2 | the row scale in the middle, signed |
//! | 1 | Rice parameter of the escapes |
//! | 1 | Rice parameter of the row means, or 255 if there are none |
//! | 1 | the row mean in the middle, signed, zero if there are none |
//! | 4 | length of the row scales |
//! | 4 | length of the words |
//! | 4 | length of the escapes |
//! | 4 | number of escape words |
//! | 16 each | segments: profile (or 2^32 - 1), columns, column of the first element, elements |
//! | .. | for each part of a row Rice codes as those of columns in `stored_profile`: of its scale, and of its mean if its matrix has means; as one bit string |
//! | .. | the states of the lanes |
//! | .. | words |
//! | .. | run of low bytes |
//! | .. | bit string of the other raw bits |
//! | .. | for each escape a Rice code, as one bit string: how far its symbol lies below the one below the lowest of its table, modulo 128, and in the lowest bit the sign |
//! | 2 each | escape words |
//!
//! The states carry raw bits as in `ans`.

use super::ids::{SIGN_BIT, SYMBOL_MASK};
use crate::codec::ans::frequencies::Frequencies;

pub(super) const HEADER_BYTES: usize = 28;

/// For each table the lowest symbol that has a frequency, but for the escape.
pub(super) fn lowest_symbols(frequencies: &[Frequencies]) -> Vec<u8> {
    let lowest = |frequencies: &Frequencies| {
        (1..=SYMBOL_MASK)
            .find(|&id| {
                frequencies[usize::from(id)] > 0 || frequencies[usize::from(id | SIGN_BIT)] > 0
            })
            .unwrap_or(0)
    };
    frequencies.iter().map(lowest).collect()
}

/// Most escapes are numbers much smaller than expected, and the farther the rarer: symbols are
/// counted downwards from below the lowest one, and those above it follow behind zero.
pub(super) fn escape_code(id: u8, lowest: u8) -> u32 {
    let below = lowest.wrapping_sub(1).wrapping_sub(id) & SYMBOL_MASK;
    u32::from(below) << 1 | u32::from(id & SIGN_BIT != 0)
}

pub(super) fn escaped_id(code: u32, lowest: u8) -> Option<u8> {
    let below = u8::try_from(code >> 1).ok()?;
    let sign = if code & 1 == 1 { SIGN_BIT } else { 0 };
    let symbol = lowest.wrapping_sub(1).wrapping_sub(below) & SYMBOL_MASK;
    (below <= SYMBOL_MASK).then_some(symbol | sign)
}
