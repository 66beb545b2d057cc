//! Joining with AVX-512, 64 fields of 16 bits at once.
#![expect(unsafe_code, reason = "vector loads and stores")]

use std::arch::x86_64::{
    __m512i, _mm_cvtsi32_si128, _mm512_and_si512, _mm512_castsi512_si256, _mm512_cvtepu8_epi16,
    _mm512_extracti64x4_epi64, _mm512_loadu_si512, _mm512_maskz_add_epi16,
    _mm512_multishift_epi64_epi8, _mm512_or_si512, _mm512_permutexvar_epi8, _mm512_set1_epi8,
    _mm512_set1_epi16, _mm512_setzero_si512, _mm512_sll_epi16, _mm512_srl_epi16,
    _mm512_storeu_si512, _mm512_test_epi16_mask,
};

use super::{LANES, Raw, Split};
use crate::simd::Simd;

/// Joins the first elements, of which it returns the number, a multiple of `LANES`.
pub(super) fn join(simd: Simd, split: Split, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    assert!(simd.avx512());
    // SAFETY: a `Simd` with AVX-512 exists only where the processor has all of these.
    unsafe { join_avx512(split, ids, raw, fields) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
fn join_avx512(split: Split, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    let packed_bits = usize::from(split.packed_bits());
    let base = _mm512_set1_epi16(i16::from_le_bytes(split.base.to_le_bytes()));
    let count = |bits: u8| _mm_cvtsi32_si128(i32::from(bits));
    let symbol_shift = count(split.raw_bits);
    let packed_shift = count(split.raw_bits - split.packed_bits());
    let (rotate_right, rotate_left) = (count(split.rotate), count(16 - split.rotate));
    // Eight elements are `packed_bits` bytes: bring those to a word of their own, then take eight
    // fields out of each word.
    let mut spread = [0; LANES];
    let mut offsets = [0; LANES];
    for i in 0..LANES {
        spread[i] = (i / 8 * packed_bits + i % 8).min(63).to_le_bytes()[0];
        offsets[i] = (i % 8 * packed_bits).to_le_bytes()[0];
    }
    let (spread, offsets) = (load(&spread), load(&offsets));
    let mask = _mm512_set1_epi8(i8::MAX >> (7 - packed_bits));

    let mut done = 0;
    for (ids, out) in ids
        .chunks_exact(LANES)
        .zip(fields.chunks_exact_mut(2 * LANES))
    {
        let ids = load(ids);
        let mut packed = _mm512_setzero_si512();
        if packed_bits > 0 {
            let at = done / 8 * packed_bits;
            let Some(bytes) = raw.packed.get(at..at + LANES) else {
                break;
            };
            let words = _mm512_permutexvar_epi8(spread, load(bytes));
            packed = _mm512_and_si512(_mm512_multishift_epi64_epi8(offsets, words), mask);
        }
        let mut low = _mm512_setzero_si512();
        if split.raw_bits >= 8 {
            let Some(bytes) = raw.low.get(done..done + LANES) else {
                break;
            };
            low = load(bytes);
        }
        for half in 0..2 {
            let widen = |bytes: __m512i| {
                _mm512_cvtepu8_epi16(if half == 0 {
                    _mm512_castsi512_si256(bytes)
                } else {
                    _mm512_extracti64x4_epi64::<1>(bytes)
                })
            };
            let ids = widen(ids);
            let symbols = _mm512_maskz_add_epi16(_mm512_test_epi16_mask(ids, ids), ids, base);
            let value = _mm512_or_si512(
                _mm512_sll_epi16(symbols, symbol_shift),
                _mm512_or_si512(_mm512_sll_epi16(widen(packed), packed_shift), widen(low)),
            );
            // With no rotation one shift is by 16, which gives zero.
            let value = _mm512_or_si512(
                _mm512_srl_epi16(value, rotate_right),
                _mm512_sll_epi16(value, rotate_left),
            );
            store(value, &mut out[half * LANES..]);
        }
        done += LANES;
    }
    done
}

#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8]) -> __m512i {
    let bytes: &[u8; 64] = bytes
        .first_chunk()
        .expect("invariant: 64 bytes were asked for");
    // SAFETY: reads the 64 bytes of the array.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store(value: __m512i, bytes: &mut [u8]) {
    let bytes: &mut [u8; 64] = bytes
        .first_chunk_mut()
        .expect("invariant: half of the chunk is 64 bytes");
    // SAFETY: writes the 64 bytes of the array.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), value) }
}
