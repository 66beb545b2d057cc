//! Round trips with every kernel, and damage.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "made-up numbers"
)]

use std::sync::Arc;

use proptest::prelude::*;

use super::{Decoder, Encoder};
use super::{Fitter, ModelBuilder, Sample, Segment};
use crate::codec::plane::{Coded, Context, coded_of};
use crate::format::Profiles;
use crate::simd::Simd;

const COLUMNS: [usize; 2] = [48, 130];
const ROWS: usize = 64;
/// Means that are worth it, in scales.
const MEAN: f64 = 4.0;

/// Weights of a matrix whose rows and columns differ in scale and have means up to so many scales,
/// as the highest 16 bits of floats.
fn matrix(columns: usize, most_mean: f64, seed: u32, exponent_bits: u8) -> Vec<u16> {
    let mut random = fastrand::Rng::with_seed(seed.into());
    let mut uniform = move || random.f64() - 0.5;
    (0..ROWS * columns)
        .map(|i| {
            let (row, column) = (i / columns, i % columns);
            let scale = 1.2f64.powi((row % 7) as i32 - (column % 11) as i32) * 0.02;
            let mean = most_mean * (row as f64).sin() * (1.3 * column as f64).sin();
            let value = (2.0 * (uniform() + uniform() + uniform()) + mean) * scale;
            // A few zeros and numbers far from all others.
            let value = match i % 997 {
                0 => 0.0,
                1 => value * 1e-9,
                2 => value * 1e4,
                _ => value,
            };
            let bits = (value as f32).to_bits();
            let field = if exponent_bits == 8 {
                bits >> 16
            } else {
                let exponent = (bits >> 23 & 0xFF).saturating_sub(112).min(30);
                bits >> 31 << 15 | exponent << 10 | bits >> 13 & 0x3FF
            };
            u16::try_from(field).unwrap()
        })
        .collect()
}

fn bytes(fields: &[u16]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|field| field.to_le_bytes())
        .collect()
}

/// A model of two matrices, of which the second may have means, its profiles, and the matrices.
fn model(exponent_bits: u8, most_mean: f64) -> (Encoder, Vec<u8>, [Vec<u16>; 2]) {
    let matrices = [
        matrix(COLUMNS[0], 0.0, 7, exponent_bits),
        matrix(COLUMNS[1], most_mean, 7, exponent_bits),
    ];
    let mut builder = ModelBuilder::default();
    let mut fitter = Fitter::default();
    for (number, (fields, columns)) in matrices.iter().zip(COLUMNS).enumerate() {
        let sample = Sample {
            exponent_bits,
            columns,
            fields,
        };
        let profile = fitter.add(sample, ROWS as u64, &mut builder);
        assert_eq!(profile as usize, number);
    }
    let (model, profiles) = builder.finish().unwrap();
    (Encoder::new(Arc::new(model)), profiles, matrices)
}

fn segment(profile: Option<usize>, first: usize, elements: usize) -> Segment {
    let short = |value: usize| u32::try_from(value).unwrap();
    Segment {
        profile: profile.map(short),
        columns: profile.map_or(0, |number| short(COLUMNS[number])),
        first_column: profile.map_or(0, |number| short(first % COLUMNS[number])),
        elements: short(elements),
    }
}

/// A coded plane beside these profiles.
fn with_profiles<'a>(bytes: &'a [u8], profiles: Profiles<'a>, len: usize, simd: Simd) -> Coded<'a> {
    Coded {
        context: Context {
            profiles,
            ..Context::NONE
        },
        ..coded_of(bytes, 16, len, simd)
    }
}

