//! Levels of matrices, and of what is none.
#![expect(clippy::cast_possible_truncation, reason = "made-up numbers")]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::codec::plane::{Coded, Context, PlaneShape};
use crate::codec::scaled::{Fitter, ModelBuilder, Sample, Segment};
use crate::format::Profiles;
use crate::simd::Simd;

/// Numbers of a matrix with scales of rows and columns, and its model.
fn matrix(
    rows: usize,
    columns: usize,
    seed: u64,
) -> (Vec<f32>, Arc<crate::codec::scaled::Model>, Vec<u8>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut normal = move || {
        let sum: f32 = (0..12).map(|_| rng.f32()).sum();
        sum - 6.0
    };
    let of_columns: Vec<f32> = (0..columns).map(|_| (0.5 * normal()).exp2()).collect();
    let mut numbers = Vec::new();
    for _ in 0..rows {
        let of_row = (0.7 * normal()).exp2() * 0.02;
        numbers.extend(of_columns.iter().map(|column| column * of_row * normal()));
    }
    let fields: Vec<u16> = numbers.iter().map(|n| (n.to_bits() >> 16) as u16).collect();
    let mut builder = ModelBuilder::default();
    let sample = Sample {
        exponent_bits: 8,
        columns,
        fields: &fields,
    };
    assert_eq!(
        Fitter::default().add_levels(sample, rows as u64, &mut builder),
        0
    );
    let (model, profiles) = builder.finish().unwrap();
    (numbers, Arc::new(model), profiles)
}

fn planes(in_steps: &[f32], width: u8) -> Vec<u8> {
    let most = if width == 8 { 127.0 } else { 32767.0 };
    let middle = if width == 8 { 128 } else { 1 << 15 };
    let fields = in_steps
        .iter()
        .map(|number| (number.round().clamp(-most, most) as i32 + middle).to_le_bytes());
    fields
        .flat_map(|bytes| bytes[..usize::from(width / 8)].to_vec())
        .collect()
}

fn round_trip(width: u8, step: f32, from: usize, count: usize) -> usize {
    let segment = Segment {
        profile: Some(0),
        columns: 100,
        first_column: (from % 100) as u32,
        elements: count as u32,
    };
    round_trip_of(width, step, from, &[segment])
}

fn round_trip_of(width: u8, step: f32, from: usize, segments: &[Segment]) -> usize {
    let count: usize = segments
        .iter()
        .map(|segment| segment.elements as usize)
        .sum();
    let (numbers, model, profiles) = matrix(80, 100, 1);
    let in_steps: Vec<f32> = numbers[from..from + count]
        .iter()
        .map(|n| n / step)
        .collect();
    let plane = planes(&in_steps, width);
    let mut coded = vec![7];
    if !Encoder::new(model).encode(&plane, width, &in_steps, segments, &mut coded) {
        assert_eq!(coded, [7]);
        return usize::MAX;
    }
    let shape = PlaneShape { width, count };
    for simd in Simd::available() {
        let context = Context {
            profiles: Profiles::of(&profiles),
            ..Context::NONE
        };
        let coded = Coded {
            bytes: &coded[1..],
            shape,
            context,
            simd,
        };
        let mut decoder = Decoder::default();
        let mut decoded = vec![0; plane.len()];
        decoder.decode_into(&coded, &mut decoded).unwrap();
        assert_eq!(decoded, plane);
        // Once more, with what is kept.
        decoded.fill(0);
        decoder.decode_into(&coded, &mut decoded).unwrap();
        assert_eq!(decoded, plane);
    }
    coded.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn levels_of_any_step_come_back(
        wide: bool, step in -14.0f32..6.0, from in 0usize..3000, count in 1usize..5000,
    ) {
        round_trip(if wide { 16 } else { 8 }, step.exp2(), from, count);
    }
}

