//! Records whose fields are put together from bits in several places.

use super::layout::Magnitude::{Above32, Half, Signed, Unsigned};
use super::layout::Meaning::{Bytes, Levels, Scales};
use super::layout::{Grouping, Record, Stream, bytes, factor, half, run, run_mut};

/// 32 levels of 5 bits, each in a byte, with a scale.
const FIVE_BITS: Grouping = Grouping {
    groups: 1,
    levels: 32,
    pairs: None,
    step: &[factor(0, Half)],
    minimum: &[],
    zero: None,
};
/// Eight groups whose scales and minima are scaled themselves.
const SCALED: Grouping = Grouping {
    groups: 8,
    levels: 32,
    pairs: None,
    step: &[factor(0, Half), factor(2, Unsigned)],
    minimum: &[factor(1, Half), factor(3, Unsigned)],
    zero: None,
};

/// 32 levels of 5 bits: four bits of two levels in a byte, and 32 highest bits.
pub(super) struct Q5_0;

impl Record for Q5_0 {
    const BYTES: usize = 22;
    const STREAMS: &'static [Stream] = &[half("scale", 1), bytes("levels", 32, Levels)];
    const GROUPING: Option<Grouping> = Some(Grouping {
        zero: Some(32),
        ..FIVE_BITS
    });

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[..2]);
        take_five_bits(
            run(&record[2..6], 0),
            run(&record[6..], 0),
            run_mut(&mut planes[1], i),
        );
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        record[..2].copy_from_slice(run::<2>(planes[0], i));
        let (high, low) = record[2..].split_at_mut(4);
        put_five_bits(run(planes[1], i), run_mut(high, 0), run_mut(low, 0));
    }
}

/// The same with a minimum.
pub(super) struct Q5_1;

impl Record for Q5_1 {
    const BYTES: usize = 24;
    const STREAMS: &'static [Stream] = &[
        half("scale", 1),
        half("minimum", 1),
        bytes("levels", 32, Levels),
    ];
    const GROUPING: Option<Grouping> = Some(Grouping {
        minimum: &[factor(1, Half)],
        ..FIVE_BITS
    });

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[..2]);
        run_mut::<2>(&mut planes[1], i).copy_from_slice(&record[2..4]);
        take_five_bits(
            run(&record[4..8], 0),
            run(&record[8..], 0),
            run_mut(&mut planes[2], i),
        );
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        record[..2].copy_from_slice(run::<2>(planes[0], i));
        record[2..4].copy_from_slice(run::<2>(planes[1], i));
        let (high, low) = record[4..].split_at_mut(4);
        put_five_bits(run(planes[2], i), run_mut(high, 0), run_mut(low, 0));
    }
}

fn take_five_bits(high: &[u8; 4], low: &[u8; 16], levels: &mut [u8; 32]) {
    for (levels, &high) in levels.as_chunks_mut::<8>().0.iter_mut().zip(high) {
        *levels = spread_bits(high).to_le_bytes();
    }
    let (first, second) = levels.split_at_mut(16);
    for (low, (first, second)) in low.iter().zip(first.iter_mut().zip(second)) {
        *first = low & 15 | *first << 4;
        *second = low >> 4 | *second << 4;
    }
}

fn put_five_bits(levels: &[u8; 32], high: &mut [u8; 4], low: &mut [u8; 16]) {
    for (high, levels) in high.iter_mut().zip(levels.as_chunks::<8>().0) {
        *high = gather_bits(u64::from_le_bytes(*levels) >> 4);
    }
    let (first, second) = levels.split_at(16);
    for (low, (first, second)) in low.iter_mut().zip(first.iter().zip(second)) {
        *low = first & 15 | second << 4;
    }
}

