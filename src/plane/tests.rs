//! Planes against their definition, bit by bit.

use super::*;
use proptest::prelude::*;

/// The definition, bit by bit.
fn naive_split(elements: &[u8], element_bytes: u8, rotate: u8, field: Field) -> Vec<u8> {
    let bits = u32::from(element_bytes) * 8;
    let mut plane = vec![0; plane_bytes(elements.len() / usize::from(element_bytes), field.width)];
    let mut at = 0;
    for element in elements.chunks_exact(usize::from(element_bytes)) {
        for bit in 0..u32::from(field.width) {
            let source = (u32::from(field.shift) + bit + bits - u32::from(rotate)) % bits;
            let value = element[source as usize / 8] >> (source % 8) & 1;
            plane[at / 8] |= value << (at % 8);
            at += 1;
        }
    }
    plane
}

/// Element width, rotation and a tiling by fields.
fn shapes() -> impl Strategy<Value = (u8, u8, Vec<Field>)> {
    prop::sample::select(vec![1u8, 2, 4, 8]).prop_flat_map(|element_bytes| {
        let bits = element_bytes * 8;
        let cuts = prop::collection::btree_set(1..bits, 0..8);
        let bytes = Just((1..element_bytes).map(|i| i * 8).collect());
        let pairs = Just((1..element_bytes / 2).map(|i| i * 16).collect());
        (
            Just(element_bytes),
            0..bits,
            prop_oneof![cuts, bytes, pairs],
        )
            .prop_map(move |(element_bytes, rotate, mut cuts)| {
                cuts.insert(bits);
                let mut shift = 0;
                let fields = cuts
                    .iter()
                    .map(|&end| {
                        let field = Field {
                            shift,
                            width: end - shift,
                        };
                        shift = end;
                        field
                    })
                    .collect();
                (element_bytes, rotate, fields)
            })
    })
}

proptest! {
    #[test]
    fn planes_are_as_defined_and_interleave_back(
        (element_bytes, rotate, fields) in shapes(),
        mut elements in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        elements.truncate(elements.len() / usize::from(element_bytes) * usize::from(element_bytes));
        let mut planes = Vec::new();
        for &field in &fields {
            let mut plane = vec![1, 2, 3];
            split(&elements, element_bytes, rotate, field, &mut plane);
            prop_assert_eq!(&plane, &naive_split(&elements, element_bytes, rotate, field));
            planes.push(plane);
        }
        let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let mut back = vec![0xAA; elements.len()];
        interleave(&planes, &fields, element_bytes, rotate, &mut back);
        prop_assert_eq!(back, elements);
    }
}
