//! Cutting and joining fields of 8 bits, `LANES` at a time, in a form that compilers make vectors of.

use super::cut_parts::{Names, Parts};
use super::portable::word_at;
use super::split::{LANES, Raw, Split};

/// Fields whose raw bits are packed as one word.
const GROUP: usize = 8;

/// Joins as many whole runs as there are, and says of how many fields.
pub(super) fn join(split: Split, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    // Shifts by a constant are what makes this fast.
    match split.raw_bits {
        0 => join_by::<0>(split, ids, raw, fields),
        1 => join_by::<1>(split, ids, raw, fields),
        2 => join_by::<2>(split, ids, raw, fields),
        3 => join_by::<3>(split, ids, raw, fields),
        4 => join_by::<4>(split, ids, raw, fields),
        _ => 0,
    }
}

fn join_by<const BITS: usize>(split: Split, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    // Higher bits of a symbol have no place in a field.
    let [base, _] = split.base.to_le_bytes();
    let ids = ids.as_chunks::<LANES>().0;
    let runs = ids.iter().zip(fields.as_chunks_mut::<LANES>().0);
    for (run, (ids, fields)) in runs.enumerate() {
        let mut low = [0; LANES];
        if BITS > 0 {
            let packed = raw.packed.get(run * LANES / GROUP * BITS..);
            let packed = packed.unwrap_or_default();
            for (group, low) in low.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
                let packed = word_at(packed, group * BITS);
                *low = spread(packed, BITS).to_le_bytes();
            }
        }
        for ((field, &id), low) in fields.iter_mut().zip(ids).zip(low) {
            let symbol = if id == 0 { 0 } else { base.wrapping_add(id) };
            *field = symbol << BITS | low;
        }
        if split.rotate == 1 {
            for field in fields {
                *field = field.rotate_right(1);
            }
        }
    }
    ids.len() * LANES
}

/// Cuts as many whole runs as there are, and says of how many fields.
pub(super) fn cut(split: Split, names: Names, plane: &[u8], parts: &mut Parts) -> usize {
    let Ok(base) = u8::try_from(split.base) else {
        return 0;
    };
    match split.raw_bits {
        0 => cut_by::<0>(split, base, names, plane, parts),
        1 => cut_by::<1>(split, base, names, plane, parts),
        2 => cut_by::<2>(split, base, names, plane, parts),
        3 => cut_by::<3>(split, base, names, plane, parts),
        4 => cut_by::<4>(split, base, names, plane, parts),
        _ => 0,
    }
}

fn cut_by<const BITS: usize>(
    split: Split,
    base: u8,
    names: Names,
    plane: &[u8],
    parts: &mut Parts,
) -> usize {
    let mask = (1 << BITS) - 1;
    let runs = plane.as_chunks::<LANES>().0;
    for (run, fields) in runs.iter().enumerate() {
        let mut rotated = *fields;
        if split.rotate == 1 {
            for field in &mut rotated {
                *field = field.rotate_left(1);
            }
        }
        let symbols = rotated.map(|field| field >> BITS);
        let first = run * LANES;
        let ids = &mut parts.ids[first..first + LANES];
        let mut unknown = 0;
        for (id, &symbol) in ids.iter_mut().zip(&symbols) {
            let distance = symbol.wrapping_sub(base);
            let known = symbol > base && distance <= names.most_id;
            *id = if known { distance } else { 0 };
            unknown |= u8::from(!known) & u8::from(symbol != 0);
        }
        if unknown != 0 {
            for (place, &symbol) in symbols.iter().enumerate() {
                if symbol != 0 && parts.ids[first + place] == 0 {
                    parts.ids[first + place] = names.stand_in;
                    parts.except(first + place, symbol.into());
                }
            }
        }
        if BITS > 0 {
            let low = rotated.map(|field| field & mask);
            let at = first / GROUP * BITS;
            let packed = parts.packed[at..at + LANES / GROUP * BITS].chunks_exact_mut(BITS);
            for (packed, low) in packed.zip(low.as_chunks::<GROUP>().0) {
                let word = gather(u64::from_le_bytes(*low), BITS).to_le_bytes();
                packed.copy_from_slice(&word[..BITS]);
            }
        }
    }
    runs.len() * LANES
}

/// Eight numbers of so many bits (1 to 7), one behind the other, each to a byte of its own.
const fn spread(packed: u64, bits: usize) -> u64 {
    let [ones, twos, fours] = masks(bits);
    let packed = packed & fours | (packed >> (4 * bits) & fours) << 32;
    let packed = packed & twos | (packed >> (2 * bits) & twos) << 16;
    packed & ones | (packed >> bits & ones) << 8
}

/// The same back.
const fn gather(bytes: u64, bits: usize) -> u64 {
    let [ones, twos, fours] = masks(bits);
    let bytes = bytes & ones | (bytes >> 8 & ones) << bits;
    let bytes = bytes & twos | (bytes >> 16 & twos) << (2 * bits);
    bytes & fours | (bytes >> 32 & fours) << (4 * bits)
}

/// Where one number lies in each 16 bits, two in each 32, four in 64.
const fn masks(bits: usize) -> [u64; 3] {
    [
        ((1 << bits) - 1) * 0x0001_0001_0001_0001,
        ((1 << (2 * bits)) - 1) * 0x0000_0001_0000_0001,
        (1 << (4 * bits)) - 1,
    ]
}
