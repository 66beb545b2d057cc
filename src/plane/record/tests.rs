use super::*;
use proptest::prelude::*;

#[test]
fn streams_have_all_bits_of_a_record() {
    for &layout in RecordLayout::ALL {
        let bytes = layout.bytes();
        let mut seen = vec![false; bytes * 8];
        // Each bit alone changes some field, and no other bit changes the same one in the same way.
        let zero = vec![0; bytes];
        let mut planes = Vec::new();
        layout.take(&zero, &mut planes);
        let of_zero = planes.concat();
        let mut changed = std::collections::HashSet::new();
        for (bit, seen) in seen.iter_mut().enumerate() {
            let mut record = zero.clone();
            record[bit / 8] ^= 1 << (bit % 8);
            layout.take(&record, &mut planes);
            let now = planes.concat();
            let difference: Vec<_> = (0..now.len()).filter(|&i| now[i] != of_zero[i]).collect();
            assert_eq!(difference.len(), 1, "{layout:?}");
            let at = difference[0];
            *seen = changed.insert((at, now[at] ^ of_zero[at]));
        }
        assert!(seen.iter().all(|&seen| seen), "{layout:?}");
    }
}

#[test]
fn packings_are_those_of_the_quantizer() {
    let of = |layout: RecordLayout| -> Vec<(u8, u8)> {
        let packings = layout.packings();
        packings.iter().map(|p| (p.fields, p.bits)).collect()
    };
    // By what the fields are worth, however their streams are packed.
    let bits = |layout: RecordLayout| -> Vec<u8> { of(layout).iter().map(|p| p.1).collect() };
    assert_eq!(bits(RecordLayout::Q8_0), [16, 8]);
    assert_eq!(bits(RecordLayout::Q4_0), [16, 4]);
    assert_eq!(bits(RecordLayout::Q4_1), [16, 16, 4]);
    assert_eq!(bits(RecordLayout::Q5_1), [16, 16, 5]);
    assert_eq!(bits(RecordLayout::Q2K), [8, 2, 16, 16]);
    assert_eq!(bits(RecordLayout::Q3K), [3, 6, 16]);
    assert_eq!(bits(RecordLayout::Q4K), [16, 16, 6, 6, 4]);
    assert_eq!(bits(RecordLayout::Q5K), [16, 16, 6, 6, 5]);
    assert_eq!(bits(RecordLayout::Q6K), [6, 8, 16]);
    assert_eq!(bits(RecordLayout::Iq4Xs), [16, 6, 4]);
    assert_eq!(bits(RecordLayout::Mxfp4), [8, 4]);
    assert_eq!(bits(RecordLayout::Iq2Xxs), [16, 8, 7, 4]);
    // Five levels of three values in a byte are one field.
    assert_eq!(of(RecordLayout::Tq1_0), [(1, 8), (1, 8), (1, 16)]);
    assert_eq!(of(RecordLayout::Tq2_0), [(4, 2), (1, 16)]);
    for &layout in RecordLayout::ALL {
        for (stream, packing) in layout.streams().iter().zip(layout.packings()) {
            assert!(
                packing.fields * packing.bits <= stream.field_bytes * 8,
                "{layout:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn records_come_back(
        layout in prop::sample::select(RecordLayout::ALL),
        bytes in prop::collection::vec(any::<u8>(), 0..1500),
    ) {
        let whole = &bytes[..bytes.len() / layout.bytes() * layout.bytes()];
        let mut planes = vec![vec![1, 2, 3]];
        layout.take(&bytes, &mut planes);
        prop_assert_eq!(planes.len(), layout.streams().len());
        for (plane, stream) in planes.iter().zip(layout.streams()) {
            prop_assert_eq!(plane.len(), whole.len() / layout.bytes() * stream.bytes());
        }
        let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let mut back = vec![0xAA; whole.len()];
        layout.put(&planes, &mut back);
        prop_assert_eq!(&back[..], whole);
    }
}
