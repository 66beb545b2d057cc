//! Loads and stores of AVX2 vectors, each of the first elements of a slice, and what AVX2 has no instructions for.
//!
//! # Panics
//! All loads and stores, if the slice is shorter than the vector.
#![expect(unsafe_code, reason = "vector loads and stores")]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_and_si256, _mm256_blendv_epi8,
    _mm256_broadcastsi128_si256, _mm256_loadu_si256, _mm256_set1_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_storeu_si256,
};

/// For each set of 8 flags: how many flagged ones are before each that is flagged, and 128 for the others, which
/// shuffling makes zeros of.
pub(crate) static RANKS: [[u8; 8]; 256] = {
    let mut all = [[128; 8]; 256];
    let mut set = 0;
    while set < 256 {
        let (mut place, mut next) = (0, 0);
        while place < 8 {
            if set >> place & 1 == 1 {
                all[set][place] = next;
                next += 1;
            }
            place += 1;
        }
        set += 1;
    }
    all
};

/// A table of bytes, in registers.
pub(crate) struct Entries([__m256i; 4]);

impl Entries {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn new(table: &[u8; 64]) -> Self {
        let mut quarters = [_mm256_setzero_si256(); 4];
        for (quarter, entries) in quarters.iter_mut().zip(table.as_chunks::<16>().0) {
            *quarter = _mm256_broadcastsi128_si256(load_16(entries));
        }
        Self(quarters)
    }

    /// The entries of some numbers, of which the low six bits count.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn look_up(&self, numbers: __m256i) -> __m256i {
        let place = _mm256_and_si256(numbers, _mm256_set1_epi8(15));
        let [a, b, c, d] = self.0;
        // Bits 4 and 5 where blending looks.
        let (odd, upper) = (
            _mm256_slli_epi16::<3>(numbers),
            _mm256_slli_epi16::<2>(numbers),
        );
        let first = _mm256_blendv_epi8(
            _mm256_shuffle_epi8(a, place),
            _mm256_shuffle_epi8(b, place),
            odd,
        );
        let second = _mm256_blendv_epi8(
            _mm256_shuffle_epi8(c, place),
            _mm256_shuffle_epi8(d, place),
            odd,
        );
        _mm256_blendv_epi8(first, second, upper)
    }
}

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