/// Each bit of a byte as the lowest bit of a byte of its own, the lowest first.
const fn spread_bits(byte: u8) -> u64 {
    // Of eight copies, each keeps another bit, and what adding makes of it is carried to the top.
    let one_each = (byte as u64 * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    (one_each + 0x7F7F_7F7F_7F7F_7F7F) >> 7 & 0x0101_0101_0101_0101
}

/// The lowest bits of eight bytes, that of the first one lowest.
fn gather_bits(bytes: u64) -> u8 {
    let lowest = bytes & 0x0101_0101_0101_0101;
    // Each product moves one bit to a place of its own in the highest byte.
    let [.., gathered] = lowest.wrapping_mul(0x0102_0408_1020_4080).to_le_bytes();
    gathered
}

/// 256 levels of 2 bits, four of a group in a byte; 16 scales and minima of 4 bits.
pub(super) struct Q2K;

impl Record for Q2K {
    const BYTES: usize = 84;
    const STREAMS: &'static [Stream] = &[
        half("scale of scales", 1),
        half("scale of minima", 1),
        bytes("scales", 16, Scales),
        bytes("minima", 16, Scales),
        bytes("levels", 64, Levels),
    ];
    const GROUPING: Option<Grouping> = Some(Grouping {
        groups: 16,
        levels: 16,
        // Two levels each.
        pairs: Some(4),
        ..SCALED
    });

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        let packed: &[u8; 16] = run(record, 0);
        *run_mut(&mut planes[2], i) = packed.map(|both| both & 15);
        *run_mut(&mut planes[3], i) = packed.map(|both| both >> 4);
        let levels: &mut [u8; 64] = run_mut(&mut planes[4], i);
        for (group, four) in levels.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let (from, shift) = two_bits(group);
            let from: &[u8; 16] = run(&record[16 + from..], 0);
            for (k, byte) in four.iter_mut().enumerate() {
                let level = |quarter: usize| (from[k + 4 * quarter] >> shift & 3) << (2 * quarter);
                *byte = level(0) | level(1) | level(2) | level(3);
            }
        }
        run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[80..82]);
        run_mut::<2>(&mut planes[1], i).copy_from_slice(&record[82..]);
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        let [scales, minima]: [&[u8; 16]; 2] = [run(planes[2], i), run(planes[3], i)];
        for (both, (scale, minimum)) in record.iter_mut().zip(scales.iter().zip(minima)) {
            *both = scale & 15 | minimum << 4;
        }
        record[16..80].fill(0);
        let levels: &[u8; 64] = run(planes[4], i);
        for (group, four) in levels.as_chunks::<4>().0.iter().enumerate() {
            let (to, shift) = two_bits(group);
            let to: &mut [u8; 16] = run_mut(&mut record[16 + to..], 0);
            for (k, byte) in four.iter().enumerate() {
                for quarter in 0..4 {
                    to[k + 4 * quarter] |= (byte >> (2 * quarter) & 3) << shift;
                }
            }
        }
        record[80..82].copy_from_slice(run::<2>(planes[0], i));
        record[82..].copy_from_slice(run::<2>(planes[1], i));
    }
}

/// Where the low two bits of the levels of a group of 16 are in Q2_K and Q3_K: the first byte, and the shift.
const fn two_bits(group: usize) -> (usize, usize) {
    (group / 8 * 32 + group % 2 * 16, group / 2 % 4 * 2)
}

/// 256 levels of 3 bits, two of a group in a byte of their stream; 16 scales of 6 bits.
pub(super) struct Q3K;

impl Record for Q3K {
    const BYTES: usize = 110;
    const STREAMS: &'static [Stream] = &[
        half("scale of scales", 1),
        bytes("scales", 16, Scales),
        bytes("levels", 128, Levels),
    ];
    const GROUPING: Option<Grouping> = Some(Grouping {
        groups: 16,
        levels: 16,
        pairs: Some(3),
        step: &[factor(0, Half), factor(1, Above32)],
        minimum: &[],
        zero: None,
    });

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        let (high, low): (&[u8; 32], &[u8; 64]) = (run(record, 0), run(&record[32..], 0));
        let levels: &mut [u8; 128] = run_mut(&mut planes[2], i);
        for (group, pairs) in levels.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let (from, shift) = two_bits(group);
            let (low, high): (&[u8; 16], &[u8; 16]) = (run(&low[from..], 0), run(high, group % 2));
            let level = |l: usize| low[l] >> shift & 3 | (high[l] >> (group / 2) & 1) << 2;
            for (k, pair) in pairs.iter_mut().enumerate() {
                *pair = level(k) | level(k + 8) << 3;
            }
        }
        let (packed, scales): (&[u8; 12], &mut [u8; 16]) =
            (run(&record[96..], 0), run_mut(&mut planes[1], i));
        for (j, scale) in scales.iter_mut().enumerate() {
            let low = packed[j % 8] >> (j / 8 * 4) & 15;
            *scale = low | (packed[8 + j % 4] >> (j / 4 * 2) & 3) << 4;
        }
        run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[108..]);
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        let scales: &[u8; 16] = run(planes[1], i);
        let levels: &[u8; 128] = run(planes[2], i);
        record[..108].fill(0);
        for (group, pairs) in levels.as_chunks::<8>().0.iter().enumerate() {
            let (to, shift) = two_bits(group);
            for l in 0..16 {
                let level = pairs[l % 8] >> (l / 8 * 3) & 7;
                record[group % 2 * 16 + l] |= (level >> 2) << (group / 2);
                record[32 + to + l] |= (level & 3) << shift;
            }
        }
        for (j, scale) in scales.iter().enumerate() {
            record[96 + j % 8] |= (scale & 15) << (j / 8 * 4);
            record[104 + j % 4] |= (scale >> 4 & 3) << (j / 4 * 2);
        }
        record[108..].copy_from_slice(run::<2>(planes[0], i));
    }
}

