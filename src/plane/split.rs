//! Taking elements apart.

use super::bits::BitWriter;
use super::field::{Field, plane_bytes};
use super::register::{Element, by_width};

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
