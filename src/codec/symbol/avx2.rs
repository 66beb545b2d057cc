//! Cutting and joining with AVX2, 16 fields of 16 bits at once.
#![expect(unsafe_code, reason = "vector loads and stores")]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi32_si128, _mm256_add_epi8, _mm256_add_epi16, _mm256_and_si256,
    _mm256_andnot_si256, _mm256_blendv_epi8, _mm256_cmpeq_epi8, _mm256_cmpeq_epi16,
    _mm256_cvtepu8_epi16, _mm256_min_epu16, _mm256_movemask_epi8, _mm256_mullo_epi16,
    _mm256_or_si256, _mm256_packs_epi16, _mm256_packus_epi16, _mm256_permute4x64_epi64,
    _mm256_set_m128i, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sll_epi16, _mm256_srl_epi16,
    _mm256_srl_epi32, _mm256_srl_epi64, _mm256_sub_epi8, _mm256_sub_epi16, _mm256_xor_si256,
};

use super::cut_parts::{Names, Parts};
use super::split::{LANES, Raw, Split};
use crate::simd::Simd;
use crate::simd::avx2::{load, load_16, store};

/// Elements at once.
const STEP: usize = 16;

/// Joins the first elements, of which it returns the number, a multiple of `STEP`.
pub(super) fn join(simd: Simd, split: Split, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    assert!(simd.avx2());
    // SAFETY: a `Simd` with AVX2 exists only where the processor has it.
    unsafe { join_avx2(split, ids, raw, fields) }
}

#[target_feature(enable = "avx2")]
fn join_avx2(split: Split, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    let packed_bits = usize::from(split.packed_bits());
    let base = _mm256_set1_epi16(i16::from_le_bytes(split.base.to_le_bytes()));
    let symbol_shift = shift(split.raw_bits);
    let packed_shift = shift(split.raw_bits - split.packed_bits());
    let (windows, align) = unpack_tables(packed_bits);
    let keep = shift(16 - split.packed_bits());
    let (rotate_right, rotate_left) = (shift(split.rotate), shift(16 - split.rotate));
    let zero = _mm256_setzero_si256();

    let mut done = 0;
    for (ids, out) in ids
        .chunks_exact(STEP)
        .zip(fields.chunks_exact_mut(2 * STEP))
    {
        let ids = _mm256_cvtepu8_epi16(load_16(ids));
        let symbols =
            _mm256_andnot_si256(_mm256_cmpeq_epi16(ids, zero), _mm256_add_epi16(ids, base));
        let mut value = _mm256_sll_epi16(symbols, symbol_shift);
        if split.raw_bits >= 8 {
            let Some(low) = raw.low.get(done..done + STEP) else {
                break;
            };
            value = _mm256_or_si256(value, _mm256_cvtepu8_epi16(load_16(low)));
        }
        if packed_bits > 0 {
            // Eight elements are `packed_bits` bytes, so each half starts at a byte.
            let at = done / 8 * packed_bits;
            let Some(packed) = raw.packed.get(at..at + packed_bits + STEP) else {
                break;
            };
            let bytes = _mm256_set_m128i(load_16(&packed[packed_bits..]), load_16(packed));
            // Two bytes hold each element; a product moves it to the top of them.
            let window = _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, windows), align);
            let bits = _mm256_srl_epi16(window, keep);
            value = _mm256_or_si256(value, _mm256_sll_epi16(bits, packed_shift));
        }
        // With no rotation one shift is by 16, which gives zero.
        let value = _mm256_or_si256(
            _mm256_srl_epi16(value, rotate_right),
            _mm256_sll_epi16(value, rotate_left),
        );
        store(value, out);
        done += STEP;
    }
    done
}

/// Joins the first bytes with one raw bit below ids that are the symbols; returns how many, a multiple of 32.
pub(super) fn join_bits(simd: Simd, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    assert!(simd.avx2());
    // SAFETY: a `Simd` with AVX2 exists only where the processor has it.
    unsafe { join_bits_avx2(ids, raw, fields) }
}

#[target_feature(enable = "avx2")]
fn join_bits_avx2(ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    // Each of four bytes goes to eight places, and each of those keeps a bit of its own.
    let (mut spread, mut bit) = ([0; 32], [0; 32]);
    for i in 0u8..32 {
        spread[usize::from(i)] = i / 8;
        bit[usize::from(i)] = 1 << (i % 8);
    }
    let (spread, bit) = (load(&spread), load(&bit));
    let groups = ids.as_chunks::<32>().0.iter();
    let outs = fields.as_chunks_mut::<32>().0.iter_mut();
    let mut done = 0;
    for ((ids, out), bits) in groups.zip(outs).zip(raw.packed.as_chunks::<4>().0) {
        let bits = _mm256_set1_epi32(i32::from_le_bytes(*bits));
        let bits = _mm256_and_si256(_mm256_shuffle_epi8(bits, spread), bit);
        // -1 where the bit is set.
        let set = _mm256_cmpeq_epi8(bits, bit);
        let ids = load(ids);
        store(_mm256_sub_epi8(_mm256_add_epi8(ids, ids), set), out);
        done += out.len();
    }
    done
}

/// Cuts the first elements, of which it returns the number, a multiple of `LANES`.
pub(super) fn cut(
    simd: Simd,
    split: Split,
    names: Names,
    plane: &[u8],
    parts: &mut Parts,
) -> usize {
    assert!(simd.avx2());
    // SAFETY: a `Simd` with AVX2 exists only where the processor has it.
    unsafe { cut_avx2(split, names, plane, parts) }
}

