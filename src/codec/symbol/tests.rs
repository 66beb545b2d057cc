//! Every kernel against the definition.

use proptest::prelude::*;

use super::cut_parts::Parts;
use super::decode::join;
use super::encode::cut;
use super::exceptions::{apply_exceptions, put_exceptions};
use super::split::{Raw, Split};
use crate::simd::Simd;

/// Joins element by element, by the definition.
fn naive_join(split: Split, ids: &[u8], raw: Raw<'_>) -> Vec<u8> {
    let bit = |bytes: &[u8], at: usize| u16::from(bytes[at / 8] >> (at % 8) & 1);
    let mut fields = Vec::new();
    for (i, &id) in ids.iter().enumerate() {
        let mut value = u32::from(split.symbol(id)) << split.raw_bits;
        if split.raw_bits >= 8 {
            value |= u32::from(raw.low[i]);
        }
        for j in 0..split.packed_bits() {
            let at = i * usize::from(split.packed_bits()) + usize::from(j);
            value |= u32::from(bit(raw.packed, at)) << (split.raw_bits - split.packed_bits() + j);
        }
        let [low, high, ..] = value.to_le_bytes();
        let field = split.rotate_back(u16::from_le_bytes([low, high]));
        fields.extend(&field.to_le_bytes()[..usize::from(split.width / 8)]);
    }
    fields
}

fn splits() -> impl Strategy<Value = Split> {
    prop::sample::select(vec![8u8, 16]).prop_flat_map(|width| {
        // Of a base of zero there are kernels of their own.
        let base = prop_oneof![Just(0), any::<u16>()];
        (Just(width), 0u8..=1, 0..width, base).prop_map(|(width, rotate, raw_bits, base)| Split {
            width,
            rotate,
            raw_bits,
            base: base >> raw_bits,
        })
    })
}

proptest! {
    #[test]
    fn every_kernel_joins_by_the_definition(
        split in splits(),
        ids in prop::collection::vec(any::<u8>(), 0..700),
        noise in prop::collection::vec(any::<u8>(), 1400),
        spare in 0usize..200,
    ) {
        let raw = Raw {
            low: &noise[..split.low_bytes(ids.len()) + spare.min(80)],
            packed: &noise[..split.packed_bytes(ids.len()) + spare],
        };
        let expected = naive_join(split, &ids, raw);
        for simd in Simd::available() {
            let mut fields = vec![0x55; expected.len()];
            join(split, simd, &ids, raw, &mut fields);
            prop_assert_eq!(&fields, &expected, "{}", simd.name());
        }
    }

    #[test]
    fn planes_come_back(
        split in splits(),
        plane in prop::collection::vec(any::<u8>(), 0..700),
        most_id: u8,
    ) {
        let plane = &plane[..plane.len() / 2 * 2];
        let mut parts = Parts {
            simd: Simd::PORTABLE,
            ..Parts::default()
        };
        cut(&mut parts, split, most_id, most_id, plane);
        for simd in Simd::available() {
            let mut same = Parts { simd, ..Parts::default() };
            cut(&mut same, split, most_id, most_id, plane);
            same.simd = Simd::PORTABLE;
            prop_assert_eq!(&same, &parts, "{}", simd.name());
        }
        prop_assert!(parts.ids.iter().all(|&id| id <= most_id));
        let mut fields = vec![0; plane.len()];
        let raw = Raw { low: &parts.low, packed: &parts.packed };
        let count = parts.ids.len();
        prop_assert_eq!(parts.low.len(), split.low_bytes(count));
        prop_assert_eq!(parts.packed.len(), split.packed_bytes(count));
        join(split, Simd::detect(), &parts.ids, raw, &mut fields);
        let mut list = Vec::new();
        put_exceptions(&parts.exceptions, &mut list);
        apply_exceptions(split, &list, &mut fields).unwrap();
        prop_assert_eq!(&fields, plane);
        let outside = u32::try_from(count).unwrap();
        list.clear();
        put_exceptions(&[(outside, 0)], &mut list);
        prop_assert!(apply_exceptions(split, &list, &mut fields).is_err());
    }
}
