//! The limit: bits a number below which no coder of independent numbers keeps a bound.
//!
//! A number that may be moved within a cell of a width takes at least `h - log2(width)` bits, where `h` is the
//! differential entropy of the numbers, in bits (Shannon's lower bound). For a bound E the cell is 2E wide. `h` is found
//! from a histogram by sign, exponent and top mantissa bits, with a density that is constant within each of its bins.
//! Numbers of a type whose neighbours are farther apart than that are told by their neighbours' distance: nobody
//! needs more bits than tell a number exactly.

use crate::format::ElementType;
use crate::grid::{Bound, root_mean_square};
use crate::simd::Simd;

/// Top mantissa bits of a bin: their steps within an octave cost a Gaussian less than 0.001 bits.
const BIN_MANTISSA_BITS: u32 = 4;
/// Bits of a bin's number: sign, exponent of F64, top mantissa bits.
const BIN_BITS: u32 = 12 + BIN_MANTISSA_BITS;
/// Magnitudes below this share of the bound are one bin, zero among them: their density is of no use, and that of
/// many zeros would have no end.
const TINY_SHARE: f64 = 0.125;

/// What is known of the numbers so far.
#[derive(Debug)]
pub(in crate::job) struct Limit {
    simd: Simd,
    bound: Bound,
    mantissa_bits: i32,
    least_exponent: i32,
    /// Numbers of each bin, in units of their row's root mean square if the bound is in these.
    bins: Vec<u64>,
    tiny: u64,
    /// The sum of the logarithms of the cells' widths, in the same units.
    width_bits: f64,
}

impl Limit {
    pub fn new(element: ElementType, bound: Bound) -> Self {
        let (mantissa_bits, least_exponent) = match element {
            ElementType::Bf16 => (7, -126),
            ElementType::F16 => (10, -14),
            ElementType::F32 => (23, -126),
            _ => (52, -1022),
        };
        Self {
            simd: Simd::detect(),
            bound,
            mantissa_bits,
            least_exponent,
            bins: vec![0; 1 << BIN_BITS],
            tiny: 0,
            width_bits: 0.0,
        }
    }

    /// Adds the numbers of a row, or of any run where the bound is not by rows. Those that are not finite are left out.
    pub fn add(&mut self, numbers: &[f64]) {
        let (unit, bound) = match self.bound {
            Bound::Absolute(bound) => (1.0, bound),
            Bound::Row(ratio) => match root_mean_square(self.simd, numbers) {
                0.0 => (1.0, ratio),
                unit => (unit, ratio),
            },
            // Where numbers are from y / (1 + r) to y / (1 - r), y will do for all of them.
            Bound::Pointwise(ratio) => (1.0, ((1.0 + ratio) / (1.0 - ratio)).ln() / 2.0),
        };
        let cell_bits = (2.0 * bound).log2();
        let unit_bits = unit.log2();
        let is_pointwise = matches!(self.bound, Bound::Pointwise(_));
        let tiny = if is_pointwise {
            f64::MIN_POSITIVE
        } else {
            TINY_SHARE * bound
        };
        for &number in numbers.iter().filter(|number| number.is_finite()) {
            let scaled = number / unit;
            if scaled.abs() < tiny {
                self.tiny += 1;
                if !is_pointwise {
                    self.width_bits += cell_bits;
                }
                continue;
            }
            let bin = scaled.to_bits() >> (f64::MANTISSA_DIGITS - 1 - BIN_MANTISSA_BITS);
            self.bins[usize::try_from(bin).unwrap_or(0)] += 1;
            let step = exponent(number).max(self.least_exponent) - self.mantissa_bits;
            let cell = if is_pointwise {
                cell_bits + number.abs().log2()
            } else {
                cell_bits
            };
            self.width_bits += cell.max(f64::from(step) - unit_bits);
        }
    }

    /// Bits a number; 0 of none.
    pub fn bits(&self) -> f64 {
        let count = (self.tiny + self.bins.iter().sum::<u64>()) as f64;
        if count == 0.0 {
            return 0.0;
        }
        let tiny_width_bits = match self.bound {
            Bound::Absolute(bound) | Bound::Row(bound) => (2.0 * TINY_SHARE * bound).log2(),
            // Zero is told by itself.
            Bound::Pointwise(_) => 0.0,
        };
        let mut occupied = 0.0;
        let mut entropy = 0.0;
        let mut bin = |numbers: u64, width_bits: f64| {
            if numbers > 0 {
                let share = numbers as f64 / count;
                entropy += share * (width_bits - share.log2());
                occupied += 1.0;
            }
        };
        bin(self.tiny, tiny_width_bits);
        for (number, &numbers) in (0u64..).zip(&self.bins) {
            let first = f64::from_bits(number << (f64::MANTISSA_DIGITS - 1 - BIN_MANTISSA_BITS));
            bin(
                numbers,
                f64::from(exponent(first)) - f64::from(BIN_MANTISSA_BITS),
            );
        }
        // Few numbers in many bins look more orderly than they are (Miller and Madow).
        let missing = (occupied - 1.0) / (2.0 * count * std::f64::consts::LN_2);
        (entropy + missing - self.width_bits / count).max(0.0)
    }
}

