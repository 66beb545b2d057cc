//! Round trips, every kernel against the definition, and damage.

use proptest::prelude::*;

use super::choose::{Alike, tables as chosen};
use super::decode::Decoder;
use super::each::{EachEncoder, EachTables};
use super::encode::Encoder;
use super::encode_groups::encode_groups;
use super::frequencies::{Buckets, SLOT_BITS, SLOTS, normalize};
use super::kernel;
use super::lanes::{Course, LANES, STATE_MIN};
use super::layout::Tables;
use super::slot_table::SlotTable;
use super::step_table::StepTable;
use crate::codec::plane::coded_of;
use crate::codec::symbol::{Parts, Split, cut};
use crate::simd::Simd;

fn counts(ids: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    for &id in ids {
        counts[usize::from(id)] += 1;
    }
    counts
}

/// Decodes one element at a time, by the definition.
fn naive_decode(
    buckets: &Buckets,
    frequencies: &[u16; 256],
    mut states: Vec<u32>,
    words: &[u8],
    count: usize,
) -> (Vec<u8>, Vec<u32>) {
    let slots: Vec<_> = buckets.slots().collect();
    let mut words = words
        .chunks_exact(2)
        .map(|w| u16::from_le_bytes([w[0], w[1]]));
    let mut ids = Vec::new();
    for i in 0..count {
        let state = &mut states[i % LANES];
        let (_, id, rank) = slots[*state as usize % SLOTS];
        *state = u32::from(frequencies[usize::from(id)]) * (*state >> SLOT_BITS) + u32::from(rank);
        if *state < STATE_MIN {
            *state = *state << 16 | u32::from(words.next().unwrap());
        }
        ids.push(id);
    }
    assert!(words.next().is_none());
    (ids, states)
}

/// Ids below a limit, some much more frequent than others.
fn skewed(limit: u8) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((0..=limit, 0u32..8), 1..1200)
        .prop_map(|pairs| pairs.into_iter().map(|(id, shift)| id >> shift).collect())
}

fn parts(split: Split, plane: &[u8], most_id: u8) -> Parts {
    let mut parts = Parts::default();
    cut(&mut parts, split, most_id, most_id, plane);
    parts
}

fn tables(ids: &[u8], tables: usize, segment_bits: u8) -> Tables {
    let segments = ids.len().div_ceil(LANES).div_ceil(1 << segment_bits);
    Tables {
        frequencies: vec![normalize(&counts(ids)); tables],
        choice: (0..segments)
            .map(|i| u8::try_from(i % tables).unwrap())
            .collect(),
        segment_bits,
    }
}