/// 256 levels of 4 bits, two of a group in a byte of their stream; 8 scales and 8 minima of 6 bits.
pub(super) struct Q4K;

impl Record for Q4K {
    const BYTES: usize = 144;
    const STREAMS: &'static [Stream] = &[
        half("scale of scales", 1),
        half("scale of minima", 1),
        bytes("scales", 8, Scales),
        bytes("minima", 8, Scales),
        bytes("levels", 128, Levels),
    ];
    const GROUPING: Option<Grouping> = Some(Grouping {
        pairs: Some(4),
        ..SCALED
    });

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        take_scales(record, i, planes);
        let levels: &mut [u8; 128] = run_mut(&mut planes[4], i);
        // In the record, the two of a byte are of neighbouring groups.
        let two_groups = record[16..].as_chunks::<32>().0.iter();
        for (levels, from) in levels.as_chunks_mut::<32>().0.iter_mut().zip(two_groups) {
            for k in 0..16 {
                let (a, b) = (from[k], from[k + 16]);
                levels[k] = a & 15 | b << 4;
                levels[k + 16] = a >> 4 | b & 0xF0;
            }
        }
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        put_scales(planes, i, record);
        let levels: &[u8; 128] = run(planes[4], i);
        let two_groups = record[16..].as_chunks_mut::<32>().0.iter_mut();
        for (levels, to) in levels.as_chunks::<32>().0.iter().zip(two_groups) {
            for k in 0..16 {
                let (a, b) = (levels[k], levels[k + 16]);
                to[k] = a & 15 | b << 4;
                to[k + 16] = a >> 4 | b & 0xF0;
            }
        }
    }
}

/// 256 levels of 5 bits; 8 scales and 8 minima of 6 bits.
pub(super) struct Q5K;

impl Record for Q5K {
    const BYTES: usize = 176;
    const STREAMS: &'static [Stream] = &[
        half("scale of scales", 1),
        half("scale of minima", 1),
        bytes("scales", 8, Scales),
        bytes("minima", 8, Scales),
        bytes("levels", 256, Levels),
    ];
    const GROUPING: Option<Grouping> = Some(SCALED);

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        take_scales(record, i, planes);
        let (high, low): (&[u8; 32], &[u8; 128]) = (run(&record[16..], 0), run(&record[48..], 0));
        let levels: &mut [u8; 256] = run_mut(&mut planes[4], i);
        for pair in 0..4 {
            for l in 0..32 {
                let (low, high) = (low[pair * 32 + l], high[l] >> (pair * 2));
                levels[pair * 64 + l] = low & 15 | (high & 1) << 4;
                levels[pair * 64 + 32 + l] = low >> 4 | (high >> 1 & 1) << 4;
            }
        }
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        put_scales(planes, i, record);
        let levels: &[u8; 256] = run(planes[4], i);
        let (high, low) = record[16..].split_at_mut(32);
        let (high, low): (&mut [u8; 32], &mut [u8; 128]) = (run_mut(high, 0), run_mut(low, 0));
        for (l, high) in high.iter_mut().enumerate() {
            *high = 0;
            for group in 0..8 {
                *high |= (levels[group * 32 + l] >> 4 & 1) << group;
            }
        }
        for pair in 0..4 {
            for l in 0..32 {
                let [a, b] = [0, 32].map(|half| levels[pair * 64 + half + l] & 15);
                low[pair * 32 + l] = a | b << 4;
            }
        }
    }
}

