//! Takes elements apart into planes and puts them together again.
//!
//! A plane of `n` elements is its `n` fields of `width` bits one behind the other, lowest bit
//! first, in `ceil(n * width / 8)` bytes whose unused top bits are zero. For a width of 8 that is a
//! plane of bytes. Knows nothing of how planes are coded or stored.

mod pack;

pub(crate) use pack::{BitReader, BitWriter};

/// Length in bytes of a plane of `count` fields of `width` bits.
pub fn plane_bytes(count: usize, width: u8) -> usize {
    (count * usize::from(width)).div_ceil(8)
}

/// A field of an element: `width` bits from bit `shift` upwards of the element rotated left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Lowest bit.
    pub shift: u8,
    /// Number of bits, 1 to 64.
    pub width: u8,
}

impl Field {
    const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// True for a whole byte of the rotated element.
    const fn is_byte(self) -> bool {
        self.width == 8 && self.shift.is_multiple_of(8)
    }
}

/// The one value that all `count` fields of a plane have, if they do and there are any.
pub fn constant_value(plane: &[u8], width: u8, count: usize) -> Option<u64> {
    let first = BitReader::new(plane).take(width);
    let mut reader = BitReader::new(plane);
    // Nearly every plane differs within a few values, so this costs nothing where it fails.
    (count > 0 && (0..count).all(|_| reader.take(width) == first)).then_some(first)
}

/// Fills a plane of `count` fields with one value, which is below `2^width`.
pub fn fill_constant(value: u64, width: u8, count: usize, plane: &mut [u8]) {
    if width == 8 {
        plane.fill(value.to_le_bytes()[0]);
        return;
    }
    let mut writer = BitWriter::new(plane);
    for _ in 0..count {
        writer.put(value, width);
    }
    writer.finish();
}

/// A number of the width of an element, as one register.
trait Element: Copy {
    const BYTES: usize;
    fn load(bytes: &[u8]) -> Self;
    fn store(self, bytes: &mut [u8]);
    fn rotate_left(self, bits: u32) -> Self;
    fn rotate_right(self, bits: u32) -> Self;
    fn widen(self) -> u64;
    fn truncate(bits: u64) -> Self;
    fn low_byte_from(self, bit: u32) -> u8;
    fn merge(self, other: Self) -> Self;
}

macro_rules! element {
    ($($type:ty),+) => {$(
        impl Element for $type {
            const BYTES: usize = size_of::<$type>();
            #[inline(always)]
            fn load(bytes: &[u8]) -> Self {
                let mut word = [0; size_of::<$type>()];
                word.copy_from_slice(bytes);
                Self::from_le_bytes(word)
            }
            #[inline(always)]
            fn store(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            #[inline(always)]
            fn rotate_left(self, bits: u32) -> Self {
                <$type>::rotate_left(self, bits)
            }
            #[inline(always)]
            fn rotate_right(self, bits: u32) -> Self {
                <$type>::rotate_right(self, bits)
            }
            #[inline(always)]
            fn widen(self) -> u64 {
                u64::from(self)
            }
            #[inline(always)]
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the bits above the element are zero; for u64 nothing is cut"
            )]
            fn truncate(bits: u64) -> Self {
                bits as Self
            }
            #[inline(always)]
            fn low_byte_from(self, bit: u32) -> u8 {
                // A shift, not an index into the bytes: it vectorizes.
                (self >> bit).to_le_bytes()[0]
            }
            #[inline(always)]
            fn merge(self, other: Self) -> Self {
                self | other
            }
        }
    )+};
}

element!(u8, u16, u32, u64);

macro_rules! by_width {
    ($element_bytes:expr, $function:ident($($argument:expr),*)) => {
        match $element_bytes {
            1 => $function::<u8>($($argument),*),
            2 => $function::<u16>($($argument),*),
            4 => $function::<u32>($($argument),*),
            _ => $function::<u64>($($argument),*),
        }
    };
}

/// Writes the plane of one field of all elements to `plane`, replacing what it held.
///
/// `elements` holds whole elements of `element_bytes` (1, 2, 4 or 8); `rotate` is less than the
/// bits of an element and the field lies inside it.
pub fn split(elements: &[u8], element_bytes: u8, rotate: u8, field: Field, plane: &mut Vec<u8>) {
    plane.clear();
    plane.resize(
        plane_bytes(elements.len() / usize::from(element_bytes), field.width),
        0,
    );
    by_width!(
        element_bytes,
        split_elements(elements, u32::from(rotate), field, plane)
    );
}

fn split_elements<E: Element>(elements: &[u8], rotate: u32, field: Field, plane: &mut [u8]) {
    let rotated = elements
        .chunks_exact(E::BYTES)
        .map(|bytes| E::load(bytes).rotate_left(rotate));
    let bit = u32::from(field.shift);
    if field.is_byte() {
        for (out, element) in plane.iter_mut().zip(rotated) {
            *out = element.low_byte_from(bit);
        }
        return;
    }
    if field.width == 16 {
        for (out, element) in plane.as_chunks_mut::<2>().0.iter_mut().zip(rotated) {
            *out = [element.low_byte_from(bit), element.low_byte_from(bit + 8)];
        }
        return;
    }
    let mut writer = BitWriter::new(plane);
    for element in rotated {
        writer.put((element.widen() >> field.shift) & field.mask(), field.width);
    }
    writer.finish();
}

/// Puts elements together from all their planes.
///
/// `planes` are in the order of `fields`, which tile the element from its lowest bit upwards; each
/// has the length that `plane_bytes` says for the number of elements in `elements`.
pub fn interleave(
    planes: &[&[u8]],
    fields: &[Field],
    element_bytes: u8,
    rotate: u8,
    elements: &mut [u8],
) {
    by_width!(
        element_bytes,
        interleave_elements(planes, fields, u32::from(rotate), elements)
    );
}

