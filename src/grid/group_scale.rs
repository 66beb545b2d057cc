//! The scale of a group of numbers.

use super::number::{greatest_of, narrow};
use super::treatment::ScaleFit;
use super::uniform::round;
use crate::format::ElementType;

/// Scales that are tried for a group, as shares of the greatest magnitude.
const SCALE_SHARES: [f64; 14] = [
    1.0, 0.98, 0.96, 0.94, 0.92, 0.9, 0.88, 0.86, 0.84, 0.81, 0.78, 0.74, 0.7, 0.65,
];

/// The scale of a group as it is stored.
#[derive(Debug, Default)]
pub(super) struct Scale {
    pub bytes: [u8; 8],
    unit: f64,
}

impl Scale {
    /// The scale of a group whose farthest level is `farthest`.
    pub fn of(part: &[f64], element: ElementType, farthest: f64, fit: ScaleFit) -> Self {
        let greatest = greatest_of(part);
        if fit == ScaleFit::Max {
            return Self::new(element, greatest, farthest);
        }
        // One level more is at the negative side: either sign may have it.
        let negative = |share: f64| -share * farthest / (farthest + 1.0);
        SCALE_SHARES
            .iter()
            .flat_map(|&share| [share, negative(share)])
            .map(|share| {
                let scale = Self::new(element, greatest * share, farthest);
                (scale.errors(part, farthest), scale)
            })
            .min_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, scale)| scale)
            .unwrap_or_default()
    }

    fn new(element: ElementType, scale: f64, most: f64) -> Self {
        let mut bytes = [0; 8];
        let short = |value: f32| f64::from(value / narrow(most));
        let unit = match element {
            ElementType::Bf16 => {
                let number = half::bf16::from_f64(scale);
                bytes[..2].copy_from_slice(&number.to_le_bytes());
                short(number.to_f32())
            }
            ElementType::F16 => {
                let number = half::f16::from_f64(scale);
                bytes[..2].copy_from_slice(&number.to_le_bytes());
                short(number.to_f32())
            }
            ElementType::F32 => {
                bytes[..4].copy_from_slice(&narrow(scale).to_le_bytes());
                short(narrow(scale))
            }
            _ => {
                bytes = scale.to_le_bytes();
                scale / most
            }
        };
        Self { bytes, unit }
    }

    /// The level of a number, as a whole number.
    pub fn level(&self, value: f64, most: f64) -> f64 {
        let level = round(value / self.unit);
        if level.is_nan() {
            0.0
        } else {
            level.clamp(-most - 1.0, most)
        }
    }

    /// The sum of squared errors of the finite ones.
    fn errors(&self, part: &[f64], most: f64) -> f64 {
        let finite = part.iter().filter(|value| value.is_finite());
        finite
            .map(|&value| (self.level(value, most) * self.unit - value).powi(2))
            .sum()
    }
}
