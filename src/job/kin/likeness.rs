//! How near the numbers of a tensor are to those of another, judged by a sample.

use crate::error::Result;
use crate::format::ElementType;
use crate::grid::round_to_half;
use crate::model::ReadAt;

/// Places of a tensor that are looked at, and elements at each.
const PLACES: u64 = 4;
const ELEMENTS: u64 = 256;
/// With so many bits of a number's own or more, the difference is no smaller than the number.
const MOST_BITS: f64 = 0.6;
/// Of what is no float, such a share of the sample must be equal.
const LEAST_EQUAL: f64 = 0.1;

/// Elements of the file at `start`, of so many, and those of the base.
pub(super) struct Pair<'a> {
    pub own: &'a dyn ReadAt,
    pub own_start: u64,
    pub base: &'a dyn ReadAt,
    pub base_start: u64,
    pub element: ElementType,
    pub elements: u64,
    pub is_rounded: bool,
}

/// Bits that tell a number of the pair from the base's, about, as a share of its own; `None` if differences do not pay.
///
/// # Errors
/// As `ReadAt::read_at`.
pub(super) fn likeness(pair: &Pair<'_>) -> Result<Option<f64>> {
    let width = u64::from(pair.element.bytes());
    let base_width = if pair.is_rounded { 2 * width } else { width };
    let count = ELEMENTS.min(pair.elements);
    let step = (pair.elements - count) / PLACES.max(1);
    let buffer = |width: u64| vec![0; usize::try_from(count * width).unwrap_or(0)];
    let (mut own, mut base) = (buffer(width), buffer(base_width));
    let (mut bits, mut equal, mut all) = (0.0, 0u64, 0u64);
    for place in 0..PLACES {
        let first = place * step + step / 2;
        pair.own.read_at(&mut own, pair.own_start + first * width)?;
        pair.base
            .read_at(&mut base, pair.base_start + first * base_width)?;
        let rounded;
        let near = if pair.is_rounded {
            let mut halves = buffer(width);
            round_to_half(pair.element, &base, &mut halves);
            rounded = halves;
            &rounded
        } else {
            &base
        };
        let width = usize::from(pair.element.bytes());
        for (own, base) in own.chunks_exact(width).zip(near.chunks_exact(width)) {
            all += 1;
            equal += u64::from(own == base);
            bits += bits_between(own, base);
        }
    }
    let (share, all) = (equal as f64 / all as f64, all as f64);
    let bits = bits / all / (width * 8) as f64;
    Ok(match pair.element.exponent_bits() {
        Some(_) => (bits < MOST_BITS).then_some(bits),
        None => (share >= LEAST_EQUAL).then_some(1.0 - share),
    })
}

/// Bits of the distance of two floats in order.
fn bits_between(own: &[u8], base: &[u8]) -> f64 {
    let in_order = |bytes: &[u8]| {
        let bits = bytes
            .iter()
            .rev()
            .fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        let sign = 1u64 << (8 * bytes.len() - 1);
        let magnitude = i128::from(bits & (sign - 1));
        if bits & sign == 0 {
            magnitude
        } else {
            -1 - magnitude
        }
    };
    let distance = in_order(own).abs_diff(in_order(base));
    (2.0 * distance as f64 + 1.0).log2()
}
