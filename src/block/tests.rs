//! Blocks come back, damaged ones are told.
#![expect(clippy::cast_possible_truncation, reason = "made-up numbers")]

use proptest::prelude::*;

use super::{BlockDecoder, BlockEncoder};
use crate::codec::{Level, Method};
use crate::format::{BlockHeader, CodecId, ElementType, Fidelity, PlaneHeader, Profiles, checksum};
use crate::plane::{Field, split};

fn encode(bytes: &[u8], element: ElementType, level: Level) -> Vec<u8> {
    let mut stored = Vec::new();
    BlockEncoder::new(level)
        .unwrap()
        .encode(bytes, element, &[], &mut stored)
        .unwrap();
    stored
}

fn decode(stored: &[u8], bytes: &[u8]) -> crate::error::Result<Vec<u8>> {
    let mut decoded = vec![0x5A; bytes.len()];
    BlockDecoder::new()?.decode_into(stored, checksum(bytes), Profiles::NONE, &mut decoded)?;
    Ok(decoded)
}

/// Bytes that look like weights: narrow exponents and noise.
fn weights() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((any::<u8>(), 0x3cu8..0x3f), 0..600).prop_map(|pairs| {
        pairs
            .into_iter()
            .flat_map(|(low, high)| [low, high])
            .collect()
    })
}

proptest! {
    /// Nothing but an option that asks for it makes anything else, and there is no such option.
    #[test]
    fn whatever_is_encoded_is_exact(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            weights(),
            (any::<u8>(), 0usize..600).prop_map(|(byte, len)| vec![byte; len]),
        ],
        element in prop::sample::select(ElementType::ALL),
        method in prop::sample::select(Method::offered().collect::<Vec<_>>()),
        level in prop::sample::select(Level::ALL.to_vec()),
    ) {
        let mut stored = Vec::new();
        let encoded = BlockEncoder::with_method(method, level, None)
            .unwrap()
            .encode(&bytes, element, &[], &mut stored)
            .unwrap();
        prop_assert!(stored.len() <= bytes.len() + 16);
        prop_assert_eq!(encoded.fidelity, Fidelity::Exact);
        prop_assert_eq!(encoded.decoded_checksum, checksum(&bytes));
        prop_assert_eq!(decode(&stored, &bytes).unwrap(), bytes);
    }

    #[test]
    fn every_element_type_and_length_round_trips(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(0u8..2, 0..600),
            weights(),
            (any::<u8>(), 0usize..600).prop_map(|(byte, len)| vec![byte; len]),
        ],
        element in prop::sample::select(ElementType::ALL),
        level in prop::sample::select(vec![Level::Fast, Level::Default, Level::Max]),
    ) {
        let stored = encode(&bytes, element, level);
        prop_assert!(stored.len() <= bytes.len() + 16);
        prop_assert_eq!(decode(&stored, &bytes).unwrap(), bytes);
    }
}

#[test]
fn a_block_of_one_value_takes_a_few_bytes() {
    let zeros = vec![0; 256 * 1024];
    assert!(encode(&zeros, ElementType::F32, Level::Default).len() <= 32);
    let ones = 1f32.to_le_bytes().repeat(64 * 1024);
    assert!(encode(&ones, ElementType::F32, Level::Default).len() <= 64);
}

#[test]
fn planes_of_any_bit_fields_decode() {
    // Exponent with the top two mantissa bits beside the rest with the sign: a tiling that the
    // encoder does not use yet and the format must carry.
    let bytes: Vec<u8> = (0..2000u32)
        .flat_map(|i| (i.wrapping_mul(40_503) as u16).to_le_bytes())
        .collect();
    let mut header = BlockHeader::new(2, 1);
    let mut planes = Vec::new();
    for field in [
        Field { shift: 0, width: 6 },
        Field {
            shift: 6,
            width: 10,
        },
    ] {
        let mut plane = Vec::new();
        split(&bytes, 2, 1, field, &mut plane);
        header.push(PlaneHeader {
            codec: CodecId::Raw,
            shift: field.shift,
            width: field.width,
            stored_len: u32::try_from(plane.len()).unwrap(),
        });
        planes.extend(plane);
    }
    let mut stored = Vec::new();
    header.encode_to(&mut stored);
    stored.extend(planes);
    assert_eq!(decode(&stored, &bytes).unwrap(), bytes);
}

