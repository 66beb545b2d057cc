//! How small coding of order 0 could make tensors at best.

use serde::Serialize;

use super::counts::Entropies;

/// Drawings of the bootstrap.
const DRAWINGS: usize = 2000;

/// A ratio over all tensors, and how far it is known.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ceiling {
    /// Bytes of all tensors by bytes that their entropies allow: the mean ratio, weighted by bytes.
    pub mean: f64,
    /// Lower end of the 95 % interval over tensors.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Entropies {
    /// Bits of an element by the bits that its bytes need, each coded on its own: for types of two
    /// bytes 16 / (H_high + H_low).
    pub fn byte_marginal(&self) -> f64 {
        ratio(&self.planes, self.planes.iter().sum())
    }

    /// Bits of an element by the bits that it needs if it is coded as one value.
    pub fn joint_ceiling(&self) -> f64 {
        ratio(&self.planes, self.joint)
    }
}

fn ratio(planes: &[f64], bits: f64) -> f64 {
    // A single value needs no bits at all; what is said of it must be finite.
    (8 * planes.len()) as f64 / bits.max(1e-3)
}

/// Of tensors with so many bytes and such a ratio each. Tensors are drawn with replacement; the
/// interval is that of the middle 95 % of all drawings.
pub(super) fn ceiling(tensors: &[(f64, f64)]) -> Option<Ceiling> {
    let mean = |tensors: &mut dyn Iterator<Item = (f64, f64)>| {
        let (bytes, coded) = tensors.fold((0.0, 0.0), |(bytes, coded), (b, ratio)| {
            (bytes + b, coded + b / ratio)
        });
        bytes / f64::max(coded, f64::MIN_POSITIVE)
    };
    if tensors.is_empty() {
        return None;
    }
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = || {
        // xorshift64*, written out: the same interval of the same model in every version.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let number = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        tensors[usize::try_from(number).unwrap_or(0) % tensors.len()]
    };
    // Of very many tensors, fewer drawings tell as much.
    let drawings = (50_000_000 / tensors.len()).clamp(100, DRAWINGS);
    let mut means: Vec<f64> = (0..drawings)
        .map(|_| mean(&mut (0..tensors.len()).map(|_| draw())))
        .collect();
    means.sort_by(f64::total_cmp);
    Some(Ceiling {
        mean: mean(&mut tensors.iter().copied()),
        low: means[drawings * 25 / 1000],
        high: means[drawings * 975 / 1000],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_weighted_by_bytes_and_lies_in_its_interval() {
        // 3 bytes at 1.5 and 1 at 1: 4 bytes become 3.
        let tensors = [(3.0, 1.5), (1.0, 1.0)];
        let found = ceiling(&tensors).unwrap();
        assert!((found.mean - 4.0 / 3.0).abs() < 1e-9);
        assert!(found.low <= found.mean && found.mean <= found.high);
        let equal = ceiling(&[(1.0, 1.5); 40]).unwrap();
        assert!((equal.low - 1.5).abs() < 1e-9 && (equal.high - 1.5).abs() < 1e-9);
        assert!(ceiling(&[]).is_none());
    }
}
