//! Cutting planes with the best kernel there is.

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::bytes;
use super::cut_parts::{Names, Parts};
use super::portable;
use super::split::Split;

/// Cuts the fields of a plane. Ids are at most `most_id`; exceptions are coded as `stand_in`.
pub(in crate::codec) fn cut(
    parts: &mut Parts,
    split: Split,
    most_id: u8,
    stand_in: u8,
    plane: &[u8],
) {
    let simd = parts.simd;
    let count = plane.len() / usize::from(split.width / 8);
    parts.exceptions.clear();
    parts.ids.resize(count, 0);
    parts.low.resize(split.low_bytes(count), 0);
    parts.packed.resize(split.packed_bytes(count), 0);
    let names = Names { most_id, stand_in };
    let done = match simd {
        _ if split.width == 8 => bytes::cut(split, names, plane, parts),
        #[cfg(target_arch = "x86_64")]
        _ if split.width == 16 && simd.avx512() => avx512::cut(simd, split, names, plane, parts),
        #[cfg(target_arch = "x86_64")]
        _ if split.width == 16 && simd.avx2() => avx2::cut(simd, split, names, plane, parts),
        _ => 0,
    };
    portable::cut(split, names, plane, done, parts);
}
