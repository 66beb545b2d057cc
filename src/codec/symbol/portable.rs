//! Cutting and joining without vector instructions; also what is left over by the vector kernels.

use super::cut_parts::{Names, Parts};
use super::split::{Raw, Split};

/// Elements whose bits are packed as one word: their bit string is a whole number of bytes.
const GROUP: usize = 8;

pub(super) fn join(split: Split, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) {
    // What each id stands for, where it belongs in a field.
    let symbols: [u16; 256] = std::array::from_fn(|id| {
        let [id, ..] = id.to_le_bytes();
        split.rotate_back(split.symbol(id) << split.raw_bits)
    });
    if split.width == 8 {
        join_fields::<1>(split, &symbols, ids, raw, fields);
    } else {
        join_fields::<2>(split, &symbols, ids, raw, fields);
    }
}

fn join_fields<const BYTES: usize>(
    split: Split,
    symbols: &[u16; 256],
    ids: &[u8],
    raw: Raw<'_>,
    fields: &mut [u8],
) {
    let packed_bits = usize::from(split.packed_bits());
    let mask = (1u16 << packed_bits) - 1;
    let above_low = split.raw_bits - split.packed_bits();
    let group_bytes = usize::from(split.packed_bits());
    let low_at = |place| {
        if above_low > 0 {
            word_at(raw.low, place).to_le_bytes()
        } else {
            [0; GROUP]
        }
    };
    let field_of = |id: u8, bits: u64, low: u8| {
        let [a, b, ..] = bits.to_le_bytes();
        let raw = (u16::from_le_bytes([a, b]) & mask) << above_low | u16::from(low);
        let field = symbols[usize::from(id)] | split.rotate_back(raw);
        field.to_le_bytes()
    };
    let whole = ids.len() / GROUP;
    let groups = ids.as_chunks::<GROUP>().0.iter();
    let outs = fields.chunks_exact_mut(GROUP * BYTES);
    for (g, (ids, out)) in groups.zip(outs).enumerate() {
        let bits = word_at(raw.packed, g * group_bytes);
        let low = low_at(g * GROUP);
        for i in 0..GROUP {
            let field = field_of(ids[i], bits >> (i * packed_bits), low[i]);
            out[i * BYTES..(i + 1) * BYTES].copy_from_slice(&field[..BYTES]);
        }
    }
    let bits = word_at(raw.packed, whole * group_bytes);
    let low = low_at(whole * GROUP);
    let ids = &ids[whole * GROUP..];
    let out = &mut fields[whole * GROUP * BYTES..];
    for (i, out) in out.chunks_exact_mut(BYTES).enumerate() {
        let field = field_of(ids[i], bits >> (i * packed_bits), low[i]);
        out.copy_from_slice(&field[..BYTES]);
    }
}

/// Eight bytes from a place on; behind the end there are zeros.
pub(super) fn word_at(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(word) = rest.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(word)
}

/// Cuts the fields from element `done` on, a multiple of `LANES`.
pub(super) fn cut(split: Split, names: Names, plane: &[u8], done: usize, parts: &mut Parts) {
    if split.width == 8 {
        cut_fields::<1>(split, names, plane, done, parts);
    } else {
        cut_fields::<2>(split, names, plane, done, parts);
    }
}

fn cut_fields<const BYTES: usize>(
    split: Split,
    names: Names,
    plane: &[u8],
    done: usize,
    parts: &mut Parts,
) {
    let packed_bits = usize::from(split.packed_bits());
    let mask = (1u16 << packed_bits) - 1;
    let above_low = split.raw_bits - split.packed_bits();
    let group_bytes = usize::from(split.packed_bits());
    // One id, whatever the field: no branch unless there is an exception among eight.
    let id_of = |symbol: u16| {
        let distance = symbol.wrapping_sub(split.base);
        let known = (1..=u16::from(names.most_id)).contains(&distance) && symbol != 0;
        let [id, _] = distance.to_le_bytes();
        (if known { id } else { 0 }, known || symbol == 0)
    };
    for (g, fields) in plane[done * BYTES..].chunks(GROUP * BYTES).enumerate() {
        let first = done + g * GROUP;
        let len = fields.len() / BYTES;
        let mut padded = [0; 2 * GROUP];
        padded[..fields.len()].copy_from_slice(fields);
        let mut bits = 0u64;
        let mut low = [0; GROUP];
        let mut ids = [0; GROUP];
        let mut symbols = [0; GROUP];
        let mut all_known = true;
        for i in 0..GROUP {
            let mut word = [0; 2];
            word[..BYTES].copy_from_slice(&padded[i * BYTES..(i + 1) * BYTES]);
            let rotated = split.rotate(u16::from_le_bytes(word));
            bits |= u64::from(rotated >> above_low & mask) << (i * packed_bits);
            low[i] = rotated.to_le_bytes()[0];
            symbols[i] = rotated >> split.raw_bits;
            let known;
            (ids[i], known) = id_of(symbols[i]);
            all_known &= known;
        }
        if !all_known {
            for i in 0..len {
                if !id_of(symbols[i]).1 {
                    ids[i] = names.stand_in;
                    parts.except(first + i, symbols[i]);
                }
            }
        }
        parts.ids[first..first + len].copy_from_slice(&ids[..len]);
        if above_low > 0 {
            parts.low[first..first + len].copy_from_slice(&low[..len]);
        }
        if group_bytes > 0 {
            let at = first / GROUP * group_bytes;
            let len = group_bytes.min(parts.packed.len() - at);
            parts.packed[at..at + len].copy_from_slice(&bits.to_le_bytes()[..len]);
        }
    }
}