#[test]
fn every_flipped_bit_and_every_truncation_gives_an_error_or_the_right_bytes() {
    let bf16: Vec<u8> = (0..300u32)
        .flat_map(|i| {
            [
                (i.wrapping_mul(0x9E37_79B1) >> 24) as u8,
                0x3c + (i % 3) as u8,
            ]
        })
        .chain([7])
        .collect();
    flip_and_cut(&encode(&bf16, ElementType::Bf16, Level::Default), &bf16, 1);
}

#[test]
fn every_flipped_bit_of_levels_coded_by_groups_gives_an_error_or_the_right_bytes() {
    let mut records = Vec::new();
    for i in 0..700u32 {
        // Where the step is small beside those around, levels are anything, elsewhere nearly always the same.
        let is_small = i % 3 == 0;
        records.extend([0, if is_small { 0x20 } else { 0x38 }]);
        records.extend((0..16u32).map(|j| {
            let noise = (i * 16 + j).wrapping_mul(0x9E37_79B1) >> 24;
            if is_small {
                noise as u8
            } else {
                0x88 + u8::from(noise < 9)
            }
        }));
    }
    let stored = encode(&records, ElementType::Q4_0, Level::Default);
    let header = BlockHeader::parse(&stored, records.len()).unwrap();
    assert_eq!(header.planes().last().unwrap().codec, CodecId::Grouped);
    // Header, tables and states are in front; words are one like the other.
    flip_and_cut(&stored, &records, 31);
}

/// Flips every bit of the first 700 bytes, and one in so many of the others; cuts everywhere.
fn flip_and_cut(stored: &[u8], bytes: &[u8], one_in: usize) {
    let mut decoder = BlockDecoder::new().unwrap();
    let mut decode = |stored: &[u8]| {
        let mut decoded = vec![0x5A; bytes.len()];
        decoder
            .decode_into(stored, checksum(bytes), Profiles::NONE, &mut decoded)
            .map(|()| decoded)
    };
    let front = stored.len().min(700) * 8;
    for bit in (0..front).chain((front..stored.len() * 8).step_by(one_in)) {
        let mut stored = stored.to_vec();
        stored[bit / 8] ^= 1 << (bit % 8);
        if let Ok(decoded) = decode(&stored) {
            assert!(decoded == bytes, "bit {bit}");
        }
    }
    for len in 0..stored.len() {
        assert!(decode(&stored[..len]).is_err(), "cut to {len}");
    }
}

/// Weights of about the deviation 1, no further than 6 from zero.
fn gaussian(rng: &mut fastrand::Rng, count: usize) -> Vec<f32> {
    let weight = |_| (0..12).map(|_| rng.f32() - 0.5).sum();
    (0..count).map(weight).collect()
}

/// What coding fields by their frequencies takes, in bytes.
fn order_0_bytes(fields: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for &field in fields {
        counts[usize::from(field)] += 1;
    }
    let all = fields.len() as f64;
    let bits = |&count: &u32| f64::from(count) * (all / f64::from(count.max(1))).log2();
    counts.iter().map(bits).sum::<f64>() / 8.0
}

/// Nibbles, two in a byte, the first one in the low bits.
fn packed(nibbles: &[u8]) -> Vec<u8> {
    let pair = |pair: &[u8; 2]| pair[0] | pair[1] << 4;
    nibbles.as_chunks::<2>().0.iter().map(pair).collect()
}

/// Levels from 0 to 15 for weights of which groups of 128 have a scale each.
fn nibbles(weights: &[f32], middle: f32) -> Vec<u8> {
    let levels_of = |group: &[f32]| {
        let most = group.iter().fold(0f32, |most, w| most.max(w.abs()));
        let level = |w: &f32| (w / most * 7.5 + middle).round().clamp(0.0, 15.0) as u8;
        group.iter().map(level).collect::<Vec<_>>()
    };
    weights.chunks(128).flat_map(levels_of).collect()
}

const BLOCK: usize = 256 * 1024;

