//! Round trips against the definition, and damage.
#![expect(clippy::cast_possible_truncation, reason = "made-up numbers")]

use proptest::prelude::*;

use super::choose::{DEFAULT_UNIT_BYTES, find_runs};
use super::decode::decode_into;
use super::encode::encode;
use super::run::{RUN_BYTES, Run};
use crate::codec::plane::{coded_of, enough_saved};
use crate::error::Result;
use crate::simd::Simd;

/// A plane from runs: the number of fields, the zero bits they end in, and what else is in them.
fn plane(runs: &[(usize, u8, u64)], width: u8) -> Vec<u8> {
    let mut plane = Vec::new();
    for &(fields, zeros, seed) in runs {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..fields {
            let field = random.u32(..) >> zeros.min(width) << zeros.min(width);
            plane.extend_from_slice(&field.to_le_bytes()[..usize::from(width / 8)]);
        }
    }
    plane
}

fn decoded(coded: &[u8], width: u8, len: usize) -> Result<Vec<u8>> {
    let mut plane = vec![0x5A; len];
    decode_into(&coded_of(coded, width, len, Simd::PORTABLE), &mut plane)?;
    Ok(plane)
}

/// The coded plane, which is as it should be and decodes; none if it saves too little.
fn round_trip(plane: &[u8], width: u8) -> Option<Vec<u8>> {
    let mut coded = vec![0xEE];
    let saves = encode(plane, width, &mut coded);
    assert_eq!(coded.remove(0), 0xEE);
    if !saves {
        assert!(coded.is_empty());
        return None;
    }
    assert!(coded.len() < enough_saved(plane.len()));
    assert_eq!(coded, naive(&find_runs(plane, width), plane, width));
    assert_eq!(decoded(&coded, width, plane.len()).unwrap(), plane);
    Some(coded)
}

/// Fields one by one: the payload as the module says it is.
fn naive(runs: &[Run], plane: &[u8], width: u8) -> Vec<u8> {
    let field_bytes = usize::from(width / 8);
    let mut coded: Vec<u8> = Vec::new();
    for run in runs {
        coded.extend(((run.fields as u32) << 5 | u32::from(run.zeros)).to_le_bytes());
    }
    let mut rest = plane;
    for run in runs {
        let (fields, behind) = rest.split_at(run.fields * field_bytes);
        rest = behind;
        let bits = fields.chunks(field_bytes).flat_map(|field| {
            (run.zeros..width).map(|bit| field[usize::from(bit / 8)] >> (bit % 8) & 1)
        });
        let bits: Vec<u8> = bits.collect();
        for byte in bits.chunks(8) {
            coded.push(byte.iter().rev().fold(0, |high, bit| high << 1 | bit));
        }
    }
    coded
}

fn widths() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![8u8, 16])
}