/// The exponent of a number that is not subnormal.
fn exponent(number: f64) -> i32 {
    let biased = number.to_bits() >> (f64::MANTISSA_DIGITS - 1) & 0x7FF;
    i32::try_from(biased).unwrap_or(0) - 1023
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of a Gaussian of deviation 1.
    fn gaussian(count: usize) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut next = || {
            let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
            radius * (std::f64::consts::TAU * random.f64()).cos()
        };
        (0..count).map(|_| next()).collect()
    }

    fn limit(element: ElementType, bound: Bound, rows: &[Vec<f64>]) -> f64 {
        let mut limit = Limit::new(element, bound);
        rows.iter().for_each(|row| limit.add(row));
        limit.bits()
    }

    fn is_near(found: f64, expected: f64) {
        is_within(0.01, found, expected);
    }

    fn is_within(tolerance: f64, found: f64, expected: f64) {
        let error = (found - expected).abs();
        assert!(error < tolerance, "{found} and not {expected}");
    }

    #[test]
    fn of_a_gaussian_it_is_that_of_the_formula() {
        let numbers = gaussian(1 << 20);
        for deviation in [1.0, 0.02] {
            let scaled = [numbers.iter().map(|number| number * deviation).collect()];
            for bound in [1e-1, 1e-2, 1e-4] {
                let found = limit(
                    ElementType::F64,
                    Bound::Absolute(bound * deviation),
                    &scaled,
                );
                is_near(found, (1.0 / bound).log2() + 1.047);
            }
        }
    }

    #[test]
    fn few_numbers_have_nearly_the_same() {
        let numbers: Vec<_> = gaussian(1 << 20)
            .chunks(1 << 12)
            .map(<[f64]>::to_vec)
            .collect();
        let limits = numbers.iter().map(|numbers| {
            limit(
                ElementType::F64,
                Bound::Absolute(1e-3),
                std::slice::from_ref(numbers),
            )
        });
        is_within(0.03, limits.sum::<f64>() / 256.0, 1e3f64.log2() + 1.047);
    }

    #[test]
    fn rows_of_any_scale_have_that_of_one() {
        let mut rows: Vec<_> = gaussian(1 << 20)
            .chunks(1 << 12)
            .map(<[f64]>::to_vec)
            .collect();
        for (number, row) in rows.iter_mut().enumerate() {
            let scale = 1.1f64.powi(i32::try_from(number).unwrap());
            row.iter_mut().for_each(|value| *value *= scale);
        }
        rows.push(vec![0.0; 8]);
        let found = limit(ElementType::F64, Bound::Row(1e-3), &rows);
        is_near(found, 1e3f64.log2() + 1.047);
    }

    #[test]
    fn of_a_share_of_each_number_it_is_that_of_logarithms() {
        let found = limit(
            ElementType::F64,
            Bound::Pointwise(1e-3),
            &[gaussian(1 << 20)],
        );
        is_near(found, 1.963 + 1e3f64.log2());
    }

    #[test]
    fn nobody_needs_more_than_the_type_has() {
        // Between 1 and 2 there are 128 numbers of BF16 and 1024 of F16.
        let mut random = fastrand::Rng::with_seed(8);
        for (element, bits) in [(ElementType::Bf16, 7u32), (ElementType::F16, 10)] {
            let steps = f64::from(1 << bits);
            let numbers = (0..1 << 18).map(|_| 1.0 + (random.f64() * steps).floor() / steps);
            let rows = [numbers.collect()];
            is_near(limit(element, Bound::Absolute(1e-6), &rows), bits.into());
            is_near(limit(element, Bound::Pointwise(1e-6), &rows), bits.into());
            // In units of the row, bins do not end where the numbers do.
            is_within(0.05, limit(element, Bound::Row(1e-6), &rows), bits.into());
            // One cell for all.
            is_near(limit(element, Bound::Absolute(0.5), &rows), 0.0);
        }
    }

    #[test]
    fn it_is_never_below_nothing_and_always_a_number() {
        let hostile = vec![
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            5e-324,
            f64::MAX,
            f64::MIN,
        ];
        for bound in [f64::MIN_POSITIVE, 1e-3, 1e9, f64::MAX / 4.0] {
            for rows in [
                vec![],
                vec![vec![0.0; 9]],
                vec![vec![3.0; 9]],
                vec![hostile.clone()],
            ] {
                for bound in [Bound::Absolute(bound), Bound::Row(bound)] {
                    let found = limit(ElementType::F64, bound, &rows);
                    assert!(
                        found >= 0.0 && found.is_finite(),
                        "{bound:?} {rows:?}: {found}"
                    );
                }
            }
        }
        let found = limit(ElementType::F64, Bound::Pointwise(0.5), &[hostile]);
        assert!(found >= 0.0 && found.is_finite(), "{found}");
    }
}
