use super::layout::MAX_VALUES;
use super::*;
use proptest::prelude::*;

use crate::codec::{Coded, Content, Context, Decoder, Encoder, Hints, Level, Method, PlaneShape};
use crate::format::CodecId;
use crate::simd::Simd;

fn coded(bytes: &[u8], count: usize) -> Coded<'_> {
    Coded {
        bytes,
        shape: PlaneShape { width: 16, count },
        context: Context::NONE,
        simd: Simd::detect(),
    }
}

proptest! {
    #[test]
    fn planes_of_few_values_are_coded_by_them_and_come_back(
        values in prop::collection::btree_set(any::<u16>(), 2..600),
        seed: u64,
    ) {
        let values: Vec<u16> = values.into_iter().collect();
        let mut random = fastrand::Rng::with_seed(seed);
        let fields: Vec<u16> = (0..20_000).map(|_| values[random.usize(..values.len())]).collect();
        let plane: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        prop_assert_eq!(distinct(&plane).unwrap(), values);
        let mut encoder = Encoder::new(Method::Weights, Level::Default, None).unwrap();
        let mut stored = Vec::new();
        let shape = PlaneShape { width: 16, count: fields.len() };
        let codec = encoder.encode(&plane, shape, Content::Scale, Hints::default(), &mut stored).unwrap();
        prop_assert_eq!(codec, CodecId::Dictionary);
        let mut back = vec![0; plane.len()];
        Decoder::new()
            .unwrap()
            .decode_into(codec, &coded(&stored, fields.len()), &mut back)
            .unwrap();
        prop_assert_eq!(back, plane);
    }

    /// Also where one gap is far wider than all others.
    #[test]
    fn lists_of_any_gaps_come_back(first in 0u16..40_000, step in 1u16..8, count in 2u16..1900) {
        let half = (0..count).map(|i| first % 0x4000 + i * step);
        let values: Vec<u16> = half.clone().chain(half.map(|value| value | 0x8000)).collect();
        let mut list = Vec::new();
        put_values(&values, CodecId::Raw, &mut list);
        let mut found = Values::default();
        prop_assert!(found.take(&coded(&list, 0)).is_ok());
        let places: Vec<u8> = (0..2 * count).flat_map(|place| match values.len() {
            ..=256 => vec![place.to_le_bytes()[0]],
            _ => place.to_le_bytes().to_vec(),
        }).collect();
        let mut plane = vec![0; 2 * values.len()];
        found.fill(&places, &mut plane).unwrap();
        let expected: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        prop_assert_eq!(plane, expected);
    }

    #[test]
    fn a_list_of_values_is_hostile(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut values = Values::default();
        if values.take(&coded(&bytes, 100)).is_ok() {
            let mut plane = vec![0; 200];
            let _ = values.fill(&bytes, &mut plane);
        }
    }
}

#[test]
fn more_values_than_a_list_may_have_are_none() {
    let plane: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    assert!(distinct(&plane).is_none());
    assert_eq!(
        distinct(&plane[..2 * MAX_VALUES]).unwrap().len(),
        MAX_VALUES
    );
}
