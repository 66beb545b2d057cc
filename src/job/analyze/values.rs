//! What floating-point numbers are worth: how many are zero, small, large, not a number.

use serde::Serialize;

use super::counts::Counts;
use crate::format::ElementType;

/// Counts of values, and their extent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Values {
    /// Number of values, as far as they were looked at.
    pub count: f64,
    /// Zeros of either sign.
    pub zeros: f64,
    /// Values with the sign bit set, zeros included.
    pub negative: f64,
    /// 0 < |x| < 0.1.
    pub below_tenth: f64,
    /// 0.1 <= |x| < 1.
    pub below_one: f64,
    /// 1 <= |x|, infinities not included.
    pub one_and_more: f64,
    /// Not a number.
    pub nan: f64,
    /// Infinities.
    pub infinite: f64,
    /// Smaller than the least normal number, but not zero.
    pub subnormal: f64,
    /// The least finite value.
    pub min: f64,
    /// The greatest finite value.
    pub max: f64,
    /// Mean of the finite values.
    pub mean: f64,
    /// Standard deviation of the finite values.
    pub deviation: f64,
    #[serde(skip)]
    sum: f64,
    #[serde(skip)]
    squares: f64,
}

impl Values {
    /// Of types of at most 16 bits, from their counts; `None` for others.
    pub(super) fn of_counts(element: ElementType, counts: &Counts<f64>) -> Option<Self> {
        element
            .exponent_bits()
            .filter(|_| element.bytes() <= 2)
            .map(|_| {
                let mut values = Self::default();
                for (bits, &count) in (0..).zip(counts.top()).filter(|(_, count)| **count > 0.0) {
                    values.add(decode(element, bits), count);
                }
                values.finished()
            })
    }

    /// Adds elements of wider types, one by one.
    pub(super) fn add_wide(&mut self, element: ElementType, piece: &[u8]) {
        match element {
            ElementType::F32 => {
                for &bytes in piece.as_chunks().0 {
                    let value = f32::from_le_bytes(bytes);
                    self.add(Value::new(value.into(), value.is_subnormal()), 1.0);
                }
            }
            ElementType::F64 => {
                for &bytes in piece.as_chunks().0 {
                    let value = f64::from_le_bytes(bytes);
                    self.add(Value::new(value, value.is_subnormal()), 1.0);
                }
            }
            _ => {}
        }
    }

    pub(super) fn merge(&mut self, other: &Self, weight: f64) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            (self.min, self.max) = (other.min, other.max);
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (to, from) in [
            (&mut self.count, other.count),
            (&mut self.zeros, other.zeros),
            (&mut self.negative, other.negative),
            (&mut self.below_tenth, other.below_tenth),
            (&mut self.below_one, other.below_one),
            (&mut self.one_and_more, other.one_and_more),
            (&mut self.nan, other.nan),
            (&mut self.infinite, other.infinite),
            (&mut self.subnormal, other.subnormal),
            (&mut self.sum, other.sum),
            (&mut self.squares, other.squares),
        ] {
            *to += from * weight;
        }
    }

    /// With the mean and the deviation.
    pub(super) fn finished(mut self) -> Self {
        let finite = self.count - self.nan - self.infinite;
        if finite > 0.0 {
            self.mean = self.sum / finite;
            self.deviation = (self.squares / finite - self.mean * self.mean)
                .max(0.0)
                .sqrt();
        }
        self
    }

    fn add(&mut self, value: Value, count: f64) {
        if self.count == 0.0 {
            (self.min, self.max) = (f64::INFINITY, f64::NEG_INFINITY);
        }
        self.count += count;
        if value.is_negative {
            self.negative += count;
        }
        let number = value.number;
        if number.is_nan() {
            self.nan += count;
            return;
        }
        if number.is_infinite() {
            self.infinite += count;
            return;
        }
        *match number.abs() {
            0.0 => &mut self.zeros,
            size if size < 0.1 => &mut self.below_tenth,
            size if size < 1.0 => &mut self.below_one,
            _ => &mut self.one_and_more,
        } += count;
        if value.is_subnormal {
            self.subnormal += count;
        }
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.sum += number * count;
        self.squares += number * number * count;
    }
}

#[derive(Debug, Clone, Copy)]
struct Value {
    number: f64,
    is_negative: bool,
    is_subnormal: bool,
}

impl Value {
    fn new(number: f64, is_subnormal: bool) -> Self {
        Self {
            number,
            is_negative: number.is_sign_negative(),
            is_subnormal,
        }
    }
}

/// A number of a float type of at most 16 bits.
fn decode(element: ElementType, bits: u32) -> Value {
    let width = u32::from(element.bytes()) * 8;
    let exponent_bits = u32::from(element.exponent_bits().unwrap_or(0));
    let mantissa_bits = width - 1 - exponent_bits;
    let highest = (1u32 << exponent_bits) - 1;
    let exponent = bits >> mantissa_bits & highest;
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let bias = f64::from(highest / 2);
    let fraction = f64::from(mantissa) / f64::from(1u32 << mantissa_bits);
    // F8_E4M3 has no infinities and a single NaN.
    let is_special = if element == ElementType::F8E4M3 {
        exponent == highest && mantissa == (1 << mantissa_bits) - 1
    } else {
        exponent == highest
    };
    let size = match (is_special, exponent, mantissa) {
        (true, _, 0) => f64::INFINITY,
        (true, ..) => f64::NAN,
        (_, 0, _) => fraction * (1.0 - bias).exp2(),
        _ => (1.0 + fraction) * (f64::from(exponent) - bias).exp2(),
    };
    let is_negative = bits >> (width - 1) == 1;
    Value {
        number: if is_negative { -size } else { size },
        is_negative,
        is_subnormal: exponent == 0 && mantissa != 0,
    }
}

