//! Rice codes; and scales coded by them: how far each lies from one in the middle, in steps.

use crate::plane::{BitReader, BitWriter};

/// More ones than this in a Rice code are no code.
const MAX_UNARY: u32 = 1 << 12;

pub(super) const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

pub(super) const fn unzigzag(code: u32) -> i32 {
    (code >> 1).cast_signed() ^ -((code & 1).cast_signed())
}

/// The Rice parameter that suits these codes, of which none is above 2^27.
pub(super) fn rice_bits(codes: impl Iterator<Item = u32> + Clone) -> u8 {
    let most = codes.clone().max().unwrap_or(0);
    (0..16u8)
        .filter(|&bits| most >> bits <= MAX_UNARY)
        .min_by_key(|&bits| {
            codes
                .clone()
                .map(|code| u64::from(code >> bits) + 1 + u64::from(bits))
                .sum::<u64>()
        })
        .unwrap_or(0)
}

pub(super) fn rice_length(code: u32, bits: u8) -> usize {
    (code >> bits) as usize + 1 + usize::from(bits)
}

pub(super) fn put_rice(code: u32, bits: u8, out: &mut BitWriter<'_>) {
    for _ in 0..code >> bits {
        out.put(1, 1);
    }
    out.put(0, 1);
    if bits > 0 {
        out.put(u64::from(code) & ((1 << bits) - 1), bits);
    }
}

/// Appends codes as one bit string.
pub(super) fn append_codes(codes: impl Iterator<Item = u32> + Clone, bits: u8, out: &mut Vec<u8>) {
    let lengths = codes.clone().map(|code| rice_length(code, bits));
    let (at, len) = (out.len(), lengths.sum::<usize>().div_ceil(8));
    out.resize(at + len, 0);
    let mut writer = BitWriter::new(&mut out[at..]);
    for code in codes {
        put_rice(code, bits, &mut writer);
    }
    writer.finish();
}

pub(super) fn take_rice(from: &mut BitReader<'_>, bits: u8) -> Option<u32> {
    let high = from.take_unary(MAX_UNARY)?;
    let low = if bits > 0 { from.take(bits) } else { 0 };
    u32::try_from(u64::from(high) << bits | low).ok()
}

/// Codes of scales around a middle.
pub(super) fn codes(
    scales: &[i16],
    middle: i16,
    step_bits: u8,
) -> impl Iterator<Item = u32> + Clone {
    scales
        .iter()
        .map(move |&scale| zigzag((i32::from(scale) - i32::from(middle)) >> step_bits))
}

/// The scale of a code.
pub(super) fn scale(code: u32, middle: i16, step_bits: u8) -> i16 {
    let steps = i64::from(unzigzag(code)) << step_bits;
    let [low, high, ..] = (i64::from(middle) + steps).to_le_bytes();
    i16::from_le_bytes([low, high])
}

/// The scale in the middle of some.
pub(super) fn middle(scales: &[i16]) -> i16 {
    let mut sorted = scales.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}