/// Blocks of quantized weights as files of safetensors have them, and the entropy of their fields.
fn quantized() -> Vec<(&'static str, ElementType, Vec<u8>, f64)> {
    let rng = &mut fastrand::Rng::with_seed(14);
    let weights = gaussian(rng, 2 * BLOCK);
    let with_nibbles =
        |name, element, nibbles: &[u8]| (name, element, packed(nibbles), order_0_bytes(nibbles));
    let int8: Vec<u8> = (weights[..BLOCK].iter())
        .map(|w| ((w * 30.0).round() as i8).cast_unsigned())
        .collect();
    // Most rows of one scale for all are small beside a few columns.
    let narrow: Vec<u8> = (weights[..BLOCK].iter().enumerate())
        .map(|(i, w)| if i % 200 == 0 { w * 20.0 } else { *w })
        .map(|w| ((w * 1.2).round() as i8).cast_unsigned())
        .collect();
    // E2M1 with groups of 32, each followed by its exponent.
    let codes: Vec<u8> = nibbles(&weights, 0.0)
        .iter()
        .zip(&weights)
        .map(|(size, w)| size.min(&7) | u8::from(*w < 0.0) << 3)
        .collect();
    let scales: Vec<u8> = (0..BLOCK / 16).map(|_| 118 + rng.u8(..4) / 2).collect();
    let blocks = codes[..2 * (BLOCK - scales.len())].to_vec();
    let mxfp4 = [packed(&blocks), scales.clone()].concat();
    let of_mxfp4 = order_0_bytes(&blocks) + order_0_bytes(&scales);
    // Zeros that are all the same, and numbers of groups, between the weights of two matrices.
    let gptq = nibbles(&weights[..2 * BLOCK - (80 << 10)], 8.0);
    let zeros = vec![0x77; 32 << 10];
    let groups: Vec<u8> = (0..2048u32).flat_map(|i| (i / 128).to_le_bytes()).collect();
    let (before, after) = gptq.split_at(BLOCK);
    let of_gptq = order_0_bytes(&gptq);
    let gptq = [packed(before), zeros, groups, packed(after)].concat();
    vec![
        (
            "int8 by row",
            ElementType::I8,
            int8.clone(),
            order_0_bytes(&int8),
        ),
        (
            "int8 by tensor",
            ElementType::I8,
            narrow.clone(),
            order_0_bytes(&narrow),
        ),
        ("GPTQ", ElementType::I32, gptq, of_gptq),
        with_nibbles("AWQ", ElementType::I32, &nibbles(&weights, 6.0)),
        with_nibbles("NF4", ElementType::U8, &nibbles(&weights, 7.0)),
        ("MXFP4", ElementType::U8, mxfp4, of_mxfp4),
    ]
}

#[test]
fn quantized_weights_take_next_to_the_entropy_of_their_fields() {
    for (name, element, bytes, entropy) in quantized() {
        assert_eq!(bytes.len(), BLOCK, "{name}");
        // A table or two, and the states of ANS.
        let most = entropy * 1.002 + 1536.0;
        for level in [Level::Default, Level::Max] {
            let stored = encode(&bytes, element, level);
            let len = stored.len();
            assert!(len as f64 <= most, "{name} {level:?}: {len} of {entropy}");
            assert_eq!(decode(&stored, &bytes).unwrap(), bytes, "{name}");
        }
    }
}

#[test]
fn a_sign_that_next_to_all_floats_have_costs_nothing() {
    let rng = &mut fastrand::Rng::with_seed(15);
    let scales: Vec<f32> = gaussian(rng, 1 << 16).iter().map(|w| w.exp2()).collect();
    let len = |scales: &[f32]| {
        let bytes: Vec<u8> = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        let stored = encode(&bytes, ElementType::F32, Level::Default);
        assert_eq!(decode(&stored, &bytes).unwrap(), bytes);
        stored.len()
    };
    let of_positive = len(&scales);
    let mut some_negative = scales.clone();
    for i in (0..some_negative.len()).step_by(5000) {
        some_negative[i] *= -1.0;
    }
    let of_some_negative = len(&some_negative);
    let either: Vec<f32> = scales
        .iter()
        .map(|s| if rng.bool() { *s } else { -*s })
        .collect();
    let of_either = len(&either);
    let signs = scales.len() / 8;
    assert!(of_positive + signs * 9 / 10 < of_either);
    assert!(of_some_negative < of_positive + 512);
}

#[test]
fn integers_that_repeat_are_matched() {
    // Each value again and again, far apart and in no order: single bytes have nothing to say.
    let rng = &mut fastrand::Rng::with_seed(16);
    let rows: Vec<Vec<u8>> = (0..8)
        .map(|_| (0..512).map(|_| rng.u8(..)).collect())
        .collect();
    let bytes: Vec<u8> = (0..BLOCK / 512)
        .flat_map(|_| rows[rng.usize(..8)].clone())
        .collect();
    for element in [
        ElementType::U8,
        ElementType::I16,
        ElementType::I32,
        ElementType::I64,
    ] {
        for level in Level::ALL {
            let stored = encode(&bytes, element, level);
            assert!(
                stored.len() < BLOCK / 20,
                "{element:?} {level:?}: {}",
                stored.len()
            );
            assert_eq!(decode(&stored, &bytes).unwrap(), bytes);
        }
    }
}
