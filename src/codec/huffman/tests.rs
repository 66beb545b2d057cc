//! Round trips against the definition, and damage.

use proptest::prelude::*;

use super::code::{self, IDS, Lengths};
use super::decode::Decoder;
use super::encode::Encoder;
use super::layout::{LENGTH_BYTES, STREAM_LENGTHS_BYTES, STREAMS, coded_bits, part_len};
use crate::codec::plane::coded_of;
use crate::codec::symbol::{Parts, Split, cut, exceptions_bytes};
use crate::simd::Simd;

const BF16: Split = Split {
    width: 16,
    rotate: 1,
    raw_bits: 8,
    base: 90,
};

fn histogram(ids: &[u8]) -> [u32; IDS] {
    let mut counts = [0; IDS];
    for &id in ids {
        counts[usize::from(id)] += 1;
    }
    counts
}

fn encoded(split: Split, plane: &[u8]) -> Vec<u8> {
    let mut parts = Parts::default();
    cut(&mut parts, split, 255, 3, plane);
    let mut coded = vec![0xEE];
    Encoder::new().encode(split, &parts, &histogram(&parts.ids), &mut coded);
    coded.split_off(1)
}

/// Decodes bit by bit, comparing what was read with every code word: the definition.
fn naive_ids(coded: &[u8], count: usize) -> Vec<u8> {
    let (lengths, lengths_bytes) = Lengths::parse(&coded[6..]).unwrap();
    if let Some(id) = lengths.lone() {
        return vec![id; count];
    }
    // Canonical: words in the order of length, then id, each one above the one before.
    let mut by_length: Vec<(u8, u8)> = (0..=255)
        .map(|id| (lengths.0[usize::from(id)], id))
        .collect();
    by_length.retain(|&(length, _)| length > 0);
    by_length.sort_unstable();
    let mut words = Vec::new();
    let mut next = 0u32;
    let mut last = by_length[0].0;
    for &(length, id) in &by_length {
        next <<= length - last;
        last = length;
        words.push((length, next, id));
        next += 1;
    }
    let mut at = 6 + lengths_bytes + STREAM_LENGTHS_BYTES;
    let mut ids = Vec::new();
    for i in 0..STREAMS {
        // The last stream ends somewhere in what is left.
        let is_last = i == STREAMS - 1;
        let len = if is_last {
            coded.len() - at
        } else {
            let place = 6 + lengths_bytes + LENGTH_BYTES * i;
            let bytes = &coded[place..place + LENGTH_BYTES];
            bytes
                .iter()
                .rev()
                .fold(0, |len, &byte| len << 8 | usize::from(byte))
        };
        let stream = &coded[at..at + len];
        at += len;
        let wanted = count.saturating_sub(ids.len()).min(part_len(count));
        let mut part = Vec::new();
        let (mut length, mut read) = (0u8, 0u32);
        let mut bits = (0..8 * len).map(|i| u32::from(stream[i / 8] >> (7 - i % 8) & 1));
        while part.len() < wanted {
            read = read << 1 | bits.next().unwrap();
            length += 1;
            if let Some(&(_, _, id)) = words.iter().find(|w| (w.0, w.1) == (length, read)) {
                part.push(id);
                (length, read) = (0, 0);
            }
        }
        assert!(is_last || bits.len() < 8 && bits.all(|bit| bit == 0));
        ids.extend(part.iter().rev());
    }
    ids
}

