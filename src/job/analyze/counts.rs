//! Counts how often the bytes, byte pairs and highest bits of elements occur, and tells the entropies
//! that follow.
//!
//! Three tables say all of it: the highest 16 bits of an element (8 for bytes), each lower byte, and
//! pairs of neighbours, once of bytes as they lie in the file and once of highest bytes alone.

use serde::Serialize;

use crate::format::ElementType;

/// Values of a byte.
pub const BYTES: usize = 256;
const PAIRS: usize = BYTES * BYTES;

/// Counts of elements of one type; `N` is `u32` while counting and `f64` where counts are weighted.
#[derive(Debug, Clone)]
pub(super) struct Counts<N> {
    element: ElementType,
    pub(super) elements: N,
    /// Of the highest 16 bits; of the byte, for elements of one.
    top: Vec<N>,
    /// Of each byte below those, lowest first.
    low: Vec<[N; BYTES]>,
    /// Of a byte (low half of the index) behind another (high half), in file order.
    byte_pairs: Vec<N>,
    /// The same of highest bytes of elements.
    top_pairs: Vec<N>,
}

impl<N: Copy + Default> Counts<N> {
    pub fn new(element: ElementType) -> Self {
        let width = usize::from(element.bytes());
        Self {
            element,
            elements: N::default(),
            top: vec![N::default(); if width == 1 { BYTES } else { PAIRS }],
            low: vec![[N::default(); BYTES]; width.saturating_sub(2)],
            byte_pairs: vec![N::default(); PAIRS],
            top_pairs: vec![N::default(); PAIRS],
        }
    }
}

impl Counts<u32> {
    /// Counts a piece of at most 2^31 bytes. Pairs across pieces are not counted.
    pub fn add(&mut self, piece: &[u8]) {
        match self.element.bytes() {
            1 => self.add_of::<1>(piece),
            2 => self.add_of::<2>(piece),
            4 => self.add_of::<4>(piece),
            _ => self.add_of::<8>(piece),
        }
    }

    fn add_of<const WIDTH: usize>(&mut self, piece: &[u8]) {
        let mut before = None;
        for &byte in piece {
            if let Some(before) = before {
                self.byte_pairs[usize::from(before) << 8 | usize::from(byte)] += 1;
            }
            before = Some(byte);
        }
        let mut before = None;
        for element in piece.as_chunks::<WIDTH>().0 {
            let top = element[WIDTH - 1];
            let below = if WIDTH > 1 { element[WIDTH - 2] } else { 0 };
            let index = if WIDTH > 1 {
                usize::from(top) << 8 | usize::from(below)
            } else {
                usize::from(top)
            };
            self.top[index] += 1;
            for (counts, &byte) in self.low.iter_mut().zip(element) {
                counts[usize::from(byte)] += 1;
            }
            if let Some(before) = before {
                self.top_pairs[usize::from(before) << 8 | usize::from(top)] += 1;
            }
            before = Some(top);
            self.elements += 1;
        }
    }

    /// The same counts, each standing for `weight` of them.
    pub fn weighted(&self, weight: f64) -> Counts<f64> {
        let scale = |counts: &[u32]| counts.iter().map(|&n| f64::from(n) * weight).collect();
        Counts {
            element: self.element,
            elements: f64::from(self.elements) * weight,
            top: scale(&self.top),
            low: self
                .low
                .iter()
                .map(|counts| counts.map(|n| f64::from(n) * weight))
                .collect(),
            byte_pairs: scale(&self.byte_pairs),
            top_pairs: scale(&self.top_pairs),
        }
    }
}

impl Counts<f64> {
    pub fn merge(&mut self, other: &Self) {
        let add = |to: &mut [f64], from: &[f64]| {
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        };
        self.elements += other.elements;
        add(&mut self.top, &other.top);
        for (to, from) in self.low.iter_mut().zip(&other.low) {
            add(to, from);
        }
        add(&mut self.byte_pairs, &other.byte_pairs);
        add(&mut self.top_pairs, &other.top_pairs);
    }

    /// How often each value of the highest 16 bits (8 for bytes) occurs.
    pub fn top(&self) -> &[f64] {
        &self.top
    }

    /// How often each value of each byte occurs, lowest byte first.
    pub fn planes(&self) -> Vec<[f64; BYTES]> {
        let mut planes = self.low.clone();
        let (mut high, mut below) = ([0.0; BYTES], [0.0; BYTES]);
        if self.element.bytes() == 1 {
            high.copy_from_slice(&self.top);
        } else {
            for (value, row) in self.top.chunks_exact(BYTES).enumerate() {
                high[value] = row.iter().sum();
                for (sum, count) in below.iter_mut().zip(row) {
                    *sum += count;
                }
            }
            planes.push(below);
        }
        planes.push(high);
        planes
    }

    /// `sampled` is the number of elements that were counted.
    pub fn entropies(&self, sampled: f64) -> Entropies {
        let planes = self.planes();
        let mut all = [0.0; BYTES];
        for plane in &planes {
            for (sum, count) in all.iter_mut().zip(plane) {
                *sum += count;
            }
        }
        let low_bits: f64 = planes[..self.low.len()].iter().map(|p| entropy(p)).sum();
        let top = entropy(&self.top) + missing_bits(&self.top, sampled);
        let (exponent, sign_mantissa) = self.fields().map_or((None, None), |(e, m)| (Some(e), m));
        Entropies {
            bytes: entropy(&all),
            planes: planes.iter().map(|plane| entropy(plane)).collect(),
            exponent,
            sign_mantissa,
            joint: low_bits + top,
            bytes_after_byte: conditional(&self.byte_pairs, BYTES),
            top_after_top: conditional(&self.top_pairs, BYTES),
            top_delta: self.predicted(|before, now| now.wrapping_sub(before)),
            top_xor: self.predicted(|before, now| before ^ now),
        }
    }

