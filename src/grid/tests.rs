//! Bounds, over numbers that are hard to keep them for.
#![expect(clippy::cast_possible_truncation, reason = "made-up numbers")]

use proptest::prelude::*;

use super::*;
use crate::format::{ElementType, GridHeader};
use crate::simd::Simd;

/// Bits of numbers of a type: weights of many sizes, and what weights never are.
fn numbers(element: ElementType) -> impl Strategy<Value = Vec<u8>> {
    let bytes = usize::from(element.bytes());
    let number = (0u8..12, any::<u64>(), -1.0f64..1.0, -40i32..8);
    prop::collection::vec(number, 1..400).prop_map(move |numbers| {
        let mut all = Vec::new();
        for (which, bits, mantissa, exponent) in numbers {
            let value = mantissa * f64::from(exponent).exp2();
            let value = match which {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => -0.0,
                3 => f64::MAX,
                4 | 5 => {
                    // Any bits: payloads, subnormal numbers, the greatest.
                    all.extend(&bits.to_le_bytes()[..bytes]);
                    continue;
                }
                6 => f64::from(exponent),
                _ => value * 0.05,
            };
            match element {
                ElementType::Bf16 => all.extend(half::bf16::from_f64(value).to_le_bytes()),
                ElementType::F16 => all.extend(half::f16::from_f64(value).to_le_bytes()),
                ElementType::F32 => all.extend(number::narrow(value).to_le_bytes()),
                _ => all.extend(value.to_le_bytes()),
            }
        }
        all
    })
}

fn is_kept(bound: f64, value: f64, served: f64, source: &[u8], got: &[u8]) -> bool {
    source == got || (served - value).abs() <= bound
}

fn check(element: ElementType, bytes: &[u8], treatment: Treatment, row: u32, cut: (usize, usize)) {
    let width = usize::from(element.bytes());
    let elements = bytes.len() / width;
    let from = cut.0 % elements;
    let count = 1 + cut.1 % (elements - from);
    let run = from as u64..(from + count) as u64;
    let whole = treatment.whole_parts(row.into(), run, elements as u64);
    let (start, end) = (whole.start as usize, whole.end as usize);
    let parts = PartsOf {
        bytes: &bytes[start * width..end * width],
        before: from - start,
        row,
        first_column: from as u32 % row,
    };
    let mut quantizer = Quantizer::default();
    let Some(levels) = quantizer.quantize(element, &treatment, parts, count) else {
        return;
    };
    // What is decoded is what was said to be.
    let source = &bytes[from * width..(from + count) * width];
    let mut header = Vec::new();
    levels.grid.encode_to(&mut header);
    let grid = GridHeader::parse(element, levels.grid.kind.code(), &header, count).unwrap();
    let planes = if levels.low.is_empty() {
        LevelPlanes::of_one(&levels.fields, levels.width)
    } else {
        LevelPlanes::Wide(&levels.low, levels.fields.as_chunks().0)
    };
    let mut restored = vec![0; source.len()];
    for simd in Simd::available() {
        let before = restored.clone();
        Restorer::default().restore(simd, &grid, &levels.scales, planes, &mut restored);
        assert!(before == restored || before.iter().all(|&byte| byte == 0));
    }
    for exception in levels.exceptions.chunks(grid.exception_bytes()) {
        let place = u32::from_le_bytes(exception[..4].try_into().unwrap()) as usize;
        restored[place * width..][..width].copy_from_slice(&exception[4..]);
    }
    assert_eq!(restored, levels.served);
    if levels.grid.kind.scale_bits(element).is_some() {
        let scale = usize::from(grid.kind.scale_bits(element).unwrap()) / 8;
        assert_eq!(levels.scales.len(), grid.parts.count(count) * scale);
    }
    let (mut all, mut given, mut got) = (Vec::new(), Vec::new(), Vec::new());
    values(Simd::detect(), element, bytes, &mut all);
    values(Simd::detect(), element, source, &mut given);
    values(Simd::detect(), element, &restored, &mut got);
    let pairs = given.iter().zip(&got).enumerate();
    for (i, (&value, &served)) in pairs {
        let (from_bytes, to_bytes) = (
            &source[i * width..][..width],
            &restored[i * width..][..width],
        );
        let row_of = (from + i) / row as usize * row as usize;
        let row_values = &all[row_of..(row_of + row as usize).min(elements)];
        let finite: Vec<f64> = row_values
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .collect();
        let bound = match treatment {
            Treatment::Bounded { bound, .. } => match bound {
                Bound::Absolute(bound) => bound,
                Bound::Pointwise(bound) => bound * value.abs(),
                Bound::Row(ratio) => {
                    let square: f64 = finite.iter().map(|v| v * v).sum();
                    ratio * (square / finite.len().max(1) as f64).sqrt()
                }
            },
            Treatment::Groups { .. } => f64::INFINITY,
        };
        assert!(
            is_kept(bound, value, served, from_bytes, to_bytes),
            "{element:?} {treatment:?}: {value} is served as {served}, bound {bound}"
        );
        if !value.is_finite() {
            assert_eq!(from_bytes, to_bytes);
        }
    }
}

const TYPES: [ElementType; 4] = [
    ElementType::Bf16,
    ElementType::F16,
    ElementType::F32,
    ElementType::F64,
];

fn treatments() -> impl Strategy<Value = Treatment> {
    let bound = (-24.0f64..2.0).prop_map(f64::exp2);
    let bounded = (0u8..3, bound).prop_map(|(which, bound)| Treatment::Bounded {
        bound: match which {
            0 => Bound::Absolute(bound),
            1 => Bound::Row(bound),
            _ => Bound::Pointwise(bound.min(0.99)),
        },
        typical: 0.05,
    });
    let groups = (prop::sample::select(vec![7, 127]), 1u32..200, any::<bool>()).prop_map(
        |(most, group, least_squares)| Treatment::Groups {
            most,
            group,
            fit: if least_squares {
                ScaleFit::LeastSquares
            } else {
                ScaleFit::Max
            },
        },
    );
    prop_oneof![3 => bounded, 1 => groups]
}

proptest! {
    #[test]
    fn bounds_are_kept_by_every_number(
        (element, bytes) in prop::sample::select(&TYPES[..])
            .prop_flat_map(|element| (Just(element), numbers(element))),
        treatment in treatments(),
        row in 1u32..100,
        cut in (0usize..400, 0usize..400),
    ) {
        check(element, &bytes, treatment, row, cut);
    }
}

#[test]
fn a_cover_has_the_numbers_that_are_needed() {
    // Of integers, which those of BF16 are from 128 to 256, every third.
    let cover = cover::magnitudes(ElementType::Bf16, cover::Reach::Absolute(1.9), usize::MAX);
    let values: Vec<f64> = cover
        .iter()
        .map(|&bits| number::magnitude(ElementType::Bf16, bits))
        .filter(|value| (130.0..250.0).contains(value))
        .collect();
    assert!(
        values.windows(2).all(|pair| pair[1] - pair[0] == 3.0),
        "{values:?}"
    );
    // From 512 on they are four and more apart.
    let all = cover
        .iter()
        .filter(|&&bits| bits >= half::bf16::from_f32(512.0).to_bits());
    assert_eq!(
        all.count(),
        usize::from(0x7F80 - half::bf16::from_f32(512.0).to_bits())
    );
}