/// Floats, scales and minima of Q4_K and Q5_K: 12 bytes have 16 numbers of 6 bits.
fn take_scales(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
    run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[..2]);
    run_mut::<2>(&mut planes[1], i).copy_from_slice(&record[2..4]);
    let packed: &[u8; 12] = run(&record[4..], 0);
    let mut scales = [[0; 8]; 2];
    for (which, scales) in scales.iter_mut().enumerate() {
        for j in 0..4 {
            scales[j] = packed[which * 4 + j] & 63;
            let low = packed[8 + j] >> (which * 4) & 15;
            scales[j + 4] = low | packed[which * 4 + j] >> 6 << 4;
        }
    }
    *run_mut(&mut planes[2], i) = scales[0];
    *run_mut(&mut planes[3], i) = scales[1];
}

fn put_scales(planes: &[&[u8]], i: usize, record: &mut [u8]) {
    record[..2].copy_from_slice(run::<2>(planes[0], i));
    record[2..4].copy_from_slice(run::<2>(planes[1], i));
    let scales: [&[u8; 8]; 2] = [run(planes[2], i), run(planes[3], i)];
    let packed: &mut [u8; 12] = run_mut(&mut record[4..], 0);
    for j in 0..4 {
        for (which, scales) in scales.iter().enumerate() {
            packed[which * 4 + j] = scales[j] & 63 | scales[j + 4] >> 4 << 6;
        }
        packed[8 + j] = scales[0][j + 4] & 15 | scales[1][j + 4] << 4;
    }
}

/// 256 levels of 6 bits, 16 signed scales.
pub(super) struct Q6K;

impl Record for Q6K {
    const BYTES: usize = 210;
    const STREAMS: &'static [Stream] = &[
        half("scale of scales", 1),
        bytes("scales", 16, Scales),
        bytes("levels", 256, Levels),
    ];
    const GROUPING: Option<Grouping> = Some(Grouping {
        groups: 16,
        levels: 16,
        pairs: None,
        step: &[factor(0, Half), factor(1, Signed)],
        minimum: &[],
        zero: Some(64),
    });

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        let levels: &mut [u8; 256] = run_mut(&mut planes[2], i);
        for half in 0..2 {
            let low: &[u8; 64] = run(record, half);
            let high: &[u8; 32] = run(&record[128..], half);
            let levels: &mut [u8; 128] = run_mut(levels, half);
            for l in 0..32 {
                levels[l] = low[l] & 15 | (high[l] & 3) << 4;
                levels[l + 32] = low[l + 32] & 15 | (high[l] >> 2 & 3) << 4;
                levels[l + 64] = low[l] >> 4 | (high[l] >> 4 & 3) << 4;
                levels[l + 96] = low[l + 32] >> 4 | (high[l] >> 6) << 4;
            }
        }
        run_mut::<16>(&mut planes[1], i).copy_from_slice(&record[192..208]);
        run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[208..]);
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        let levels: &[u8; 256] = run(planes[2], i);
        let (low, rest) = record.split_at_mut(128);
        let (high, rest) = rest.split_at_mut(64);
        for half in 0..2 {
            let levels: &[u8; 128] = run(levels, half);
            let low: &mut [u8; 64] = run_mut(low, half);
            let high: &mut [u8; 32] = run_mut(high, half);
            for l in 0..32 {
                let [a, b, c, d] = [0, 32, 64, 96].map(|group| levels[group + l]);
                low[l] = a & 15 | c << 4;
                low[l + 32] = b & 15 | d << 4;
                high[l] = a >> 4 & 3 | (b >> 4 & 3) << 2 | (c >> 4 & 3) << 4 | d >> 4 << 6;
            }
        }
        rest[..16].copy_from_slice(run::<16>(planes[1], i));
        rest[16..].copy_from_slice(run::<2>(planes[0], i));
    }
}

/// 256 levels of 4 bits, two in a byte; 8 scales of 6 bits.
pub(super) struct Iq4Xs;