fn interleave_elements<E: Element>(
    planes: &[&[u8]],
    fields: &[Field],
    rotate: u32,
    elements: &mut [u8],
) {
    let all_bytes = fields.len() == E::BYTES && fields.iter().all(|field| field.is_byte());
    let is_pair = |field: &Field| field.width == 16 && field.shift.is_multiple_of(16);
    let all_pairs = 2 * fields.len() == E::BYTES && fields.iter().all(is_pair);
    match planes {
        // The shapes that nearly all blocks have, each as one loop the compiler can vectorize.
        [a] if all_bytes => interleave_bytes::<E, 1>([a], rotate, elements),
        [a, b] if all_bytes => interleave_bytes::<E, 2>([a, b], rotate, elements),
        [a, b, c, d] if all_bytes => interleave_bytes::<E, 4>([a, b, c, d], rotate, elements),
        [a, b] if all_pairs => interleave_pairs::<E, 2>([a, b], rotate, elements),
        [a, b, c, d] if all_pairs => interleave_pairs::<E, 4>([a, b, c, d], rotate, elements),
        _ => interleave_fields::<E>(planes, fields, rotate, elements),
    }
}

fn interleave_bytes<E: Element, const N: usize>(
    planes: [&[u8]; N],
    rotate: u32,
    elements: &mut [u8],
) {
    let count = elements.len() / E::BYTES;
    // One bounds check here instead of one an element.
    let planes = planes.map(|plane| &plane[..count]);
    for (i, bytes) in elements.chunks_exact_mut(E::BYTES).enumerate() {
        let mut element = 0u64;
        for (byte, plane) in planes.iter().enumerate() {
            element |= u64::from(plane[i]) << (8 * byte);
        }
        E::truncate(element).rotate_right(rotate).store(bytes);
    }
}

/// The same for planes of two bytes an element.
fn interleave_pairs<E: Element, const N: usize>(
    planes: [&[u8]; N],
    rotate: u32,
    elements: &mut [u8],
) {
    let count = elements.len() / E::BYTES;
    let planes = planes.map(|plane| &plane.as_chunks::<2>().0[..count]);
    for (i, bytes) in elements.chunks_exact_mut(E::BYTES).enumerate() {
        let mut element = 0u64;
        for (pair, plane) in planes.iter().enumerate() {
            element |= u64::from(u16::from_le_bytes(plane[i])) << (16 * pair);
        }
        E::truncate(element).rotate_right(rotate).store(bytes);
    }
}

/// Any tiling by fields: one pass over the elements a plane.
fn interleave_fields<E: Element>(
    planes: &[&[u8]],
    fields: &[Field],
    rotate: u32,
    elements: &mut [u8],
) {
    elements.fill(0);
    for (plane, field) in planes.iter().zip(fields) {
        let mut reader = BitReader::new(plane);
        for bytes in elements.chunks_exact_mut(E::BYTES) {
            let value = reader.take(field.width) << field.shift;
            let element = E::truncate(value).rotate_right(rotate);
            E::load(bytes).merge(element).store(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn naive_split(elements: &[u8], element_bytes: u8, rotate: u8, field: Field) -> Vec<u8> {
        let bits = u32::from(element_bytes) * 8;
        let mut plane =
            vec![0; plane_bytes(elements.len() / usize::from(element_bytes), field.width)];
        let mut at = 0;
        for element in elements.chunks_exact(usize::from(element_bytes)) {
            for bit in 0..u32::from(field.width) {
                let source = (u32::from(field.shift) + bit + bits - u32::from(rotate)) % bits;
                let value = element[source as usize / 8] >> (source % 8) & 1;
                plane[at / 8] |= value << (at % 8);
                at += 1;
            }
        }
        plane
    }

    /// Element width, rotation and a tiling by fields.
    fn shapes() -> impl Strategy<Value = (u8, u8, Vec<Field>)> {
        prop::sample::select(vec![1u8, 2, 4, 8]).prop_flat_map(|element_bytes| {
            let bits = element_bytes * 8;
            let cuts = prop::collection::btree_set(1..bits, 0..8);
            let bytes = Just((1..element_bytes).map(|i| i * 8).collect());
            let pairs = Just((1..element_bytes / 2).map(|i| i * 16).collect());
            (
                Just(element_bytes),
                0..bits,
                prop_oneof![cuts, bytes, pairs],
            )
                .prop_map(move |(element_bytes, rotate, mut cuts)| {
                    cuts.insert(bits);
                    let mut shift = 0;
                    let fields = cuts
                        .iter()
                        .map(|&end| {
                            let field = Field {
                                shift,
                                width: end - shift,
                            };
                            shift = end;
                            field
                        })
                        .collect();
                    (element_bytes, rotate, fields)
                })
        })
    }

    proptest! {
        #[test]
        fn planes_are_as_defined_and_interleave_back(
            (element_bytes, rotate, fields) in shapes(),
            mut elements in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            elements.truncate(elements.len() / usize::from(element_bytes) * usize::from(element_bytes));
            let mut planes = Vec::new();
            for &field in &fields {
                let mut plane = vec![1, 2, 3];
                split(&elements, element_bytes, rotate, field, &mut plane);
                prop_assert_eq!(&plane, &naive_split(&elements, element_bytes, rotate, field));
                planes.push(plane);
            }
            let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
            let mut back = vec![0xAA; elements.len()];
            interleave(&planes, &fields, element_bytes, rotate, &mut back);
            prop_assert_eq!(back, elements);
        }
    }
}