/// The number that a float of 16 bits is.
pub(super) fn number_of_half(bits: u16) -> f64 {
    decode(ElementType::F16, bits.into()).number
}

/// The numbers of a piece; none for types that are no floats.
pub(super) fn numbers(element: ElementType, piece: &[u8]) -> Vec<f64> {
    match (element, element.exponent_bits()) {
        (ElementType::F32, _) => {
            let floats = piece.as_chunks().0.iter();
            floats.map(|&b| f32::from_le_bytes(b).into()).collect()
        }
        (ElementType::F64, _) => {
            let floats = piece.as_chunks().0.iter();
            floats.map(|&b| f64::from_le_bytes(b)).collect()
        }
        (_, Some(_)) if element.bytes() == 2 => {
            let bits = piece.as_chunks().0.iter();
            bits.map(|&b| decode(element, u16::from_le_bytes(b).into()).number)
                .collect()
        }
        (_, Some(_)) => piece
            .iter()
            .map(|&b| decode(element, b.into()).number)
            .collect(),
        _ => Vec::new(),
    }
}

/// What the highest byte of a float says, for people: sign and magnitude.
pub(super) fn meaning_of_top_byte(element: ElementType, byte: u8) -> Option<String> {
    let exponent_bits = u32::from(element.exponent_bits()?);
    let sign = if byte >> 7 == 1 { '-' } else { '+' };
    // The lowest and the highest exponent that this byte may be part of.
    let (low, high) = if exponent_bits >= 7 {
        let shift = exponent_bits - 7;
        let first = u32::from(byte & 0x7F) << shift;
        (first, first + (1 << shift) - 1)
    } else {
        let exponent = u32::from(byte & 0x7F) >> (7 - exponent_bits);
        (exponent, exponent)
    };
    let highest = (1u32 << exponent_bits) - 1;
    let bias = f64::from(highest / 2);
    let power = |exponent: u32| (f64::from(exponent) - bias).exp2();
    Some(if high == 0 || (low == 0 && exponent_bits < 8) {
        format!("{sign}0 or subnormal")
    } else if low == 0 {
        format!("{sign}0 or below {:.3e}", power(high + 1))
    } else if low == highest && element != ElementType::F8E4M3 {
        "infinite or not a number".into()
    } else {
        format!("{sign}{:.3e} to {:.3e}", power(low), power(high + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type_are_what_they_should_be() {
        let number = |element, bits| decode(element, bits).number;
        assert_eq!(number(ElementType::Bf16, 0x3F80), 1.0);
        assert_eq!(number(ElementType::Bf16, 0xC040), -3.0);
        assert_eq!(number(ElementType::F16, 0x3C00), 1.0);
        assert_eq!(number(ElementType::F16, 0x0001), (-24f64).exp2());
        assert_eq!(number(ElementType::F16, 0xFC00), f64::NEG_INFINITY);
        assert_eq!(number(ElementType::F8E4M3, 0x7E), 448.0);
        assert!(number(ElementType::F8E4M3, 0x7F).is_nan());
        assert_eq!(number(ElementType::F8E5M2, 0x7B), 57344.0);
        assert_eq!(number(ElementType::F8E5M2, 0x7C), f64::INFINITY);
        for bits in 0..=u16::MAX {
            let expected = f64::from(f32::from_bits(u32::from(bits) << 16));
            let found = number(ElementType::Bf16, bits.into());
            assert!(found == expected || found.is_nan() && expected.is_nan());
        }
    }

    #[test]
    fn values_are_counted_by_what_they_are() {
        let floats = [0.0, -0.0, 0.05, -0.5, 2.0, f32::NAN, f32::INFINITY, 1e-40];
        let bytes: Vec<u8> = floats.iter().flat_map(|f| f.to_le_bytes()).collect();
        let mut values = Values::default();
        values.add_wide(ElementType::F32, &bytes);
        let found = values.finished();
        let counts = [
            (found.count, 8.0),
            (found.zeros, 2.0),
            (found.below_tenth, 2.0),
            (found.below_one, 1.0),
            (found.one_and_more, 1.0),
            (found.nan, 1.0),
            (found.infinite, 1.0),
            (found.subnormal, 1.0),
            (found.min, -0.5),
            (found.max, 2.0),
        ];
        for (i, (found, expected)) in counts.into_iter().enumerate() {
            assert_eq!(found, expected, "{i}");
        }
    }

    #[test]
    fn top_bytes_are_explained() {
        let of = |element, byte| meaning_of_top_byte(element, byte).unwrap();
        assert_eq!(of(ElementType::Bf16, 0x3C), "+7.812e-3 to 3.125e-2");
        assert_eq!(of(ElementType::Bf16, 0x80), "-0 or below 2.351e-38");
        assert_eq!(of(ElementType::F16, 0x01), "+0 or subnormal");
        assert_eq!(of(ElementType::F16, 0x7C), "infinite or not a number");
        assert!(meaning_of_top_byte(ElementType::U16, 0).is_none());
    }
}