impl Record for Iq4Xs {
    const BYTES: usize = 136;
    const STREAMS: &'static [Stream] = &[
        half("scale of scales", 1),
        bytes("scales", 8, Scales),
        bytes("levels", 128, Levels),
    ];
    const GROUPING: Option<Grouping> = Some(Grouping {
        groups: 8,
        levels: 32,
        pairs: Some(4),
        step: &[factor(0, Half), factor(1, Above32)],
        minimum: &[],
        zero: Some(16),
    });

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[..2]);
        let high = u32::from(u16::from_le_bytes(*run(&record[2..], 0)));
        let low: &[u8; 4] = run(&record[4..], 0);
        let scales: &mut [u8; 8] = run_mut(&mut planes[1], i);
        for (j, scale) in scales.iter_mut().enumerate() {
            let [high, ..] = (high >> (j * 2) & 3).to_le_bytes();
            *scale = low[j / 2] >> (j % 2 * 4) & 15 | high << 4;
        }
        run_mut::<128>(&mut planes[2], i).copy_from_slice(&record[8..]);
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        record[..2].copy_from_slice(run::<2>(planes[0], i));
        let scales: &[u8; 8] = run(planes[1], i);
        let mut high = 0u16;
        for (j, scale) in scales.iter().enumerate() {
            high |= u16::from(scale >> 4 & 3) << (j * 2);
        }
        record[2..4].copy_from_slice(&high.to_le_bytes());
        for (packed, pair) in record[4..8].iter_mut().zip(scales.as_chunks::<2>().0) {
            *packed = pair[0] & 15 | pair[1] << 4;
        }
        record[8..].copy_from_slice(run::<128>(planes[2], i));
    }
}

/// 256 weights by groups of 32: four indices into a grid, then four times seven signs and a scale of four bits.
pub(super) struct Iq2Xxs;

impl Record for Iq2Xxs {
    const BYTES: usize = 66;
    const STREAMS: &'static [Stream] = &[
        half("scale", 1),
        bytes("grid", 32, Bytes),
        bytes("signs", 32, Bytes),
        bytes("scales", 8, Scales),
    ];

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[..2]);
        for (group, bytes) in record[2..].as_chunks::<8>().0.iter().enumerate() {
            let (grid, signs): (&[u8; 4], &[u8; 4]) = (run(bytes, 0), run(bytes, 1));
            *run_mut(&mut planes[1], i * 8 + group) = *grid;
            let bits = u32::from_le_bytes(*signs);
            let signs: &mut [u8; 4] = run_mut(&mut planes[2], i * 8 + group);
            for (j, signs) in signs.iter_mut().enumerate() {
                [*signs, ..] = (bits >> (j * 7) & 127).to_le_bytes();
            }
            [planes[3][i * 8 + group], ..] = (bits >> 28).to_le_bytes();
        }
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        record[..2].copy_from_slice(run::<2>(planes[0], i));
        for (group, bytes) in record[2..].as_chunks_mut::<8>().0.iter_mut().enumerate() {
            bytes[..4].copy_from_slice(run::<4>(planes[1], i * 8 + group));
            let signs: &[u8; 4] = run(planes[2], i * 8 + group);
            let mut bits = u32::from(planes[3][i * 8 + group]) << 28;
            for (j, signs) in signs.iter().enumerate() {
                bits |= u32::from(signs & 127) << (j * 7);
            }
            bytes[4..].copy_from_slice(&bits.to_le_bytes());
        }
    }
}

/// 256 weights: 32 indices of nine bits into a grid with seven signs each, and scales.
pub(super) struct Iq2Xs;

impl Record for Iq2Xs {
    const BYTES: usize = 74;
    const STREAMS: &'static [Stream] = &[
        half("scale", 1),
        bytes("grid", 32, Bytes),
        bytes("signs", 32, Bytes),
        bytes("scales", 8, Scales),
    ];

    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
        run_mut::<2>(&mut planes[0], i).copy_from_slice(&record[..2]);
        for (j, pair) in record[2..66].as_chunks::<2>().0.iter().enumerate() {
            planes[1][i * 32 + j] = pair[0];
            planes[2][i * 32 + j] = pair[1];
        }
        run_mut::<8>(&mut planes[3], i).copy_from_slice(&record[66..]);
    }

    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
        record[..2].copy_from_slice(run::<2>(planes[0], i));
        let (grid, signs): (&[u8; 32], &[u8; 32]) = (run(planes[1], i), run(planes[2], i));
        for (j, pair) in record[2..66].as_chunks_mut::<2>().0.iter_mut().enumerate() {
            *pair = [grid[j], signs[j]];
        }
        record[66..].copy_from_slice(run::<8>(planes[3], i));
    }
}
