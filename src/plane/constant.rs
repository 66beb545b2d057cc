//! Planes all of whose fields have one value.

use super::bits::{BitReader, BitWriter};

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
