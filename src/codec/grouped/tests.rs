use super::layout::classes;
use super::merge;
use super::pairs::multiply;
use super::*;
use proptest::prelude::*;

use crate::codec::ans::frequencies::normalize;
use crate::codec::plane::{Coded, Context, Groups};
use crate::codec::plane::{PlaneShape, coded_of};
use crate::simd::Simd;

/// Levels whose spread is twice as large where the key is 60 as where it is 40, and so on.
fn levels(keys: &[u8], fields: usize, pairs: Option<u8>, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut level = |key: u8, most: i32| {
        let sum: f32 = (0..4).map(|_| random.f32() - 0.5).sum();
        let spread = most as f32 * (f32::from(key) / 20.0 - 4.0).exp2();
        #[expect(clippy::cast_possible_truncation, reason = "clamped")]
        let level = (sum * spread) as i32;
        level.clamp(-most, most - 1)
    };
    let bytes = keys
        .iter()
        .flat_map(|&key| std::iter::repeat_n(key, fields));
    bytes
        .map(|key| match pairs {
            None => level(key, 128).to_le_bytes()[0],
            Some(bits) => {
                let most = 1 << (bits - 1);
                let [a, b] = [0, 1].map(|_| (level(key, most) + most).to_le_bytes()[0]);
                a | b << bits
            }
        })
        .collect()
}

fn context<'a>(keys: &'a [u8], fields: usize, pairs: Option<u8>) -> Context<'a> {
    Context {
        groups: Some(Groups {
            keys,
            fields,
            pairs,
        }),
        ..Context::NONE
    }
}

fn decode(coded: &[u8], len: usize, context: Context<'_>, simd: Simd) -> crate::Result<Vec<u8>> {
    let mut fields = vec![0x55; len];
    let coded = Coded {
        bytes: coded,
        shape: PlaneShape {
            width: 8,
            count: len,
        },
        context,
        simd,
    };
    Decoder::default().decode_into(&coded, &mut fields)?;
    Ok(fields)
}

proptest! {
    #[test]
    fn planes_come_back_and_others_are_errors_or_bytes(
        few in prop::collection::vec(20u8..90, 1..40),
        repeats in 1usize..40,
        fields in 1usize..40,
        pairs in prop::sample::select(vec![None, Some(3), Some(4)]),
        seed: u64,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u32..8), 1..4),
    ) {
        let keys = few.repeat(repeats);
        let plane = levels(&keys, fields, pairs, seed);
        let mut coded = vec![0xEE];
        prop_assert!(Encoder::default().encode(&plane, context(&keys, fields, pairs).groups.unwrap(), &mut coded));
        prop_assert_eq!(coded.remove(0), 0xEE);
        let context = context(&keys, fields, pairs);
        for simd in Simd::available() {
            let back = decode(&coded, plane.len(), context, simd).unwrap();
            prop_assert!(back == plane, "{}", simd.name());
        }
        prop_assert!(decode(&coded, plane.len(), Context::NONE, Simd::detect()).is_err());
        prop_assert!(decode(&coded, plane.len() + 1, context, Simd::detect()).is_err());
        let mut damaged = coded;
        for (place, bit) in flips {
            let place = place.index(damaged.len());
            damaged[place] ^= 1 << bit;
        }
        let expected = decode(&damaged, plane.len(), context, Simd::PORTABLE);
        for simd in Simd::available() {
            let found = decode(&damaged, plane.len(), context, simd);
            prop_assert_eq!(found.map_err(|e| e.to_string()), expected.as_ref().map_err(ToString::to_string).cloned());
        }
    }

    #[test]
    fn frequencies_of_pairs_add_up(counts in prop::collection::vec(0u32..100_000, 16), bits in 3u8..=4) {
        let mut all = [0; 256];
        all[..1 << bits].copy_from_slice(&counts[..1 << bits]);
        prop_assume!(counts[..8].iter().any(|&count| count > 0));
        let single = normalize(&all);
        let pairs = multiply(&single, bits);
        prop_assert_eq!(pairs.iter().map(|&f| u32::from(f)).sum::<u32>(), 4096);
        for (pair, &frequency) in pairs.iter().enumerate() {
            let (a, b) = (pair % (1 << bits), pair >> bits);
            let both = b < 1 << bits && single[a] > 0 && single[b] > 0;
            prop_assert_eq!(frequency > 0, both);
            prop_assert!(frequency < 4096);
        }
    }
}

#[test]
fn the_table_of_pairs_is_as_it_is_specified() {
    let mut single = [0; 256];
    (single[0], single[1], single[2]) = (4094, 1, 1);
    let pairs = multiply(&single, 4);
    // 4094^2, 5120 eight times: 16801796 in all.
    let found = [0, 1, 2, 16, 17, 18, 32, 33, 34].map(|pair| pairs[pair]);
    assert_eq!(found, [4086, 1, 1, 1, 2, 1, 1, 1, 2]);
}

#[test]
fn groups_that_differ_have_tables_of_their_own() {
    let keys: Vec<u8> = (0..8).cycle().take(4000).map(|i| 40 + 5 * i).collect();
    let plane = levels(&keys, 31, None, 1);
    let size = |keys: &[u8]| {
        let mut coded = Vec::new();
        let groups = context(keys, 31, None).groups.unwrap();
        assert!(Encoder::default().encode(&plane, groups, &mut coded));
        (coded[2], coded.len())
    };
    let (classes, by_group) = size(&keys);
    let (one, by_none) = size(&vec![77; keys.len()]);
    assert!(classes > 4 && one == 1);
    assert!(by_group < by_none * 98 / 100, "{by_group} of {by_none}");
}

#[test]
fn classes_are_at_most_32_and_ranges_of_keys() {
    let keys: Vec<u8> = (0..=255).collect();
    // As if every key had levels of its own, and many of them.
    let found = merge::classes(&keys, 0.0, |group, counts| counts[group] += 1 << 20);
    assert_eq!(found.len(), 32);
    assert!(found.is_sorted_by(|a, b| a.start < b.start));
    let starts: Vec<u8> = found[1..].iter().map(|class| class.start).collect();
    let classes = classes(&starts);
    assert!(classes.is_sorted());
    assert_eq!((classes[0], classes[255]), (0, 31));
}

#[test]
fn what_is_in_no_groups_is_not_coded() {
    let mut out = Vec::new();
    for (plane, keys, fields, pairs) in [
        (&[][..], &[][..], 1, None),
        (&[1, 2, 3], &[1, 2], 2, None),
        (&[1, 64], &[1], 2, Some(3)),
    ] {
        let groups = context(keys, fields, pairs).groups.unwrap();
        assert!(!Encoder::default().encode(plane, groups, &mut out));
    }
    assert!(out.is_empty());
    let coded = coded_of(&[0; 600], 8, 100, Simd::detect());
    assert!(
        Decoder::default()
            .decode_into(&coded, &mut [0; 100])
            .is_err()
    );
}
