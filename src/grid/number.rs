//! Numbers of the four types of floats, as F64, which holds all of them.

use half::f16;

use crate::format::ElementType;
use crate::simd::Simd;

/// Sums that are added up side by side.
pub const LANES: usize = 8;

/// The numbers of some bytes, replacing what `values` held.
pub fn values(simd: Simd, element: ElementType, bytes: &[u8], values: &mut Vec<f64>) {
    values.resize(bytes.len() / usize::from(element.bytes()), 0.0);
    simd.vectorized(
        #[inline(always)]
        || fill(element, bytes, values),
    );
}

#[inline(always)]
fn fill(element: ElementType, bytes: &[u8], values: &mut [f64]) {
    match element {
        ElementType::Bf16 => {
            for (value, &bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = from_bf16(u16::from_le_bytes(bytes)).into();
            }
        }
        ElementType::F16 => {
            for (value, &bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f16::from_le_bytes(bytes).to_f64();
            }
        }
        ElementType::F32 => {
            for (value, &bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(bytes).into();
            }
        }
        _ => {
            for (value, &bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f64::from_le_bytes(bytes);
            }
        }
    }
}

/// A number of BF16, exactly.
#[inline(always)]
pub(super) const fn from_bf16(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

/// The nearest number of BF16, of two the even one. Without a branch for what is no number, as levels are not
/// restored to that: loops become vector instructions.
#[inline(always)]
pub const fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    let [_, _, low, high] = rounded.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The nearest number of F16, of two the even one.
#[inline(always)]
pub(super) fn to_f16(value: f32) -> u16 {
    f16::from_f32(value).to_bits()
}

/// Rounds numbers of F32 to as many of a type of 16 bits. What is no number becomes one and the same, so that every
/// machine gives the same bits.
pub fn round_to_half(element: ElementType, values: &[u8], halves: &mut [u8]) {
    const NO_NUMBER: u16 = 0x7E00;
    let values = values.as_chunks().0.iter().copied().map(f32::from_le_bytes);
    let halves = halves.as_chunks_mut().0.iter_mut();
    if element == ElementType::Bf16 {
        halves
            .zip(values)
            .for_each(|(half, value)| *half = to_bf16(value).to_le_bytes());
    } else {
        halves.zip(values).for_each(|(half, value)| {
            let bits = if value.is_nan() {
                NO_NUMBER
            } else {
                to_f16(value)
            };
            *half = bits.to_le_bytes();
        });
    }
}

/// The number that a magnitude of a type of 16 bits stands for: its bits without the sign.
pub(super) fn magnitude(element: ElementType, bits: u16) -> f64 {
    if element == ElementType::Bf16 {
        from_bf16(bits).into()
    } else {
        f16::from_bits(bits).to_f64()
    }
}

/// The bits of the greatest finite number of a type of 16 bits.
pub(super) const fn greatest(element: ElementType) -> u16 {
    match element {
        ElementType::Bf16 => 0x7F7F,
        _ => 0x7BFF,
    }
}

/// Mantissa bits of a type of 16 bits.
pub(super) const fn mantissa_bits(element: ElementType) -> u32 {
    match element {
        ElementType::Bf16 => 7,
        _ => 10,
    }
}

/// F64 to F32, rounded to the nearest.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is what it is for"
)]
pub(super) const fn narrow(value: f64) -> f32 {
    value as f32
}

/// The root mean square of the finite ones.
pub fn root_mean_square(simd: Simd, values: &[f64]) -> f64 {
    let square = simd.vectorized(
        #[inline(always)]
        || mean_square(values, |value| value),
    );
    if square.is_finite() {
        return square.sqrt();
    }
    // Squares of numbers of F64 may be too large for it.
    let greatest = greatest_of(values);
    mean_square(values, |value| value / greatest).sqrt() * greatest
}

#[inline(always)]
fn mean_square(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let mut counts = [0u64; LANES];
    let mut add = |lane: usize, value: f64| {
        let is_finite = value.is_finite();
        let number = if is_finite { of(value) } else { 0.0 };
        sums[lane] += number * number;
        counts[lane] += u64::from(is_finite);
    };
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in chunk.iter().enumerate() {
            add(lane, value);
        }
    }
    for &value in rest {
        add(0, value);
    }
    sums.iter().sum::<f64>() / counts.iter().sum::<u64>().max(1) as f64
}

/// The greatest finite magnitude.
pub(super) fn greatest_of(values: &[f64]) -> f64 {
    let finite = values.iter().filter(|value| value.is_finite());
    finite.fold(0.0, |most, value| value.abs().max(most))
}