fn check(split: Split, plane: &[u8]) {
    let coded = encoded(split, plane);
    let count = plane.len() / usize::from(split.width / 8);
    let mut parts = Parts::default();
    cut(&mut parts, split, 255, 3, plane);
    assert_eq!(naive_ids(&coded, count), parts.ids);
    let known = split.to_bytes().len()
        + 2
        + parts.low.len()
        + parts.packed.len()
        + exceptions_bytes(parts.exceptions.len());
    let bits = 8 * (coded.len() - known) as u64;
    let estimate = coded_bits(&histogram(&parts.ids));
    assert!((estimate..estimate + 8 * STREAMS as u64).contains(&bits));

    let mut decoder = Decoder::new();
    for simd in Simd::available() {
        let mut back = vec![0x55; plane.len()];
        decoder
            .decode_into(&coded_of(&coded, split.width, plane.len(), simd), &mut back)
            .unwrap();
        assert_eq!(back, plane);
    }
    let mut back = vec![0; plane.len()];
    let step = coded.len() / 300 + 1;
    for len in (0..coded.len()).step_by(step) {
        let short = coded_of(&coded[..len], split.width, plane.len(), Simd::PORTABLE);
        let decoded = decoder.decode_into(&short, &mut back);
        assert!(decoded.is_err(), "cut to {len}");
    }
    let longer = [&coded[..], &[0]].concat();
    assert!(
        decoder
            .decode_into(
                &coded_of(&longer, split.width, plane.len(), Simd::PORTABLE),
                &mut back
            )
            .is_err()
    );
}

/// A plane of ids with their low bytes, all with the given split.
fn plane_of(ids: &[u8], noise: &[u8]) -> Vec<u8> {
    let mut plane = Vec::new();
    for (i, &id) in ids.iter().enumerate() {
        let symbol = if id == 0 {
            0
        } else {
            BF16.base + u16::from(id)
        } & 255;
        let rotated = symbol << 8 | u16::from(noise[i % noise.len()]);
        plane.extend(rotated.rotate_right(1).to_le_bytes());
    }
    plane
}

