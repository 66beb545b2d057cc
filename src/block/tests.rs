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
    let stored = encode(&bf16, ElementType::Bf16, Level::Default);
    for bit in 0..stored.len() * 8 {
        let mut stored = stored.clone();
        stored[bit / 8] ^= 1 << (bit % 8);
        if let Ok(decoded) = decode(&stored, &bf16) {
            assert_eq!(decoded, bf16, "bit {bit}");
        }
    }
    for len in 0..stored.len() {
        assert!(decode(&stored[..len], &bf16).is_err(), "cut to {len}");
    }
}
