//! Loads and stores of AVX-512 vectors, each of the first elements of a slice.
//!
//! # Panics
//! All of them, if the slice is shorter than the vector.
#![expect(unsafe_code, reason = "vector loads and stores")]

use std::arch::x86_64::{__m512i, _mm512_loadu_si512, _mm512_storeu_si512};

/// 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load(bytes: &[u8]) -> __m512i {
    let bytes: &[u8; 64] = bytes.first_chunk().expect("invariant: 64 bytes");
    // SAFETY: reads the 64 bytes of the array.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store(value: __m512i, bytes: &mut [u8]) {
    let bytes: &mut [u8; 64] = bytes.first_chunk_mut().expect("invariant: 64 bytes");
    // SAFETY: writes the 64 bytes of the array.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), value) }
}

/// 32 numbers.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_words(words: &[u16]) -> __m512i {
    let words: &[u16; 32] = words.first_chunk().expect("invariant: 32 words");
    // SAFETY: reads the 64 bytes of the array.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// 16 numbers.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_lanes(lanes: &[u32]) -> __m512i {
    let lanes: &[u32; 16] = lanes.first_chunk().expect("invariant: 16 lanes");
    // SAFETY: reads the 64 bytes of the array.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

/// 16 numbers.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_lanes(value: __m512i, lanes: &mut [u32]) {
    let lanes: &mut [u32; 16] = lanes.first_chunk_mut().expect("invariant: 16 lanes");
    // SAFETY: writes the 64 bytes of the array.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), value) }
}
