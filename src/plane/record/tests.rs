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
    assert_eq!(bits(RecordLayout::Q2K), [16, 16, 4, 4, 2]);
    assert_eq!(bits(RecordLayout::Q3K), [16, 6, 3]);
    assert_eq!(bits(RecordLayout::Q4K), [16, 16, 6, 6, 4]);
    assert_eq!(bits(RecordLayout::Q5K), [16, 16, 6, 6, 5]);
    assert_eq!(bits(RecordLayout::Q6K), [16, 8, 6]);
    assert_eq!(bits(RecordLayout::Iq4Xs), [16, 6, 4]);
    assert_eq!(bits(RecordLayout::Mxfp4), [8, 4]);
    assert_eq!(bits(RecordLayout::Iq2Xxs), [16, 8, 7, 4]);
    // Five levels of three values in a byte are one field.
    assert_eq!(of(RecordLayout::Tq1_0), [(1, 16), (1, 8), (1, 8)]);
    assert_eq!(of(RecordLayout::Tq2_0), [(1, 16), (4, 2)]);
    for &layout in RecordLayout::ALL {
        for (stream, packing) in layout.streams().iter().zip(layout.packings()) {
            assert!(
                packing.fields * packing.bits <= stream.field_bytes * 8,
                "{layout:?}"
            );
        }
    }
}

fn forms(layout: RecordLayout) -> Vec<RecordForm> {
    let forms: Vec<_> = (0..=255)
        .filter_map(|code| RecordForm::from_code(layout, code))
        .collect();
    assert!(
        forms
            .iter()
            .zip(0..)
            .all(|(form, code)| form.code() == code)
    );
    forms
}

#[test]
fn levels_are_the_last_stream_of_layouts_that_group_them() {
    for &layout in RecordLayout::ALL {
        for form in forms(layout) {
            let streams: Vec<Stream> = form.streams().collect();
            assert!(streams.len() <= 16);
            let Some(groups) = form.groups() else {
                continue;
            };
            let levels = streams.last().unwrap();
            assert_eq!((levels.meaning, levels.field_bytes), (Meaning::Levels, 1));
            assert_eq!(usize::from(levels.fields) % groups.fields, 0);
        }
    }
}

#[test]
fn the_farthest_level_of_a_group_is_kept_apart() {
    let form = RecordForm::with_peaks(RecordLayout::Q8_0).unwrap();
    let mut record: Vec<u8> = (0..34).collect();
    record[2 + 5] = 0x80;
    record[2 + 9] = 0x80;
    let mut planes = Vec::new();
    form.take(&record, &mut planes);
    assert_eq!(planes[1..3], [vec![5], vec![0x80]]);
    assert_eq!(planes[3].len(), 31);
    assert!(planes[3].starts_with(&[2, 3, 4, 5, 6, 8]));
    let names: Vec<_> = form.streams().map(|stream| stream.name).collect();
    assert_eq!(names, ["scale", "places of peaks", "peaks", "levels"]);
    assert!(RecordForm::with_peaks(RecordLayout::Q4K).is_none());
}

#[test]
fn keys_are_logarithms_of_steps_and_minima() {
    let keys = |layout, planes: &[&[u8]]| {
        let mut keys = vec![7];
        RecordForm::plain(layout).keys(planes, &mut keys);
        keys
    };
    // A scale of 1.0, one of -2.0 (an octave above), and 30 of 1.0: 16 around each, the third to the tenth see it.
    let mut scales = [0x3C00u16; 32].map(u16::to_le_bytes);
    scales[1] = 0xC000u16.to_le_bytes();
    let found = keys(RecordLayout::Q8_0, &[scales.as_flattened(), &[]]);
    assert_eq!(
        (found.len(), found[0], found[1], found[31]),
        (32, 128, 128 - 8, 128)
    );
    // 4 * 3 / (0.5 * 3) is eight, three octaves.
    let halves = [0x4400u16, 0x3800].map(u16::to_le_bytes);
    let found = keys(
        RecordLayout::Q4K,
        &[&halves[1], &halves[0], &[3; 8], &[3; 8], &[]],
    );
    assert_eq!(found, [128 + 24; 8]);
    assert!(keys(RecordLayout::Iq1S, &[&[], &[], &[]]).is_empty());
    assert!(keys(RecordLayout::Q6K, &[&[], &[], &[]]).is_empty());
}

proptest! {
    #[test]
    fn records_come_back_in_every_form(
        layout in prop::sample::select(RecordLayout::ALL),
        bytes in prop::collection::vec(any::<u8>(), 0..1500),
        repeats in 1usize..12,
    ) {
        let bytes = bytes.repeat(repeats);
        let whole = &bytes[..bytes.len() / layout.bytes() * layout.bytes()];
        for form in forms(layout) {
            let mut planes = vec![vec![1, 2, 3]; 9];
            form.take(&bytes, &mut planes);
            prop_assert_eq!(planes.len(), form.streams().count());
            for (plane, stream) in planes.iter().zip(form.streams()) {
                prop_assert_eq!(plane.len(), whole.len() / layout.bytes() * stream.bytes());
            }
            let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
            let mut back = vec![0xAA; whole.len()];
            form.put(&planes, &mut back);
            prop_assert_eq!(&back[..], whole);
            let mut keys = Vec::new();
            form.keys(&planes, &mut keys);
            if let Some(groups) = form.groups() {
                prop_assert_eq!(keys.len() * groups.fields, planes.last().unwrap().len());
            }
        }
    }

    #[test]
    fn any_planes_make_some_records(
        layout in prop::sample::select(RecordLayout::ALL),
        seed: u64,
        count in 0usize..100,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        for form in forms(layout) {
            let planes: Vec<Vec<u8>> = form
                .streams()
                .map(|stream| (0..count * stream.bytes()).map(|_| random.u8(..)).collect())
                .collect();
            let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
            form.put(&planes, &mut vec![0; count * layout.bytes()]);
            form.keys(&planes, &mut Vec::new());
        }
    }
}
