//! Cuts the fields of a plane into a symbol, which is worth entropy coding, and raw bits, which are
//! not; and joins them again. Both entropy coders of numbers build on this.
//!
//! A field of `width` bits is first rotated left by `rotate` bits within its width, so that a sign
//! at the top comes to the bottom. Its low `raw_bits` are the raw bits, the others the symbol. A
//! symbol is named by an id of one byte: 0 stands for symbol 0, every other id for `base + id`.
//! What has no id is an exception: it goes through the coder under some other id, and its place and
//! symbol are kept in a list.
//!
//! Raw bits of a plane are stored as a run of bytes, the low 8 bits of each element, if there are
//! as many; then what is left above them, `raw_bits % 8` an element, as a bit string.
//!
//! Knows nothing of how ids are coded.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod plan;
mod portable;

pub(super) use plan::{Choices, Plan, Planner, log2};

use crate::error::{Error, Result};
use crate::simd::{Simd, prefetch};

/// Bytes of a `Split` in front of a coded plane.
pub(super) const SPLIT_BYTES: usize = 4;
/// Bytes of one exception: place (4), symbol (2).
const EXCEPTION_BYTES: usize = 6;
/// More exceptions than this a plane cannot have.
pub(super) const MAX_EXCEPTIONS: usize = u16::MAX as usize;
/// Elements that kernels work on at once: pieces of a plane start at multiples of this.
pub(super) const LANES: usize = 64;

/// How fields are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// Bits of a field: 8 or 16.
    pub width: u8,
    /// Bits a field is rotated left by: 0 or 1.
    pub rotate: u8,
    /// Low bits that are not coded, less than the width.
    pub raw_bits: u8,
    /// Symbol of id 0, were it not symbol 0.
    pub base: u16,
}

impl Split {
    /// Reads what `to_bytes` wrote for a plane of this width.
    ///
    /// # Errors
    /// `Corrupt` if there is no such split.
    pub fn parse(bytes: [u8; SPLIT_BYTES], width: u8) -> Result<Self> {
        let [raw_bits, rotate, low, high] = bytes;
        let split = Self {
            width,
            rotate,
            raw_bits,
            base: u16::from_le_bytes([low, high]),
        };
        if !matches!(width, 8 | 16) || rotate > 1 || raw_bits >= width {
            return Err(Error::corrupt(
                "a plane has an impossible split of its bits",
            ));
        }
        Ok(split)
    }

    /// The form that is stored.
    pub fn to_bytes(self) -> [u8; SPLIT_BYTES] {
        let [low, high] = self.base.to_le_bytes();
        [self.raw_bits, self.rotate, low, high]
    }

    /// Raw bits of an element that are stored beside the run of bytes.
    pub const fn packed_bits(self) -> u8 {
        self.raw_bits % 8
    }

    /// Length of the run of low bytes for `count` elements.
    pub const fn low_bytes(self, count: usize) -> usize {
        if self.raw_bits >= 8 { count } else { 0 }
    }

    /// Length of the bit string for `count` elements.
    pub const fn packed_bytes(self, count: usize) -> usize {
        (count * self.packed_bits() as usize).div_ceil(8)
    }

    /// The symbol that an id stands for.
    const fn symbol(self, id: u8) -> u16 {
        if id == 0 {
            0
        } else {
            self.base.wrapping_add(id as u16)
        }
    }

    /// A field from its rotated form.
    const fn rotate_back(self, rotated: u16) -> u16 {
        if self.rotate == 0 {
            rotated
        } else if self.width == 16 {
            rotated.rotate_right(1)
        } else {
            let [low, _] = rotated.to_le_bytes();
            low.rotate_right(1) as u16
        }
    }

    /// The rotated form of a field.
    pub const fn rotate(self, field: u16) -> u16 {
        if self.rotate == 0 {
            field
        } else if self.width == 16 {
            field.rotate_left(1)
        } else {
            let [low, _] = field.to_le_bytes();
            low.rotate_left(1) as u16
        }
    }
}

/// Raw bits of a run of elements that starts at a multiple of `LANES`. Both slices may be longer
/// than the run needs, which lets kernels load whole vectors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    /// Low bytes, from the first element on.
    pub low: &'a [u8],
    /// Bit string, from the first element on.
    pub packed: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Asks for the raw bits of the first elements to be brought near.
    pub fn prefetch(self, split: Split, count: usize) {
        for (bytes, len) in [
            (self.low, split.low_bytes(count)),
            (self.packed, split.packed_bytes(count)),
        ] {
            prefetch(&bytes[..len.min(bytes.len())]);
        }
    }

    /// What is left behind `count` elements, a multiple of 8.
    pub fn skip(self, split: Split, count: usize) -> Self {
        Self {
            low: self.low.get(split.low_bytes(count)..).unwrap_or_default(),
            packed: self
                .packed
                .get(split.packed_bytes(count)..)
                .unwrap_or_default(),
        }
    }
}