    /// Entropy of the exponents and, where the table holds all of them, of sign and mantissa.
    fn fields(&self) -> Option<(f64, Option<f64>)> {
        let exponent_bits = u32::from(self.element.exponent_bits()?);
        let bits = self.top.len().ilog2();
        let below = bits - 1 - exponent_bits;
        let mask = (1 << exponent_bits) - 1;
        let mut exponents = vec![0.0; mask + 1];
        let mut others = vec![0.0; 2 << below];
        for (value, &count) in self.top.iter().enumerate() {
            let sign = value >> (bits - 1);
            exponents[value >> below & mask] += count;
            others[sign << below | value & ((1 << below) - 1)] += count;
        }
        let is_whole = self.low.is_empty();
        Some((entropy(&exponents), is_whole.then(|| entropy(&others))))
    }

    /// Entropy of what is left of highest bytes after predicting each by the one before.
    fn predicted(&self, residual: impl Fn(u8, u8) -> u8) -> f64 {
        let mut counts = [0.0; BYTES];
        for (pair, &count) in self.top_pairs.iter().enumerate() {
            let [now, before, ..] = pair.to_le_bytes();
            counts[usize::from(residual(before, now))] += count;
        }
        entropy(&counts)
    }
}

/// Bits a value: of order 0, if nothing else is said. `top` is the highest byte of each element.
#[derive(Debug, Clone, Serialize)]
pub struct Entropies {
    /// Of all bytes, whatever their place.
    pub bytes: f64,
    /// Of each byte of the elements, lowest first.
    pub planes: Vec<f64>,
    /// Of the exponent; floats only.
    pub exponent: Option<f64>,
    /// Of sign and mantissa together; floats of at most 16 bits.
    pub sign_mantissa: Option<f64>,
    /// Of the whole element, with bytes below the highest two counted on their own. Corrected for
    /// values that a sample does not show (Miller and Madow).
    pub joint: f64,
    /// Of a byte if the one before it in the file is known.
    pub bytes_after_byte: f64,
    /// Of a highest byte if that of the element before is known.
    pub top_after_top: f64,
    /// Of the difference of neighbouring highest bytes, modulo 256.
    pub top_delta: f64,
    /// Of their exclusive or.
    pub top_xor: f64,
}

/// -sum p log2 p.
pub(super) fn entropy(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    if total <= 0.0 {
        return 0.0;
    }
    let sum: f64 = counts
        .iter()
        .filter(|&&count| count > 0.0)
        .map(|count| count * count.log2())
        .sum();
    (total.log2() - sum / total).max(0.0)
}

/// H(now | before) = H(before, now) - H(before), of pairs of so many values each.
pub(super) fn conditional(pairs: &[f64], values: usize) -> f64 {
    let before: Vec<f64> = pairs
        .chunks_exact(values)
        .map(|row| row.iter().sum())
        .collect();
    (entropy(pairs) - entropy(&before)).max(0.0)
}

/// What the entropy of a sample falls short of on average: (values - 1) / (2 n ln 2).
pub(super) fn missing_bits(counts: &[f64], sampled: f64) -> f64 {
    let values = counts.iter().filter(|&&count| count > 0.0).count();
    if sampled <= 0.0 {
        return 0.0;
    }
    values.saturating_sub(1) as f64 / (2.0 * sampled * std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(element: ElementType, bytes: &[u8]) -> Counts<f64> {
        let mut counts = Counts::new(element);
        counts.add(bytes);
        counts.weighted(2.0)
    }

    #[test]
    fn entropies_of_known_sources() {
        // High byte: four values, equally often; low byte: always 5.
        let bytes: Vec<u8> = (0..4096u32).flat_map(|i| [5, (i * 7 % 4) as u8]).collect();
        let found = counts(ElementType::U16, &bytes).entropies(1e12);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 2e-3, "{a} {b}");
        close(found.planes[0], 0.0);
        close(found.planes[1], 2.0);
        close(found.joint, 2.0);
        close(found.bytes, 2.0);
        // Known exactly from the one before: 0 3 2 1 0 ...
        close(found.top_after_top, 0.0);
        close(found.top_delta, entropy(&[1.0, 3.0]));
        assert!(found.exponent.is_none());
    }

    #[test]
    fn fields_of_floats_are_told_apart() {
        // BF16: sign and mantissa random, exponent one of two.
        let bytes: Vec<u8> = (0..65536u32)
            .flat_map(|i| {
                let sign_mantissa = i & 0xFF;
                let exponent = 120 + (i >> 8 & 1);
                let bits = (sign_mantissa >> 7) << 15 | exponent << 7 | sign_mantissa & 0x7F;
                let [low, high, ..] = bits.to_le_bytes();
                [low, high]
            })
            .collect();
        let found = counts(ElementType::Bf16, &bytes).entropies(1e12);
        assert!((found.exponent.unwrap() - 1.0).abs() < 1e-9);
        assert!((found.sign_mantissa.unwrap() - 8.0).abs() < 1e-9);
        assert!((found.joint - 9.0).abs() < 1e-6);
    }

    #[test]
    fn every_width_counts_every_byte() {
        for element in [
            ElementType::Bytes,
            ElementType::U16,
            ElementType::F32,
            ElementType::F64,
        ] {
            let bytes: Vec<u8> = (0..100).flat_map(|_| 0..element.bytes()).collect();
            let counts = counts(element, &bytes);
            for (place, plane) in counts.planes().iter().enumerate() {
                assert!((plane[place] - 200.0).abs() < 1e-9, "{element:?} {place}");
            }
            assert!((counts.elements - 200.0).abs() < 1e-9);
        }
    }
}