proptest! {
    #[test]
    fn every_kernel_decodes_by_the_definition(
        mut ids in prop_oneof![skewed(127), skewed(255)],
        payload in prop::collection::vec(any::<u16>(), LANES),
    ) {
        ids.resize(ids.len().next_multiple_of(LANES), ids[0]);
        let frequencies = normalize(&counts(&ids));
        let bits = if ids.iter().all(|&id| id < 128) { 7 } else { 8 };
        let buckets = Buckets::new(&frequencies, bits);
        let mut table = StepTable::new();
        table.prepare(&frequencies, &buckets);
        let mut words = vec![0; 2 * ids.len()];
        let payload: [u16; LANES] = payload.try_into().unwrap();
        let (start, states) =
            encode_groups(Simd::PORTABLE, &ids, |_| &table, &payload, &mut words);
        for simd in Simd::available() {
            let mut same = vec![0; 2 * ids.len()];
            let found = encode_groups(simd, &ids, |_| &table, &payload, &mut same);
            prop_assert_eq!(found, (start, states), "{}", simd.name());
            prop_assert_eq!(&same[start..], &words[start..], "{}", simd.name());
        }
        let words = &words[start..];
        let (naive, ends) = naive_decode(&buckets, &frequencies, states.to_vec(), words, ids.len());
        prop_assert_eq!(&naive, &ids);
        for (end, bits) in ends.iter().zip(payload) {
            prop_assert_eq!(*end, STATE_MIN + u32::from(bits));
        }
        for simd in Simd::available() {
            let mut table = SlotTable::new();
            table.prepare(&frequencies, bits, simd);
            let mut decoded = vec![0; ids.len()];
            let (mut now, mut at) = (states, 0);
            kernel::decode(simd, &table, &mut now, words, &mut at, &mut decoded).unwrap();
            prop_assert_eq!(&decoded, &ids, "{}", simd.name());
            prop_assert_eq!(at, words.len());
            prop_assert_eq!(now.as_slice(), ends.as_slice());
        }
    }

    #[test]
    fn every_kernel_encodes_elements_by_tables_of_their_own_alike(
        runs in prop::collection::vec(prop_oneof![skewed(3), skewed(127), skewed(255)], 1..6),
        payload in prop::collection::vec(any::<u16>(), LANES),
    ) {
        let tables: Vec<_> = runs.iter().map(|ids| normalize(&counts(ids))).collect();
        let (mut ids, mut choice) = (Vec::new(), Vec::new());
        for (table, run) in (0u8..).zip(&runs) {
            ids.extend(run);
            choice.resize(ids.len(), table);
        }
        // Neighbours of any tables.
        let step = ids.len() / 2 + 1;
        for i in 0..step.min(ids.len().saturating_sub(step)) {
            ids.swap(i, i + step);
            choice.swap(i, i + step);
        }
        let payload: [u16; LANES] = payload.try_into().unwrap();
        let mut portable = EachEncoder::new(Simd::PORTABLE, &tables);
        let (words, states) = portable.encode(&ids, &choice, 0, &payload);
        for simd in Simd::available() {
            let mut encoder = EachEncoder::new(simd, &tables);
            prop_assert_eq!(
                encoder.encode(&ids, &choice, 0, &payload),
                (words, states),
                "{}",
                simd.name()
            );
        }
        let mut prepared = EachTables::default();
        prepared.prepare(&tables);
        choice.resize(ids.len().next_multiple_of(LANES), 0);
        for simd in Simd::available() {
            let mut decoded = vec![0; choice.len()];
            let mut course = Course { states, words, at: 0 };
            prepared.decode(simd, &choice, &mut course, &mut decoded).unwrap();
            prop_assert_eq!(&decoded[..ids.len()], &ids, "{}", simd.name());
        }
    }

    #[test]
    fn planes_come_back_and_damage_is_told(
        seed in prop::collection::vec((any::<u8>(), 0u32..8), 1..900),
        wide: bool, rotate in 0u8..=1, raw_bits in 0u8..16, most_id in 1u8..=255,
        table_count in 1usize..=16, segment_bits in 0u8..3, times in 1usize..30,
        flip: prop::sample::Index,
    ) {
        let width = if wide { 16 } else { 8 };
        let split = Split { width, rotate, raw_bits: raw_bits % width, base: 0 };
        let mut plane: Vec<u8> = seed.iter().map(|(byte, shift)| byte >> shift).collect();
        plane = plane.repeat(times);
        plane.truncate(plane.len() / 2 * 2);
        prop_assume!(!plane.is_empty());
        let parts = parts(split, &plane, most_id);
        let tables = tables(&parts.ids, table_count, segment_bits);
        let mut coded = Vec::new();
        Encoder::new(Simd::detect()).encode(split, &parts, &tables, &mut coded);
        for simd in Simd::available() {
            let mut decoder = Decoder::default();
            let mut back = vec![0x55; plane.len()];
            decoder.decode_into(&coded_of(&coded, width, plane.len(), simd), &mut back).unwrap();
            prop_assert_eq!(&back, &plane, "{}", simd.name());
            for len in [0, 1, 15, 16, coded.len() / 2, coded.len() - 1] {
                prop_assert!(decoder.decode_into(&coded_of(&coded[..len], width, plane.len(), simd), &mut back).is_err());
            }
            let mut damaged = coded.clone();
            damaged[flip.index(coded.len())] ^= 0x41;
            let _ = decoder.decode_into(&coded_of(&damaged, width, plane.len(), simd), &mut back);
        }
    }

    #[test]
    fn garbage_never_panics(
        mut garbage in prop::collection::vec(any::<u8>(), 0..3000),
        width in prop::sample::select(vec![8u8, 16]),
        count in 0usize..2000,
    ) {
        // Mostly past the header, so that what follows is tried as well.
        if let [raw_bits, rotate, _, _, buckets, tables, segments, zero, ..] = garbage.as_mut_slice() {
            *raw_bits %= width;
            *rotate %= 2;
            *buckets = 7 + *buckets % 2;
            *tables = 1 + *tables % 2;
            *segments %= 4;
            *zero = 0;
        }
        let mut plane = vec![0; count * usize::from(width / 8)];
        for simd in Simd::available() {
            let _ = Decoder::default().decode_into(&coded_of(&garbage, width, plane.len(), simd), &mut plane);
        }
    }
}

/// Ids of a distribution that wraps around zero, as those of small numbers in two's complement do.
fn wrapping(rng: &mut fastrand::Rng, width: i32, count: usize) -> Vec<u8> {
    let id = |_| {
        let sum: i32 = (0..4).map(|_| rng.i32(-width..=width)).sum();
        sum.to_le_bytes()[0]
    };
    (0..count).map(id).collect()
}

#[test]
fn each_segment_has_a_table_with_all_of_its_ids() {
    let mut rng = fastrand::Rng::with_seed(3);
    for alike in [Alike::Mean, Alike::Cost, Alike::CostFinely] {
        for count in [1, 100, 5000, 40_000, 70_001] {
            let mut ids = wrapping(&mut rng, 3, count);
            // Rare ids, most of them in what is not counted.
            for _ in 0..count / 500 {
                let place = rng.usize(..count);
                ids[place] = rng.u8(..);
            }
            for wide in ids.chunks_mut(3000).step_by(3) {
                let len = wide.len();
                wide.copy_from_slice(&wrapping(&mut rng, 25, len));
            }
            let tables = chosen(Simd::detect(), &ids, alike);
            let segment = LANES << tables.segment_bits;
            assert_eq!(tables.choice.len(), count.div_ceil(segment));
            for (ids, &choice) in ids.chunks(segment).zip(&tables.choice) {
                let table = &tables.frequencies[usize::from(choice)];
                assert!(ids.iter().all(|&id| table[usize::from(id)] > 0));
            }
        }
    }
}

#[test]
fn parts_that_differ_get_tables_of_their_own_and_others_do_not() {
    let mut rng = fastrand::Rng::with_seed(4);
    for alike in [Alike::Cost, Alike::CostFinely] {
        let mut ids = wrapping(&mut rng, 30, 1 << 17);
        assert_eq!(chosen(Simd::detect(), &ids, alike).frequencies.len(), 1);
        for narrow in ids.chunks_mut(1 << 14).step_by(2) {
            let len = narrow.len();
            narrow.copy_from_slice(&wrapping(&mut rng, 2, len));
        }
        let tables = chosen(Simd::detect(), &ids, alike);
        assert_eq!(tables.frequencies.len(), 2);
        let of_a_part = tables.choice.len() / 8;
        for part in tables.choice.chunks(of_a_part) {
            assert!(part.iter().all(|choice| *choice == part[0]));
        }
        assert_ne!(tables.choice[0], tables.choice[of_a_part]);
    }
}