/// Joins ids with raw bits to the fields of a plane. Raw bits that are missing count as zero.
///
/// # Panics
/// If `fields` is not as long as `ids` says.
pub(super) fn join(split: Split, simd: Simd, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) {
    assert_eq!(fields.len(), ids.len() * usize::from(split.width / 8));
    let done = match simd {
        #[cfg(target_arch = "x86_64")]
        _ if split.width == 16 && simd.avx512() => avx512::join(simd, split, ids, raw, fields),
        #[cfg(target_arch = "x86_64")]
        _ if split.width == 16 && simd.avx2() => avx2::join(simd, split, ids, raw, fields),
        _ => 0,
    };
    portable::join(
        split,
        &ids[done..],
        raw.skip(split, done),
        &mut fields[done * usize::from(split.width / 8)..],
    );
}

/// What `Parts::cut` makes of a plane.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    simd: Simd,
    /// One id an element.
    pub ids: Vec<u8>,
    /// Run of low bytes.
    pub low: Vec<u8>,
    /// Bit string.
    pub packed: Vec<u8>,
    /// Places of elements whose symbol has no id, with that symbol.
    pub exceptions: Vec<(u32, u16)>,
}

/// Which ids there are for symbols.
#[derive(Debug, Clone, Copy)]
struct Names {
    /// Highest id.
    most_id: u8,
    /// The id that exceptions are coded as.
    stand_in: u8,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            simd: Simd::detect(),
            ids: Vec::new(),
            low: Vec::new(),
            packed: Vec::new(),
            exceptions: Vec::new(),
        }
    }
}

impl Parts {
    /// What the ids were cut with.
    pub const fn simd(&self) -> Simd {
        self.simd
    }

    /// How often each id occurs.
    pub fn counts(&self) -> [u32; 256] {
        // Four in turn: equal neighbours do not wait for each other's counter.
        let mut counts = [[0u32; 256]; 4];
        let (words, rest) = self.ids.as_chunks::<4>();
        for ids in words {
            for (counts, &id) in counts.iter_mut().zip(ids) {
                counts[usize::from(id)] += 1;
            }
        }
        for &id in rest {
            counts[0][usize::from(id)] += 1;
        }
        std::array::from_fn(|id| counts.iter().map(|counts| counts[id]).sum())
    }

    /// Cuts the fields of a plane. Ids are at most `most_id`; exceptions are coded as `stand_in`.
    pub fn cut(&mut self, split: Split, most_id: u8, stand_in: u8, plane: &[u8]) {
        let simd = self.simd;
        let count = plane.len() / usize::from(split.width / 8);
        self.exceptions.clear();
        self.ids.resize(count, 0);
        self.low.resize(split.low_bytes(count), 0);
        self.packed.resize(split.packed_bytes(count), 0);
        let names = Names { most_id, stand_in };
        let done = match simd {
            #[cfg(target_arch = "x86_64")]
            _ if split.width == 16 && simd.avx512() => avx512::cut(simd, split, names, plane, self),
            #[cfg(target_arch = "x86_64")]
            _ if split.width == 16 && simd.avx2() => avx2::cut(simd, split, names, plane, self),
            _ => 0,
        };
        portable::cut(split, names, plane, done, self);
    }

    /// Notes the symbol of an element as an exception.
    fn except(&mut self, place: usize, symbol: u16) {
        let place = u32::try_from(place).expect("invariant: a block has fewer elements than 2^32");
        self.exceptions.push((place, symbol));
    }
}

/// Appends a list of exceptions.
pub(super) fn put_exceptions(exceptions: &[(u32, u16)], out: &mut Vec<u8>) {
    for (place, symbol) in exceptions {
        out.extend_from_slice(&place.to_le_bytes());
        out.extend_from_slice(&symbol.to_le_bytes());
    }
}

/// Length of a list of exceptions.
pub(super) const fn exceptions_bytes(count: usize) -> usize {
    count * EXCEPTION_BYTES
}

