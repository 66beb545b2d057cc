//! Differences of made-up numbers, near and hostile.

use proptest::prelude::*;

use super::*;
use crate::codec::plane::{Form, Level};
use crate::error::Result;
use crate::simd::Simd;

const BF16: Form = form(2, 8);
const FORMS: [Form; 5] = [BF16, form(2, 5), form(4, 8), form(1, 4), form(1, 5)];

const fn form(bytes: u8, exponent_bits: u8) -> Form {
    Form {
        bytes,
        exponent_bits,
    }
}

/// Numbers about as those of a model, and the same after some training: so much of it in each stretch of 100.
fn family(form: Form, count: usize, scale: f32, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut normal = move || (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0;
    let bits = |value: f32| -> Vec<u8> {
        let all = value.to_bits().to_le_bytes();
        match (form.bytes, form.exponent_bits) {
            (4, _) => all.to_vec(),
            (2, 8) => all[2..].to_vec(),
            (2, _) => half::f16::from_f32(value).to_le_bytes().to_vec(),
            _ => vec![half::f16::from_f32(value).to_le_bytes()[1]],
        }
    };
    let (mut base, mut own) = (Vec::new(), Vec::new());
    let mut change = 0.0;
    for place in 0..count {
        if place % 100 == 0 {
            change = scale * (2.0 * normal()).exp2();
        }
        let number = 0.05 * normal();
        base.extend(bits(number));
        own.extend(bits(number + change * normal()));
    }
    (own, base)
}

fn encoded(level: Level, own: &[u8], base: &[u8], form: Form) -> Vec<u8> {
    let mut coded = vec![7];
    assert!(Encoder::new(level).encode(own, base, form, &mut coded));
    coded.split_off(1)
}

fn decoded(coded: &[u8], base: &[u8], form: Form, simd: Simd) -> Result<Vec<u8>> {
    let mut fields = vec![0; base.len()];
    Decoder::default().decode_into(coded, base, form, simd, &mut fields)?;
    Ok(fields)
}

fn round_trip(own: &[u8], base: &[u8], form: Form) {
    for level in [Level::Default, Level::Max] {
        let coded = encoded(level, own, base, form);
        for simd in Simd::available() {
            assert!(
                decoded(&coded, base, form, simd).unwrap() == own,
                "{form:?}"
            );
        }
    }
}

/// Numbers of any bits, or of those that are at an end: zeros, infinities, no numbers, the least and the greatest.
fn hostile(bytes: u8) -> impl Strategy<Value = u32> {
    let sign = 1u32 << (8 * bytes - 1);
    let exponents =
        [0x7F80_0000, 0x7F80, 0x7C00, 0x78, 0x7C].map(move |bits: u32| bits & (2 * (sign - 1) + 1));
    let ends = [
        0,
        sign,
        1,
        sign | 1,
        sign - 1,
        sign.wrapping_mul(2).wrapping_sub(1),
    ];
    let ends: Vec<u32> = ends
        .into_iter()
        .chain(
            exponents
                .into_iter()
                .flat_map(move |bits| [bits, bits | sign, bits | 1]),
        )
        .collect();
    prop_oneof![any::<u32>(), prop::sample::select(ends)]
}

fn hostile_planes() -> impl Strategy<Value = (Form, Vec<u8>, Vec<u8>)> {
    prop::sample::select(FORMS.to_vec()).prop_flat_map(|form| {
        let numbers =
            prop::collection::vec((hostile(form.bytes), hostile(form.bytes), 0u8..4), 1..700);
        numbers.prop_map(move |numbers| {
            let bytes = usize::from(form.bytes);
            let (mut own, mut base) = (Vec::new(), Vec::new());
            for (one, other, kind) in numbers {
                let one = if kind == 0 {
                    one
                } else {
                    other.wrapping_add(u32::from(kind) - 1)
                };
                own.extend(&one.to_le_bytes()[..bytes]);
                base.extend(&other.to_le_bytes()[..bytes]);
            }
            (form, own, base)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_bits_come_back((form, own, base) in hostile_planes()) {
        round_trip(&own, &base, form);
    }

    #[test]
    fn families_come_back(
        form in prop::sample::select(FORMS.to_vec()),
        count in prop_oneof![1usize..300, 8000usize..8400, 16000usize..17000],
        octave in -20.0f32..0.0,
        seed: u64,
    ) {
        let (own, base) = family(form, count, octave.exp2(), seed);
        round_trip(&own, &base, form);
    }

    /// Damage, or another base: an error or some numbers, the same with all instructions.
    #[test]
    fn damage_is_found_or_gives_numbers(
        form in prop::sample::select(FORMS.to_vec()),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        near_the_start: bool,
        level in prop::sample::select(vec![Level::Default, Level::Max]),
    ) {
        let (own, base) = family(form, 3000, 0.001, 5);
        let mut coded = encoded(level, &own, &base, form);
        for (place, bit) in flips {
            let among = if near_the_start { 100.min(coded.len()) } else { coded.len() };
            coded[place.index(among)] ^= 1 << bit;
        }
        alike(&coded, &base, form);
        alike(&encoded(level, &own, &base, form), &own, form);
    }
}

/// Decodes with all instructions, which come to the same.
fn alike(coded: &[u8], base: &[u8], form: Form) {
    let outcome = |simd| decoded(coded, base, form, simd).map_err(|error| error.to_string());
    let expected = outcome(Simd::PORTABLE);
    for simd in Simd::available() {
        assert!(outcome(simd) == expected, "{}", simd.name());
    }
}

#[test]
fn what_is_cut_off_is_missed() {
    for level in [Level::Default, Level::Max] {
        let (own, base) = family(BF16, 1000, 0.001, 2);
        let coded = encoded(level, &own, &base, BF16);
        for len in 0..coded.len() {
            assert!(decoded(&coded[..len], &base, BF16, Simd::detect()).is_err());
        }
        let longer = [&coded[..], &[0]].concat();
        assert!(decoded(&longer, &base, BF16, Simd::detect()).is_err());
    }
}

#[test]
fn a_header_that_lies_is_found() {
    let (own, base) = family(BF16, 1000, 0.001, 2);
    let coded = encoded(Level::Max, &own, &base, BF16);
    for place in 0..layout::HEADER_BYTES + 40 {
        for value in 0..=255 {
            let mut coded = coded.clone();
            coded[place] = value;
            alike(&coded, &base, BF16);
        }
    }
}

#[test]
fn what_cannot_be_coded_is_left_alone() {
    let mut out = vec![7];
    let mut encoder = Encoder::new(Level::Default);
    for (own, base, form) in [
        (vec![], vec![], BF16),
        (vec![0; 4], vec![0; 6], BF16),
        (vec![0; 3], vec![0; 3], BF16),
        (vec![0; 8], vec![0; 8], form(8, 8)),
        (vec![0; 8], vec![0; 8], form(2, 0)),
        (vec![0; 8], vec![0; 8], form(1, 8)),
        (vec![0; 8], vec![0; 8], form(4, 9)),
    ] {
        assert!(!encoder.encode(&own, &base, form, &mut out));
        assert_eq!(out, [7]);
        assert!(decoded(&[0; 64], &base, form, Simd::detect()).is_err());
    }
    // A base of another length than the plane.
    let (own, base) = family(BF16, 1000, 0.001, 2);
    let coded = encoded(Level::Default, &own, &base, BF16);
    let mut fields = vec![0; own.len()];
    let wrong =
        Decoder::default().decode_into(&coded, &base[2..], BF16, Simd::detect(), &mut fields);
    assert!(wrong.is_err());
}

#[test]
fn every_difference_has_its_id() {
    let ends = (4..32).flat_map(|bit| {
        [
            1u32 << bit,
            (1 << bit) + 1,
            u32::MAX >> (31 - bit),
            3 << (bit - 1),
        ]
    });
    for difference in ends.filter(|&difference| difference >= u32::from(layout::DIRECT)) {
        let (id, low, low_bits) = layout::parts(difference);
        let (top, again) = layout::top(id);
        assert_eq!(low_bits, again);
        assert_eq!(top << low_bits | u64::from(low), u64::from(difference));
    }
}

/// Runs that were trained, and such that were not, are told apart; where each run has some of both, they are not.
#[test]
fn runs_with_scales_take_less() {
    const RUN: usize = 2 * 128;
    let (own, base) = family(BF16, 60_000, 0.0005, 3);
    let (mut apart, mut mixed) = (base.clone(), base.clone());
    for (place, own) in own.chunks_exact(2).enumerate() {
        let changed = |every: usize| (place / every).is_multiple_of(2);
        for (into, every) in [(&mut apart, RUN), (&mut mixed, 1)] {
            if changed(every) {
                into[2 * place..2 * place + 2].copy_from_slice(own);
            }
        }
    }
    for level in [Level::Default, Level::Max] {
        let [apart, mixed] = [&apart, &mixed].map(|own| encoded(level, own, &base, BF16).len());
        assert!(20 * apart < 19 * mixed, "{apart} of {mixed}");
    }
    // Nothing is changed: next to nothing is stored.
    let equal = encoded(Level::Default, &base, &base, BF16).len();
    assert!(equal < 600, "{equal}");
}

/// Each bit of small planes of all forms.
#[test]
fn any_bit_may_be_wrong() {
    for form in FORMS {
        for level in [Level::Default, Level::Max] {
            let (own, base) = family(form, 400, 0.01, 6);
            let sound = encoded(level, &own, &base, form);
            for bit in 0..8 * sound.len() {
                let mut coded = sound.clone();
                coded[bit / 8] ^= 1 << (bit % 8);
                alike(&coded, &base, form);
            }
        }
    }
}

/// Lengths that say there is more than there is, or as much as can be said.
#[test]
fn lengths_that_lie_are_found() {
    let (own, base) = family(BF16, 1000, 0.001, 2);
    let sound = encoded(Level::Default, &own, &base, BF16);
    for (place, bytes) in [(5, 2), (7, 2), (9, 4), (13, 4)] {
        for lie in [u32::MAX, 0x7FFF_FFFF, 0xFFFE, 0x8000, 1001, 257] {
            let mut coded = sound.clone();
            coded[place..place + bytes].copy_from_slice(&lie.to_le_bytes()[..bytes]);
            assert!(decoded(&coded, &base, BF16, Simd::detect()).is_err());
        }
    }
}

/// Ids that no encoder makes, with all bits set below them.
#[test]
fn ids_beyond_numbers_are_found() {
    let (own, base) = family(form(4, 8), 2000, 100.0, 2);
    let sound = encoded(Level::Default, &own, &base, form(4, 8));
    for from in layout::HEADER_BYTES..layout::HEADER_BYTES + 60 {
        let mut coded = sound.clone();
        coded[from..].fill(0xFF);
        alike(&coded, &base, form(4, 8));
    }
}
