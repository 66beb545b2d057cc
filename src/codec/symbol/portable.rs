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
    match (split.width, split.raw_bits) {
        (_, 0) if split.is_of_bytes() => fields.copy_from_slice(ids),
        (_, 1..=4) if split.is_of_bytes() => {
            join_below(split.raw_bits, ids, raw.packed, fields);
        }
        (8, 0) => {
            for (field, &id) in fields.iter_mut().zip(ids) {
                *field = symbols[usize::from(id)].to_le_bytes()[0];
            }
        }
        (8, _) => join_fields::<1>(split, &symbols, ids, raw, fields),
        _ => join_fields::<2>(split, &symbols, ids, raw, fields),
    }
}

/// Joins bytes with so many bits below them, up to 4, where ids are symbols: eight at once.
fn join_below(raw_bits: u8, ids: &[u8], packed: &[u8], fields: &mut [u8]) {
    let ones = u64::MAX / 255;
    let kept = ones * u64::from(u8::MAX >> raw_bits);
    let join = |ids: [u8; GROUP], at: usize| {
        let ids = (u64::from_le_bytes(ids) & kept) << raw_bits;
        let bits = word_at(packed, at * usize::from(raw_bits));
        (ids | spread(bits, raw_bits)).to_le_bytes()
    };
    let (groups, last) = ids.as_chunks::<GROUP>();
    let (outs, last_out) = fields.as_chunks_mut::<GROUP>();
    for (at, (&ids, out)) in groups.iter().zip(outs).enumerate() {
        *out = join(ids, at);
    }
    let mut padded = [0; GROUP];
    padded[..last.len()].copy_from_slice(last);
    last_out.copy_from_slice(&join(padded, groups.len())[..last.len()]);
}

/// The lowest eight fields of so many bits, up to 4, each in a byte.
const fn spread(bits: u64, width: u8) -> u64 {
    let width = width as u32;
    let (one, two, four) = (mask(width), mask(2 * width), mask(4 * width));
    let halves = bits & four | (bits >> (4 * width) & four) << 32;
    let two = two * 0x1_0000_0001;
    let quarters = halves & two | (halves >> (2 * width) & two) << 16;
    let one = one * 0x0001_0001_0001_0001;
    quarters & one | (quarters >> width & one) << 8
}

/// The other way round: the lowest bits of eight bytes.
const fn gather(bytes: u64, width: u8) -> u64 {
    let width = width as u32;
    let ones = bytes & (mask(width) * (u64::MAX / 255));
    let quarters = (ones | ones >> (8 - width)) & (mask(2 * width) * 0x0001_0001_0001_0001);
    let halves = (quarters | quarters >> (16 - 2 * width)) & (mask(4 * width) * 0x1_0000_0001);
    (halves | halves >> (32 - 4 * width)) & mask(8 * width)
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
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
fn word_at(bytes: &[u8], at: usize) -> u64 {
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
    let most = u16::from(names.most_id) << split.raw_bits | ((1 << split.raw_bits) - 1);
    if split.is_of_bytes()
        && done == 0
        && u16::from(plane.iter().copied().max().unwrap_or(0)) <= most
    {
        cut_below(split.raw_bits, plane, parts);
    } else if split.width == 8 {
        cut_fields::<1>(split, names, plane, done, parts);
    } else {
        cut_fields::<2>(split, names, plane, done, parts);
    }
}

/// Cuts bytes into ids and so many bits below them, up to 4, where all symbols are ids: eight at once.
fn cut_below(raw_bits: u8, plane: &[u8], parts: &mut Parts) {
    if raw_bits == 0 {
        parts.ids.copy_from_slice(plane);
        return;
    }
    let kept = (u64::MAX / 255) * u64::from(u8::MAX >> raw_bits);
    let cut = |fields: &[u8; GROUP]| {
        let fields = u64::from_le_bytes(*fields);
        let ids = (fields >> raw_bits & kept).to_le_bytes();
        (ids, gather(fields, raw_bits).to_le_bytes())
    };
    let (groups, last) = plane.as_chunks::<GROUP>();
    let (ids, last_ids) = parts.ids.as_chunks_mut::<GROUP>();
    let packed_bytes = usize::from(raw_bits);
    let packed = parts.packed.chunks_mut(packed_bytes);
    for ((fields, ids), packed) in groups.iter().zip(ids).zip(packed) {
        let (of_eight, raw) = cut(fields);
        *ids = of_eight;
        packed.copy_from_slice(&raw[..packed_bytes]);
    }
    let mut padded = [0; GROUP];
    padded[..last.len()].copy_from_slice(last);
    let (of_last, raw) = cut(&padded);
    last_ids.copy_from_slice(&of_last[..last.len()]);
    let rest = &mut parts.packed[groups.len() * packed_bytes..];
    rest.copy_from_slice(&raw[..rest.len()]);
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