proptest! {
    #[test]
    fn blocks_of_several_matrices_come_back(
        wide: bool, has_means: bool, skip in 0usize..500, take in 1usize..6000, between in 0usize..3000,
        flips in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        let exponent_bits = if wide { 8 } else { 5 };
        let (mut encoder, profiles, [first, second]) = model(exponent_bits, if has_means { MEAN } else { 0.0 });
        let first = &first[skip..];
        let second = &second[..take];
        let noise: Vec<u16> = (0..between).map(|i| (i as u16).wrapping_mul(40_503)).collect();
        let plane = bytes(&[first, &noise, second].concat());
        let mut segments = vec![
            segment(Some(0), skip, first.len()),
            segment(None, 0, between),
            segment(Some(1), 0, take),
        ];
        segments.retain(|segment| segment.elements > 0);
        let mut coded = Vec::new();
        prop_assert!(encoder.encode(&plane, exponent_bits, &segments, &mut coded));
        let profiles = Profiles::of(&profiles);
        for simd in Simd::available() {
            let mut decoder = Decoder::default();
            let mut back = vec![0x55; plane.len()];
            decoder.decode_into(&with_profiles(&coded, profiles, plane.len(), simd), &mut back).unwrap();
            prop_assert_eq!(&back, &plane, "{}", simd.name());
            prop_assert!(decoder.decode_into(&with_profiles(&coded, Profiles::NONE, plane.len(), simd), &mut back).is_err());
            for len in [0, 27, 28, 60, coded.len() / 2, coded.len() - 1] {
                prop_assert!(decoder.decode_into(&with_profiles(&coded[..len], profiles, plane.len(), simd), &mut back).is_err());
            }
            for flip in &flips {
                let mut damaged = coded.clone();
                damaged[flip.index(coded.len())] ^= 0x21;
                let _ = decoder.decode_into(&with_profiles(&damaged, profiles, plane.len(), simd), &mut back);
            }
        }
    }

    #[test]
    fn damaged_profiles_and_headers_never_panic(
        head in any::<prop::sample::Index>(), with: u8, at in any::<prop::sample::Index>(),
    ) {
        let (mut encoder, profiles, [_, second]) = model(8, MEAN);
        let plane = bytes(&second);
        let mut coded = Vec::new();
        let segments = [segment(Some(1), 0, second.len())];
        prop_assert!(encoder.encode(&plane, 8, &segments, &mut coded));
        let mut back = vec![0; plane.len()];
        let mut spoiled = profiles.clone();
        spoiled[at.index(profiles.len())] ^= with;
        let _ = Decoder::default().decode_into(&with_profiles(&coded, Profiles::of(&spoiled), plane.len(), Simd::detect()), &mut back);
        coded[head.index(60)] = with;
        let _ = Decoder::default().decode_into(&with_profiles(&coded, Profiles::of(&profiles), plane.len(), Simd::detect()), &mut back);
    }
}

#[test]
fn scales_make_matrices_smaller() {
    let (mut encoder, _, [first, _]) = model(8, 0.0);
    let plane = bytes(&first);
    let mut coded = Vec::new();
    let segments = [segment(Some(0), 0, first.len())];
    assert!(encoder.encode(&plane, 8, &segments, &mut coded));
    assert!(coded.len() < plane.len() * 11 / 16 + 600, "{}", coded.len());
    assert!(!encoder.encode(&plane, 8, &[], &mut coded));
    assert!(!encoder.encode(&plane, 8, &[segment(None, 0, first.len())], &mut coded));
}

#[test]
fn means_make_matrices_smaller() {
    let (_, _, [_, second]) = model(8, MEAN);
    let plane = bytes(&second);
    let segments = [segment(Some(1), 0, second.len())];
    // With the model of other values, columns have no means.
    let lengths = [0.0, MEAN].map(|most_mean| {
        let (mut encoder, profiles, _) = model(8, most_mean);
        let mut coded = Vec::new();
        assert!(encoder.encode(&plane, 8, &segments, &mut coded));
        let mut back = vec![0; plane.len()];
        Decoder::default()
            .decode_into(
                &with_profiles(&coded, Profiles::of(&profiles), plane.len(), Simd::detect()),
                &mut back,
            )
            .unwrap();
        assert_eq!(back, plane);
        coded.len()
    });
    assert!(lengths[1] < lengths[0] * 19 / 20, "{lengths:?}");
}

#[test]
fn means_without_tables_for_them_are_damage() {
    let (mut encoder, with_means, [_, second]) = model(8, MEAN);
    let (_, without, _) = model(8, 0.0);
    let tables = Profiles::of(&without).tables().unwrap();
    let with_means = Profiles::of(&with_means);
    let records = [0, 1].map(|number| with_means.record(number).unwrap().to_vec());
    let mixed = Profiles::encode(tables, &records);
    let plane = bytes(&second);
    let mut coded = Vec::new();
    let segments = [segment(Some(1), 0, second.len())];
    assert!(encoder.encode(&plane, 8, &segments, &mut coded));
    let mut back = vec![0; plane.len()];
    let mut decoder = Decoder::default();
    assert!(
        decoder
            .decode_into(
                &with_profiles(&coded, with_means, plane.len(), Simd::detect()),
                &mut back
            )
            .is_ok()
    );
    assert!(
        decoder
            .decode_into(
                &with_profiles(&coded, Profiles::of(&mixed), plane.len(), Simd::detect()),
                &mut back
            )
            .is_err()
    );
}
