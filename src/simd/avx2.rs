//! Loads and stores of AVX2 vectors, each of the first elements of a slice.
//!
//! # Panics
//! All of them, if the slice is shorter than the vector.
#![expect(unsafe_code, reason = "vector loads and stores")]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_loadu_si256, _mm256_storeu_si256,
};

/// 8 bytes, in the lower half.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_8(bytes: &[u8]) -> __m128i {
    let bytes: &[u8; 8] = bytes.first_chunk().expect("invariant: 8 bytes");
    // SAFETY: reads the 8 bytes of the array.
    unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) }
}

/// 16 bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_16(bytes: &[u8]) -> __m128i {
    let bytes: &[u8; 16] = bytes.first_chunk().expect("invariant: 16 bytes");
    // SAFETY: reads the 16 bytes of the array.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load(bytes: &[u8]) -> __m256i {
    let bytes: &[u8; 32] = bytes.first_chunk().expect("invariant: 32 bytes");
    // SAFETY: reads the 32 bytes of the array.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn store(value: __m256i, bytes: &mut [u8]) {
    let bytes: &mut [u8; 32] = bytes.first_chunk_mut().expect("invariant: 32 bytes");
    // SAFETY: writes the 32 bytes of the array.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value) }
}

/// 8 numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_lanes(lanes: &[u32]) -> __m256i {
    let lanes: &[u32; 8] = lanes.first_chunk().expect("invariant: 8 lanes");
    // SAFETY: reads the 32 bytes of the array.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

/// 8 numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn store_lanes(value: __m256i, lanes: &mut [u32]) {
    let lanes: &mut [u32; 8] = lanes.first_chunk_mut().expect("invariant: 8 lanes");
    // SAFETY: writes the 32 bytes of the array.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), value) }
}
