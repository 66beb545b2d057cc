//! Cutting and joining without vector instructions; also what is left over by the vector kernels.

use super::{Parts, Raw, Split};

/// Elements whose bits are packed as one word: their bit string is a whole number of bytes.
const GROUP: usize = 8;

pub(super) fn join(split: Split, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) {
    // What each id stands for, where it belongs in a field.
    let symbols: [u16; 256] = std::array::from_fn(|id| {
        let [id, ..] = id.to_le_bytes();
        split.rotate_back(split.symbol(id) << split.raw_bits)
    });
    match (split.width, split.raw_bits) {
        (8, 0) => {
            for (field, &id) in fields.iter_mut().zip(ids) {
                *field = symbols[usize::from(id)].to_le_bytes()[0];
            }
        }
        (8, _) => join_fields::<1>(split, &symbols, ids, raw, fields),
        _ => join_fields::<2>(split, &symbols, ids, raw, fields),
    }
}

fn join_fields<const BYTES: usize>(
    split: Split,
    symbols: &[u16; 256],
    ids: &[u8],
    raw: Raw<'_>,
    fields: &mut [u8],
) {
    let packed_bits = u32::from(split.packed_bits());
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
            let field = field_of(ids[i], bits >> (i as u32 * packed_bits), low[i]);
            out[i * BYTES..(i + 1) * BYTES].copy_from_slice(&field[..BYTES]);
        }
    }
    let bits = word_at(raw.packed, whole * group_bytes);
    let low = low_at(whole * GROUP);
    let ids = &ids[whole * GROUP..];
    let out = &mut fields[whole * GROUP * BYTES..];
    for (i, out) in out.chunks_exact_mut(BYTES).enumerate() {
        let field = field_of(ids[i], bits >> (i as u32 * packed_bits), low[i]);
        out.copy_from_slice(&field[..BYTES]);
    }
}

/// Eight bytes from a place on; behind the end there are zeros.
fn word_at(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(word) = rest.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(word)
}

pub(super) fn cut(split: Split, most_id: u8, stand_in: u8, plane: &[u8], parts: &mut Parts) {
    if split.width == 8 {
        cut_fields::<1>(split, most_id, stand_in, plane, parts);
    } else {
        cut_fields::<2>(split, most_id, stand_in, plane, parts);
    }
}

fn cut_fields<const BYTES: usize>(
    split: Split,
    most_id: u8,
    stand_in: u8,
    plane: &[u8],
    parts: &mut Parts,
) {
    let count = plane.len() / BYTES;
    parts.ids.resize(count, 0);
    parts.low.resize(split.low_bytes(count), 0);
    parts.packed.resize(split.packed_bytes(count), 0);
    let packed_bits = u32::from(split.packed_bits());
    let mask = (1u16 << packed_bits) - 1;
    let above_low = split.raw_bits - split.packed_bits();
    let group_bytes = usize::from(split.packed_bits());
    let groups = plane.chunks(GROUP * BYTES).zip(parts.ids.chunks_mut(GROUP));
    for (g, (fields, ids)) in groups.enumerate() {
        let mut bits = 0u64;
        let mut low = [0; GROUP];
        for (i, (field, id)) in fields.chunks_exact(BYTES).zip(ids).enumerate() {
            let mut word = [0; 2];
            word[..BYTES].copy_from_slice(field);
            let rotated = split.rotate(u16::from_le_bytes(word));
            bits |= u64::from(rotated >> above_low & mask) << (i as u32 * packed_bits);
            low[i] = rotated.to_le_bytes()[0];
            let symbol = rotated >> split.raw_bits;
            *id = split.id(symbol, most_id).unwrap_or_else(|| {
                let place = u32::try_from(g * GROUP + i)
                    .expect("invariant: a block has fewer elements than 2^32");
                parts.exceptions.push((place, symbol));
                stand_in
            });
        }
        if above_low > 0 {
            let at = g * GROUP;
            let len = GROUP.min(count - at);
            parts.low[at..at + len].copy_from_slice(&low[..len]);
        }
        if group_bytes > 0 {
            let at = g * group_bytes;
            let len = group_bytes.min(parts.packed.len() - at);
            parts.packed[at..at + len].copy_from_slice(&bits.to_le_bytes()[..len]);
        }
    }
}