#[target_feature(enable = "avx2")]
fn cut_avx2(split: Split, names: Names, plane: &[u8], parts: &mut Parts) -> usize {
    let packed_bits = usize::from(split.packed_bits());
    let word = |word: u16| _mm256_set1_epi16(word.cast_signed());
    let (base, most) = (word(split.base), word(names.most_id.into()));
    let stand_in = word(names.stand_in.into());
    let symbol_shift = shift(split.raw_bits);
    let packed_shift = shift(split.raw_bits - split.packed_bits());
    let (rotate_left, rotate_right) = (shift(split.rotate), shift(16 - split.rotate));
    let packed_mask = word((1 << packed_bits) - 1);
    let pair_shift = shift(8 - split.packed_bits());
    let fours_shift = shift(16 - 2 * split.packed_bits());
    let eights_shift = shift(32 - 4 * split.packed_bits());
    let (zero, low_byte) = (_mm256_setzero_si256(), word(0xFF));

    let mut done = 0;
    for fields in plane.chunks_exact(2 * LANES) {
        let mut all_unknown = [0u32; LANES / 32];
        for (part, fields) in fields.as_chunks::<64>().0.iter().enumerate() {
            let mut words = [zero; 2];
            let mut ids = words;
            let mut unknown = words;
            for half in 0..2 {
                let field = load(&fields[32 * half..]);
                // With no rotation one shift is by 16, which gives zero.
                let rotated = _mm256_or_si256(
                    _mm256_sll_epi16(field, rotate_left),
                    _mm256_srl_epi16(field, rotate_right),
                );
                let symbol = _mm256_srl_epi16(rotated, symbol_shift);
                let is_zero = _mm256_cmpeq_epi16(symbol, zero);
                let distance = _mm256_sub_epi16(symbol, base);
                // Known are distances from 1 to the highest id.
                let inside = _mm256_andnot_si256(
                    _mm256_cmpeq_epi16(distance, zero),
                    _mm256_cmpeq_epi16(_mm256_min_epu16(distance, most), distance),
                );
                let known = _mm256_or_si256(is_zero, inside);
                let id = _mm256_andnot_si256(is_zero, distance);
                words[half] = rotated;
                unknown[half] = _mm256_xor_si256(known, word(0xFFFF));
                ids[half] = _mm256_blendv_epi8(stand_in, id, known);
            }
            let at = done + 32 * part;
            store(pack(ids[0], ids[1]), &mut parts.ids[at..]);
            if split.raw_bits >= 8 {
                let low = words.map(|word| _mm256_and_si256(word, low_byte));
                store(pack(low[0], low[1]), &mut parts.low[at..]);
            }
            if packed_bits > 0 {
                let bits = words.map(|word| {
                    _mm256_and_si256(_mm256_srl_epi16(word, packed_shift), packed_mask)
                });
                let bits = pack(bits[0], bits[1]);
                let high = _mm256_and_si256(bits, word(0xFF00));
                let bits = _mm256_or_si256(
                    _mm256_xor_si256(bits, high),
                    _mm256_srl_epi16(high, pair_shift),
                );
                let high = _mm256_and_si256(bits, _mm256_set1_epi32(0xFFFF_0000u32.cast_signed()));
                let bits = _mm256_or_si256(
                    _mm256_xor_si256(bits, high),
                    _mm256_srl_epi32(high, fours_shift),
                );
                let high = _mm256_and_si256(
                    bits,
                    _mm256_set1_epi64x(0xFFFF_FFFF_0000_0000u64.cast_signed()),
                );
                let bits = _mm256_or_si256(
                    _mm256_xor_si256(bits, high),
                    _mm256_srl_epi64(high, eights_shift),
                );
                let mut eights = [0; 32];
                store(bits, &mut eights);
                let out = &mut parts.packed[at / 8 * packed_bits..][..4 * packed_bits];
                for (out, eight) in out
                    .chunks_exact_mut(packed_bits)
                    .zip(eights.as_chunks::<8>().0)
                {
                    out.copy_from_slice(&eight[..packed_bits]);
                }
            }
            let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(
                unknown[0], unknown[1],
            ));
            all_unknown[part] = _mm256_movemask_epi8(bytes).cast_unsigned();
        }
        for (part, mut left) in all_unknown.into_iter().enumerate() {
            while left != 0 {
                let i = 32 * part + left.trailing_zeros() as usize;
                left &= left - 1;
                let field = u16::from_le_bytes([fields[2 * i], fields[2 * i + 1]]);
                parts.except(done + i, split.rotate(field) >> split.raw_bits);
            }
        }
        done += LANES;
    }
    done
}

/// Words below 256 as bytes.
#[target_feature(enable = "avx2")]
fn pack(first: __m256i, second: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(first, second))
}

/// For each of 8 elements in both halves: the two bytes it lies in, and the factor that moves it to
/// their top.
#[target_feature(enable = "avx2")]
fn unpack_tables(packed_bits: usize) -> (__m256i, __m256i) {
    let mut windows = [0; 32];
    let mut align = [0; 32];
    for element in 0..STEP {
        let first = element % 8 * packed_bits;
        let byte = (first / 8).to_le_bytes()[0];
        windows[2 * element] = byte;
        windows[2 * element + 1] = byte + 1;
        let factor = 1u16 << (16 - packed_bits - first % 8).min(15);
        align[2 * element..2 * element + 2].copy_from_slice(&factor.to_le_bytes());
    }
    (load(&windows), load(&align))
}

#[target_feature(enable = "avx2")]
fn shift(bits: u8) -> __m128i {
    _mm_cvtsi32_si128(i32::from(bits))
}
