//! The shape of a distribution: how numbers are spread in units of the scale that is expected of them. With
//! it there is a table for levels of every scale, and none is stored.

use crate::codec::ans::frequencies::{Frequencies, SLOTS};
use crate::error::{Error, Result};

/// Bins of a shape. They end at 8 times the scale.
pub(in crate::codec) const BINS: usize = 64;
/// Bins of one scale, as log2.
const BINS_A_SCALE_BITS: u32 = 3;
/// The id of level 0; id 0 is an escape.
const MIDDLE_ID: u8 = 128;

/// 2^32 times the powers of 2^(-1/8).
const EIGHTHS: [u64; 8] = [
    4_294_967_296,
    3_938_502_376,
    3_611_622_603,
    3_311_872_529,
    3_037_000_500,
    2_784_941_738,
    2_553_802_834,
    2_341_847_524,
];
/// 2^24 times the powers of 2^(-1/16).
const SIXTEENTHS: [u64; 16] = [
    16_777_216, 16_065_917, 15_384_775, 14_732_511, 14_107_901, 13_509_772, 12_937_002, 12_388_516,
    11_863_283, 11_360_319, 10_878_679, 10_417_458, 9_975_792, 9_552_851, 9_147_842, 8_760_003,
];

/// Densities of the bins of magnitudes, each as sixteenths of an octave below the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::codec) struct Shape([u8; BINS]);

impl Shape {
    /// Reads the record of a shape.
    ///
    /// # Errors
    /// `Corrupt` if it is none.
    pub fn take(record: &[u8]) -> Result<Self> {
        match record.try_into() {
            Ok(densities) => Ok(Self(densities)),
            Err(_) => Err(Error::corrupt("the record of a shape has another length")),
        }
    }

    /// The record.
    pub const fn record(&self) -> &[u8; BINS] {
        &self.0
    }

    /// Of how many numbers lie in each bin.
    pub fn of_counts(counts: &[f64; BINS]) -> Self {
        let most = counts.iter().fold(0.0, |most: f64, &count| most.max(count));
        Self(counts.map(|count| {
            let octaves = (count / most).log2();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to a byte"
            )]
            let density = (-16.0 * octaves).round().clamp(0.0, 255.0) as u8;
            density
        }))
    }

    /// The bin of a magnitude in units of its scale, if it is in one.
    pub fn bin(magnitude: f32) -> Option<usize> {
        let bins = (1u32 << BINS_A_SCALE_BITS) as f32;
        let bin = magnitude * bins;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bins"
        )]
        let number = bin as usize;
        (bin >= 0.0 && number < BINS).then_some(number)
    }

    /// The share of numbers beyond so many scales, at either side.
    pub fn share_beyond(&self, scales: f64) -> f64 {
        let bins = scales * f64::from(1u32 << BINS_A_SCALE_BITS);
        let (mut beyond, mut all) = (0.0, 0.0);
        for (bin, &density) in (0u32..).zip(&self.0) {
            let count = (-f64::from(density) / 16.0).exp2();
            all += count;
            beyond += count * (f64::from(bin) + 1.0 - bins).clamp(0.0, 1.0);
        }
        beyond / all
    }

    /// The table for levels whose scale is `2^(scale / 8)`, of which `2^raw_bits` share an id.
    ///
    /// An id has the part of the distribution between half a level below its first level and that below the
    /// next id's. What is rarer than an eighth of a slot is left to the escape; nothing else has less than one.
    pub fn table(&self, scale: i16, raw_bits: u8) -> Frequencies {
        let mut below = [0u64; BINS + 1];
        let densities = self.0.map(|density| {
            let density = usize::from(density);
            SIXTEENTHS[density % 16] >> (density / 16)
        });
        for (bin, density) in densities.iter().enumerate() {
            below[bin + 1] = below[bin] + density;
        }
        // Of 32 bits behind the point.
        let eighth = usize::try_from(scale.rem_euclid(8)).unwrap_or(0);
        let octave = scale.div_euclid(8).clamp(-8, 63);
        let inverse = if octave < 0 {
            EIGHTHS[eighth] << octave.unsigned_abs()
        } else {
            EIGHTHS[eighth] >> octave
        };
        let total = below[BINS] << 16;
        // Of all that lies below an edge, twice of which is the odd number.
        let up_to = |twice: i64| {
            let place = (twice.unsigned_abs() * inverse) << (BINS_A_SCALE_BITS - 1);
            let bin = usize::try_from(place >> 32).unwrap_or(BINS);
            let part = if bin < BINS {
                (below[bin] << 16) + densities[bin] * (place >> 16 & 0xFFFF)
            } else {
                total
            };
            if twice < 0 {
                total - part
            } else {
                total + part
            }
        };
        let slot = 2 * total / SLOTS as u64 + 1;
        let least = slot + slot / 8;
        let mut weights = [0u64; 256];
        let mut kept = 0;
        for (id, weight) in (0i64..).zip(&mut weights).skip(1) {
            let edge = |id: i64| up_to(((id - i64::from(MIDDLE_ID)) << (raw_bits + 1)) - 1);
            let share = edge(id + 1) - edge(id);
            if share >= slot / 8 {
                kept += share;
                *weight = share.max(least);
            }
        }
        weights[0] = (2 * total - kept).max(least);
        if kept == 0 {
            // An id with all slots does not fit a table.
            weights[usize::from(MIDDLE_ID)] = least;
        }
        let all: u64 = weights.iter().sum();
        let mut sum = 0;
        let mut dealt = 0u128;
        weights.map(|weight| {
            sum += weight;
            let end = u128::from(sum) * SLOTS as u128 / u128::from(all);
            let slots = end - dealt;
            dealt = end;
            u16::try_from(slots).unwrap_or(0)
        })
    }
}