fn runs(fields: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(usize, u8, u64)>> {
    let zeros = prop_oneof![Just(0u8), Just(13), Just(16), 0u8..=16];
    prop::collection::vec((fields, zeros, any::<u64>()), 0..12)
}

#[test]
fn rows_of_less_precision_save_their_zero_bits_wherever_they_lie() {
    let rows = [
        (1000, 0, 1),
        (384, 13, 2),
        (1000, 0, 3),
        (384, 16, 4),
        (50, 0, 5),
    ];
    let plane = plane(&rows, 16);
    let coded = round_trip(&plane, 16).unwrap();
    // A field of noise at a border may have the zero bits by chance.
    let expected = 5 * RUN_BYTES + 2 * 2050 + 384 * 3 / 8;
    assert!(
        coded.len().abs_diff(expected) <= 4,
        "{} {expected}",
        coded.len()
    );
}

#[test]
fn noise_is_refused_and_zeros_are_one_run() {
    for width in [8, 16] {
        assert_eq!(round_trip(&plane(&[(5000, 0, 7)], width), width), None);
        assert_eq!(round_trip(&[], width), None);
        let zeros = round_trip(&plane(&[(999, 16, 0)], width), width).unwrap();
        assert_eq!(zeros, (999u32 << 5 | u32::from(width)).to_le_bytes());
    }
}

#[test]
fn planes_of_other_fields_are_refused() {
    for (width, len) in [(12, 900), (32, 800), (0, 800), (16, 801)] {
        assert!(!encode(&vec![0; len], width, &mut Vec::new()));
    }
}

#[test]
fn what_no_encoder_writes_is_refused() {
    let run = |zeros: u8, fields: u32| (fields << 5 | u32::from(zeros)).to_le_bytes().to_vec();
    let ok = [run(13, 2), vec![0b11_1001]].concat();
    assert_eq!(decoded(&ok, 16, 4).unwrap(), [0, 0x20, 0, 0xE0]);
    for (what, coded, width, len) in [
        (
            "bits behind a run",
            [run(13, 2), vec![0b111_1001]].concat(),
            16,
            4,
        ),
        (
            "bytes behind the end",
            [ok.clone(), vec![0]].concat(),
            16,
            4,
        ),
        ("a run of nothing", [run(0, 0), ok.clone()].concat(), 16, 4),
        ("more zero bits than bits", run(9, 2), 8, 2),
        ("more fields than the plane", run(16, 3), 16, 4),
        ("fewer fields than the plane", run(16, 1), 16, 4),
        ("half a field", run(16, 1), 16, 3),
        ("another width", run(12, 2), 12, 3),
        ("no width", Vec::new(), 0, 0),
    ] {
        assert!(decoded(&coded, width, len).is_err(), "{what}");
    }
}

proptest! {
    #[test]
    fn mixtures_round_trip(width in widths(), runs in runs(0..300)) {
        round_trip(&plane(&runs, width), width);
    }

    #[test]
    fn any_runs_decode_as_defined(width in widths(), runs in runs(1..60)) {
        let plane = plane(&runs, width);
        let runs: Vec<Run> = runs
            .iter()
            .map(|&(fields, zeros, _)| Run { zeros: zeros.min(width), fields })
            .collect();
        let coded = naive(&runs, &plane, width);
        prop_assert_eq!(decoded(&coded, width, plane.len()).unwrap(), &plane[..]);
    }

    #[test]
    fn no_coarser_runs_are_smaller(
        width in widths(),
        runs in prop::collection::vec((1usize..4, 0u8..=16, any::<u64>()), 1..30),
    ) {
        let runs: Vec<_> = runs
            .iter()
            .map(|&(units, zeros, seed)| (units * DEFAULT_UNIT_BYTES, zeros.min(width), seed))
            .collect();
        let plane = plane(&runs, width);
        let found = find_runs(&plane, width);
        for joined in 1..8 {
            let coarser = runs.chunks(joined).map(|runs| Run {
                zeros: runs.iter().map(|run| run.1).min().unwrap(),
                fields: runs.iter().map(|run| run.0).sum(),
            });
            let coarser = naive(&coarser.collect::<Vec<_>>(), &plane, width);
            // The choice does not count that each run ends with its byte.
            let most = coarser.len() + found.len();
            prop_assert!(naive(&found, &plane, width).len() <= most);
        }
    }

    #[test]
    fn damage_is_an_error_or_a_plane(width in widths(), runs in runs(1..60)) {
        let plane = plane(&runs, width);
        let Some(mut coded) = round_trip(&plane, width) else {
            return Ok(());
        };
        for len in 0..coded.len() {
            prop_assert!(decoded(&coded[..len], width, plane.len()).is_err(), "cut to {}", len);
        }
        for bit in 0..coded.len() * 8 {
            coded[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = decoded(&coded, width, plane.len()) {
                prop_assert_ne!(&other, &plane, "bit {}", bit);
            }
            coded[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn garbage_never_panics(
        coded in prop::collection::vec(prop_oneof![any::<u8>(), Just(0u8)], 0..200),
        width in prop_oneof![widths(), any::<u8>()],
        len in 0usize..200,
    ) {
        let _ = decoded(&coded, width, len);
    }
}
