//! Powers of two with fractions, the same on every machine: by square roots and products, which IEEE 754
//! rounds in one way only.

/// Steps of an octave in which scales of rows are told.
pub(super) const SCALE_STEPS: i32 = 64;
/// Square roots of 2 that make its 64th.
const SCALE_ROOTS: usize = 6;

/// The first powers of a ratio, from 1 on.
pub(super) fn powers(ratio: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(1.0), |power| Some(power * ratio))
        .take(count)
        .collect()
}

/// The powers of two in steps of 1/64, from 1 up to 2 without it.
pub(super) fn scale_powers() -> Vec<f64> {
    let ratio = (0..SCALE_ROOTS).fold(2f64, |ratio, _| ratio.sqrt());
    powers(ratio, SCALE_STEPS as usize)
}

/// 2 to an exponent, as far as F64 has it.
pub(super) const fn exp2(exponent: i32) -> f64 {
    if exponent > 1023 {
        f64::INFINITY
    } else if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else if exponent >= -1074 {
        f64::from_bits(1 << (exponent + 1074))
    } else {
        0.0
    }
}

/// The fewest steps of an octave that are fine enough for a bound relative to each number.
pub fn octave_steps(bound: f64) -> f64 {
    (((1.0 + bound) / (1.0 - bound)).log2().recip()).ceil()
}

/// The ratio of neighbours with so many steps an octave.
pub fn octave_ratio(steps: u32) -> f64 {
    f64::from(steps).recip().exp2()
}
