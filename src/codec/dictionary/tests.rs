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
