//! Joining planes with the best kernel there is.

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::bytes;
use super::portable;
use super::split::{Raw, Split};
use crate::simd::Simd;

/// Joins ids with raw bits to the fields of a plane. Raw bits that are missing count as zero.
///
/// # Panics
/// If `fields` is not as long as `ids` says.
pub(in crate::codec) fn join(
    split: Split,
    simd: Simd,
    ids: &[u8],
    raw: Raw<'_>,
    fields: &mut [u8],
) {
    assert_eq!(fields.len(), ids.len() * usize::from(split.width / 8));
    let done = match simd {
        #[cfg(target_arch = "x86_64")]
        _ if split.width == 16 && simd.avx512() => avx512::join(simd, split, ids, raw, fields),
        #[cfg(target_arch = "x86_64")]
        _ if split.width == 16 && simd.avx2() => avx2::join(simd, split, ids, raw, fields),
        #[cfg(target_arch = "x86_64")]
        _ if split.is_of_bytes() && split.raw_bits > 0 && simd.avx512() => {
            avx512::join_bytes(simd, split.raw_bits, ids, raw, fields)
        }
        #[cfg(target_arch = "x86_64")]
        _ if split.is_of_bytes() && split.raw_bits == 1 && simd.avx2() => {
            avx2::join_bits(simd, ids, raw, fields)
        }
        _ if split.width == 8 => bytes::join(split, ids, raw, fields),
        _ => 0,
    };
    portable::join(
        split,
        &ids[done..],
        raw.skip(split, done),
        &mut fields[done * usize::from(split.width / 8)..],
    );
}