/// Ids whose frequencies fall by a factor: 0 gives one id, 255 nearly equal frequencies.
fn skewed(count: usize, keep: u8, ids: u8, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let one = |id: &u8| id.wrapping_add(1) % ids.max(1);
    let mut next = || {
        let mut id = 0;
        while random.u8(..) < keep && id < 254 {
            id = one(&id);
            if random.u8(..) == 0 {
                break;
            }
        }
        id
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn every_count_around_the_parts() {
    for count in (1..140)
        .chain(380..390)
        .chain([767, 768, 769, 5000, 20_000])
    {
        check(BF16, &plane_of(&skewed(count, 130, 30, 7), &[1, 200, 77]));
    }
}

#[test]
fn one_id_takes_no_bits() {
    let plane = plane_of(&[5; 1000], &[9, 8]);
    check(BF16, &plane);
    assert_eq!(
        encoded(BF16, &plane).len(),
        4 + 2 + 1 + 3 + STREAM_LENGTHS_BYTES + 1000
    );
}

#[test]
fn frequencies_beyond_the_longest_word() {
    let mut ids = Vec::new();
    let (mut a, mut b) = (1, 1);
    for id in 0..20u8 {
        ids.extend(std::iter::repeat_n(id, a));
        (a, b) = (b, a + b);
    }
    check(BF16, &plane_of(&ids, &[3]));
    let lengths = Lengths::best(&histogram(&ids));
    assert_eq!(lengths.0.iter().max(), Some(&11));
}

#[test]
fn lengths_are_the_best_there_are() {
    // Against plain Huffman where that stays below the limit: sum of all merged weights.
    for seed in 0..50 {
        let ids = skewed(3000, 150, 40, seed);
        let counts = histogram(&ids);
        let mut heap: Vec<u64> = counts
            .iter()
            .filter(|&&c| c > 0)
            .map(|&c| c.into())
            .collect();
        let mut depth: Vec<u32> = vec![0; heap.len()];
        let mut total = 0;
        while heap.len() > 1 {
            let mut pick = || {
                let i = (0..heap.len()).min_by_key(|&i| heap[i]).unwrap();
                (heap.swap_remove(i), depth.swap_remove(i))
            };
            let (a, b) = (pick(), pick());
            total += a.0 + b.0;
            heap.push(a.0 + b.0);
            depth.push(a.1.max(b.1) + 1);
        }
        let bits = Lengths::best(&counts).bits(&counts);
        if depth[0] <= code::MAX_LENGTH {
            assert_eq!(bits, total);
        } else {
            assert!(bits >= total);
        }
    }
}

#[test]
fn codes_with_gaps_are_refused() {
    let parse = |bytes: &[u8]| Lengths::parse(bytes).is_ok();
    assert!(parse(&[1, 0x11]));
    assert!(parse(&[2, 0x21, 0x02]));
    assert!(parse(&[0, 0x01]), "a lone id");
    assert!(!parse(&[0, 0x02]), "a lone id with a long word");
    assert!(!parse(&[0, 0x00]), "no id");
    assert!(!parse(&[0, 0x11]), "an id above the highest");
    assert!(!parse(&[1, 0x21]), "a gap");
    assert!(!parse(&[2, 0x11, 0x01]), "too many words");
    assert!(!parse(&[2, 0x21]), "too short");
    assert!(!parse(&[1, 0xCC]), "too long words");
}

fn splits() -> impl Strategy<Value = Split> {
    prop::sample::select(vec![8u8, 16]).prop_flat_map(|width| {
        (Just(width), 0u8..=1, 0..width, any::<u16>()).prop_map(
            |(width, rotate, raw_bits, base)| Split {
                width,
                rotate,
                raw_bits,
                base: base >> raw_bits.max(16 - width),
            },
        )
    })
}

proptest! {
    #[test]
    fn planes_come_back(
        split in splits(),
        plane in prop::collection::vec(any::<u8>(), 2..3000),
    ) {
        check(split, &plane[..plane.len() / 2 * 2]);
    }

    #[test]
    fn skewed_planes_come_back(count in 1usize..9000, keep: u8, ids in 1u8..=255, seed: u64) {
        check(BF16, &plane_of(&skewed(count, keep, ids, seed), &[4, 0, 255]));
    }

    #[test]
    fn damage_never_panics(
        count in 1usize..6000, keep: u8, ids in 1u8..=255, seed: u64,
        flips in prop::collection::vec(any::<(prop::sample::Index, u8, bool)>(), 1..4),
        width in prop::sample::select(vec![8u8, 16]),
        other_count in 0usize..12_000,
    ) {
        let plane = plane_of(&skewed(count, keep, ids, seed), &[4, 0, 255]);
        let mut coded = encoded(BF16, &plane);
        for (place, bit, front) in flips {
            let range = if front { coded.len().min(60) } else { coded.len() };
            coded[place.index(range)] ^= 1 << (bit % 8);
        }
        let mut decoder = Decoder::new();
        for simd in Simd::available() {
            let mut back = vec![0; plane.len()];
            let _ = decoder.decode_into(&coded_of(&coded, 16, back.len(), simd), &mut back);
            let mut back = vec![0; other_count * usize::from(width / 8)];
            let _ = decoder.decode_into(&coded_of(&coded, width, back.len(), simd), &mut back);
        }
    }

    #[test]
    fn garbage_never_panics(
        mut coded in prop::collection::vec(any::<u8>(), 0..2000),
        head in any::<bool>(),
        stream in 0u8..100,
        count in 0usize..2000,
    ) {
        // With a head that is read, so that the streams are reached.
        let lengths = [stream, 0, 0].repeat(STREAMS - 1);
        let start = [&[0, 0, 1, 0, 0, 0, 2, 0x21, 0x02][..], &lengths].concat();
        if head && coded.len() > start.len() {
            coded[..start.len()].copy_from_slice(&start);
            coded.truncate(start.len() + STREAMS * usize::from(stream));
        }
        let _ = Decoder::new().decode_into(&coded_of(&coded, 8, count, Simd::detect()), &mut vec![0; count]);
    }
}