/// Puts the symbols of exceptions in their places.
///
/// # Errors
/// `Corrupt` if one lies outside the plane.
pub(super) fn apply_exceptions(split: Split, list: &[u8], fields: &mut [u8]) -> Result<()> {
    let field_bytes = usize::from(split.width / 8);
    for row in list.chunks_exact(EXCEPTION_BYTES) {
        let place = u32::from_le_bytes([row[0], row[1], row[2], row[3]]);
        let symbol = u16::from_le_bytes([row[4], row[5]]);
        let field = usize::try_from(place)
            .ok()
            .and_then(|place| fields.chunks_exact_mut(field_bytes).nth(place))
            .ok_or_else(|| Error::corrupt("an exception lies outside its plane"))?;
        let mut word = [0; 2];
        word[..field_bytes].copy_from_slice(field);
        let raw = split.rotate(u16::from_le_bytes(word)) & ((1 << split.raw_bits) - 1);
        let whole = split.rotate_back(symbol << split.raw_bits | raw);
        field.copy_from_slice(&whole.to_le_bytes()[..field_bytes]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Joins element by element, by the definition.
    fn naive_join(split: Split, ids: &[u8], raw: Raw<'_>) -> Vec<u8> {
        let bit = |bytes: &[u8], at: usize| u16::from(bytes[at / 8] >> (at % 8) & 1);
        let mut fields = Vec::new();
        for (i, &id) in ids.iter().enumerate() {
            let mut value = u32::from(split.symbol(id)) << split.raw_bits;
            if split.raw_bits >= 8 {
                value |= u32::from(raw.low[i]);
            }
            for j in 0..split.packed_bits() {
                let at = i * usize::from(split.packed_bits()) + usize::from(j);
                value |=
                    u32::from(bit(raw.packed, at)) << (split.raw_bits - split.packed_bits() + j);
            }
            let [low, high, ..] = value.to_le_bytes();
            let field = split.rotate_back(u16::from_le_bytes([low, high]));
            fields.extend(&field.to_le_bytes()[..usize::from(split.width / 8)]);
        }
        fields
    }

    fn splits() -> impl Strategy<Value = Split> {
        prop::sample::select(vec![8u8, 16]).prop_flat_map(|width| {
            (Just(width), 0u8..=1, 0..width, any::<u16>()).prop_map(
                |(width, rotate, raw_bits, base)| Split {
                    width,
                    rotate,
                    raw_bits,
                    base: base >> raw_bits,
                },
            )
        })
    }

    proptest! {
        #[test]
        fn every_kernel_joins_by_the_definition(
            split in splits(),
            ids in prop::collection::vec(any::<u8>(), 0..700),
            noise in prop::collection::vec(any::<u8>(), 1400),
            spare in 0usize..200,
        ) {
            let raw = Raw {
                low: &noise[..split.low_bytes(ids.len()) + spare.min(80)],
                packed: &noise[..split.packed_bytes(ids.len()) + spare],
            };
            let expected = naive_join(split, &ids, raw);
            for simd in Simd::available() {
                let mut fields = vec![0x55; expected.len()];
                join(split, simd, &ids, raw, &mut fields);
                prop_assert_eq!(&fields, &expected, "{}", simd.name());
            }
        }

        #[test]
        fn planes_come_back(
            split in splits(),
            plane in prop::collection::vec(any::<u8>(), 0..700),
            most_id: u8,
        ) {
            let plane = &plane[..plane.len() / 2 * 2];
            let mut parts = Parts {
                simd: Simd::PORTABLE,
                ..Parts::default()
            };
            parts.cut(split, most_id, most_id, plane);
            for simd in Simd::available() {
                let mut same = Parts { simd, ..Parts::default() };
                same.cut(split, most_id, most_id, plane);
                same.simd = Simd::PORTABLE;
                prop_assert_eq!(&same, &parts, "{}", simd.name());
            }
            prop_assert!(parts.ids.iter().all(|&id| id <= most_id));
            let mut fields = vec![0; plane.len()];
            let raw = Raw { low: &parts.low, packed: &parts.packed };
            let count = parts.ids.len();
            prop_assert_eq!(parts.low.len(), split.low_bytes(count));
            prop_assert_eq!(parts.packed.len(), split.packed_bytes(count));
            join(split, Simd::detect(), &parts.ids, raw, &mut fields);
            let mut list = Vec::new();
            put_exceptions(&parts.exceptions, &mut list);
            apply_exceptions(split, &list, &mut fields).unwrap();
            prop_assert_eq!(&fields, plane);
            let outside = u32::try_from(count).unwrap();
            list.clear();
            put_exceptions(&[(outside, 0)], &mut list);
            prop_assert!(apply_exceptions(split, &list, &mut fields).is_err());
        }
    }
}
