//! Putting elements together.

use super::bits::BitReader;
use super::field::Field;
use super::register::{Element, by_width};

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