#[test]
fn levels_of_several_matrices_and_of_none_come_back() {
    let segment = |profile: Option<u32>, first_column, elements| Segment {
        profile,
        columns: profile.map_or(0, |_| 100),
        first_column,
        elements,
    };
    for width in [8, 16] {
        let none = round_trip_of(width, 0.01, 0, &[segment(None, 0, 5000)]);
        assert!(none < 5000 * usize::from(width) / 8);
        let several = [
            segment(Some(0), 7, 33),
            segment(None, 0, 1500),
            segment(Some(0), 99, 1),
            segment(Some(0), 0, 2500),
        ];
        assert!(round_trip_of(width, 0.01, 7, &several) < usize::MAX);
    }
}

#[test]
fn levels_take_what_their_spread_says() {
    // A normal distribution of deviation s takes log2(s) + 2.05 bits; scales of rows here about 0.1 more.
    let (numbers, ..) = matrix(80, 100, 1);
    for step in [0.03f32, 0.003, 0.0003] {
        let bytes = round_trip(16, step, 0, 8000);
        let bits: f64 = numbers
            .iter()
            .map(|number| f64::from((number.abs() + step * 0.3) / step).log2())
            .sum();
        let expected = (bits / 8000.0 + 2.05 + 0.9).max(0.5);
        assert!(
            (bytes * 8) as f64 / 8000.0 < expected + 0.8,
            "{step}: {bytes}, {expected}"
        );
    }
}

/// Scales that no table makes sense for, and raw bits of other planes: an error or some levels, the same everywhere.
#[test]
fn tables_of_any_scale_are_decoded_with() {
    let (numbers, model, profiles) = matrix(80, 100, 1);
    let in_steps: Vec<f32> = numbers[..3000].iter().map(|n| n / 0.001).collect();
    let segments = [Segment {
        profile: Some(0),
        columns: 100,
        first_column: 0,
        elements: 3000,
    }];
    for width in [8, 16] {
        let plane = planes(&in_steps, width);
        let mut coded = Vec::new();
        assert!(
            Encoder::new(model.clone()).encode(&plane, width, &in_steps, &segments, &mut coded)
        );
        for lowest in [-64, -31, 0, 40, 80, 112, 137i16] {
            for middle in [-64, 0, 40, 200, i16::MIN, i16::MAX] {
                for raw_bits in [0, coded[0], 8] {
                    let mut coded = coded.clone();
                    coded[0] = raw_bits;
                    coded[6..8].copy_from_slice(&middle.to_le_bytes());
                    coded[8..10].copy_from_slice(&lowest.to_le_bytes());
                    let decode = |simd| {
                        let coded = Coded {
                            bytes: &coded,
                            shape: PlaneShape { width, count: 3000 },
                            context: Context {
                                profiles: Profiles::of(&profiles),
                                ..Context::NONE
                            },
                            simd,
                        };
                        let mut decoded = vec![0; plane.len()];
                        let found = Decoder::default().decode_into(&coded, &mut decoded);
                        found.map(|()| decoded).map_err(|error| error.to_string())
                    };
                    let expected = decode(Simd::PORTABLE);
                    for simd in Simd::available() {
                        assert!(decode(simd) == expected, "{lowest} {middle} {raw_bits}");
                    }
                }
            }
        }
    }
}

#[test]
fn tables_add_up_for_every_scale() {
    let mut counts = [0.0; 64];
    for (bin, count) in counts.iter_mut().enumerate() {
        *count = (-(bin as f64) / 8.0).exp();
    }
    let mut peak = [0.0; 64];
    peak[63] = 1.0;
    for shape in
        [counts, [1.0; 64], peak].map(|counts| crate::codec::scaled::Shape::of_counts(&counts))
    {
        for scale in i16::MIN..=i16::MAX {
            if !(-300..=300).contains(&scale) && scale % 997 != 0 {
                continue;
            }
            for raw_bits in 0..=8 {
                let table = shape.table(scale, raw_bits);
                assert_eq!(table.iter().map(|&f| u32::from(f)).sum::<u32>(), 4096);
                assert!(table.iter().all(|&f| f < 4096), "{scale} {raw_bits}");
                assert!(table[0] > 0);
            }
        }
    }
}
