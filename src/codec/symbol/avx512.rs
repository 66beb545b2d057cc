//! Cutting and joining with AVX-512, 64 fields of 16 bits at once.
#![expect(unsafe_code, reason = "vector loads and stores")]

use std::arch::x86_64::{
    __m128i, __m512i, _mm_cvtsi32_si128, _mm512_and_si512, _mm512_castsi512_si256,
    _mm512_cmpgt_epu16_mask, _mm512_cvtepu8_epi16, _mm512_extracti64x4_epi64,
    _mm512_mask_mov_epi16, _mm512_mask_storeu_epi8, _mm512_maskz_add_epi16, _mm512_maskz_sub_epi16,
    _mm512_multishift_epi64_epi8, _mm512_or_si512, _mm512_permutex2var_epi8,
    _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_sll_epi16, _mm512_srl_epi16, _mm512_srl_epi32,
    _mm512_srl_epi64, _mm512_test_epi16_mask, _mm512_xor_si512,
};

use super::cut_parts::{Names, Parts};
use super::split::{LANES, Raw, Split};
use crate::simd::Simd;
use crate::simd::avx512::{load, store};

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
    let unpack = Unpack::new(packed_bits);

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
            packed = unpack.fields(load(bytes));
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

/// Takes 64 fields of up to 8 bits out of a bit string.
struct Unpack {
    spread: __m512i,
    offsets: __m512i,
    mask: __m512i,
}

impl Unpack {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
    fn new(bits: usize) -> Self {
        // Eight elements are `bits` bytes: bring those to a word of their own, then take eight fields out
        // of each word.
        let mut spread = [0; LANES];
        let mut offsets = [0; LANES];
        for i in 0..LANES {
            spread[i] = (i / 8 * bits + i % 8).min(63).to_le_bytes()[0];
            offsets[i] = (i % 8 * bits).to_le_bytes()[0];
        }
        Self {
            spread: load(&spread),
            offsets: load(&offsets),
            mask: _mm512_set1_epi8(i8::MAX >> (7 - bits)),
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
    fn fields(&self, bytes: __m512i) -> __m512i {
        let words = _mm512_permutexvar_epi8(self.spread, bytes);
        _mm512_and_si512(_mm512_multishift_epi64_epi8(self.offsets, words), self.mask)
    }
}

/// The same for bytes with 1 to 4 raw bits below ids that are the symbols.
pub(super) fn join_bytes(
    simd: Simd,
    raw_bits: u8,
    ids: &[u8],
    raw: Raw<'_>,
    fields: &mut [u8],
) -> usize {
    assert!(simd.avx512());
    // SAFETY: a `Simd` with AVX-512 exists only where the processor has all of these.
    unsafe { join_bytes_avx512(raw_bits, ids, raw, fields) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
fn join_bytes_avx512(raw_bits: u8, ids: &[u8], raw: Raw<'_>, fields: &mut [u8]) -> usize {
    let unpack = Unpack::new(raw_bits.into());
    let shift = _mm_cvtsi32_si128(raw_bits.into());
    // Bits that would be shifted into the byte above.
    let kept = _mm512_set1_epi8((u8::MAX >> raw_bits).cast_signed());
    let mut done = 0;
    for (ids, out) in ids.chunks_exact(LANES).zip(fields.chunks_exact_mut(LANES)) {
        let at = done / 8 * usize::from(raw_bits);
        let Some(bytes) = raw.packed.get(at..at + LANES) else {
            break;
        };
        let symbols = _mm512_sll_epi16(_mm512_and_si512(load(ids), kept), shift);
        store(_mm512_or_si512(symbols, unpack.fields(load(bytes))), out);
        done += LANES;
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
    assert!(simd.avx512());
    // SAFETY: a `Simd` with AVX-512 exists only where the processor has all of these.
    unsafe { cut_avx512(split, names, plane, parts) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
fn cut_avx512(split: Split, names: Names, plane: &[u8], parts: &mut Parts) -> usize {
    let packed_bits = usize::from(split.packed_bits());
    let word = |word: u16| _mm512_set1_epi16(word.cast_signed());
    let (base, most) = (word(split.base), word(names.most_id.into()));
    let stand_in = word(names.stand_in.into());
    let count = |bits: u8| _mm_cvtsi32_si128(i32::from(bits));
    let symbol_shift = count(split.raw_bits);
    let packed_shift = count(split.raw_bits - split.packed_bits());
    let (rotate_left, rotate_right) = (count(split.rotate), count(16 - split.rotate));
    let packed_mask = word((1 << packed_bits) - 1);
    // Low bytes of the words of two vectors.
    let low_bytes = {
        let mut places = [0; LANES];
        for (i, place) in places.iter_mut().enumerate() {
            *place = (2 * i).to_le_bytes()[0];
        }
        load(&places)
    };
    // Fields of up to 7 bits in bytes: pairs become words, those double words, those 8 bytes, of
    // which the first `packed_bits` hold something.
    let gather = {
        let mut places = [63; LANES];
        for (i, place) in places.iter_mut().take(8 * packed_bits).enumerate() {
            *place = (i / packed_bits * 8 + i % packed_bits).to_le_bytes()[0];
        }
        load(&places)
    };
    let pair_shift = count(8 - split.packed_bits());
    let fours_shift = count(16 - 2 * split.packed_bits());
    let eights_shift = count(32 - 4 * split.packed_bits());

    let mut done = 0;
    for fields in plane.chunks_exact(2 * LANES) {
        let mut words = [_mm512_setzero_si512(); 2];
        let mut ids = words;
        let mut unknown = [0u32; 2];
        for half in 0..2 {
            let field = load(&fields[half * LANES..]);
            // With no rotation one shift is by 16, which gives zero.
            let rotated = _mm512_or_si512(
                _mm512_sll_epi16(field, rotate_left),
                _mm512_srl_epi16(field, rotate_right),
            );
            let symbol = _mm512_srl_epi16(rotated, symbol_shift);
            let not_zero = _mm512_test_epi16_mask(symbol, symbol);
            let id = _mm512_maskz_sub_epi16(not_zero, symbol, base);
            // An id of zero is for symbol zero only.
            unknown[half] =
                _mm512_cmpgt_epu16_mask(id, most) | (not_zero & !_mm512_test_epi16_mask(id, id));
            words[half] = rotated;
            ids[half] = _mm512_mask_mov_epi16(id, unknown[half], stand_in);
        }
        let out: &mut [u8] = &mut parts.ids[done..done + LANES];
        store(_mm512_permutex2var_epi8(ids[0], low_bytes, ids[1]), out);
        if split.raw_bits >= 8 {
            let low = _mm512_permutex2var_epi8(words[0], low_bytes, words[1]);
            store(low, &mut parts.low[done..done + LANES]);
        }
        if packed_bits > 0 {
            let bits = words
                .map(|word| _mm512_and_si512(_mm512_srl_epi16(word, packed_shift), packed_mask));
            let bytes = _mm512_permutex2var_epi8(bits[0], low_bytes, bits[1]);
            let bytes = squeeze_16(bytes, pair_shift);
            let bytes = squeeze_32(bytes, fours_shift);
            let bytes = squeeze_64(bytes, eights_shift);
            let string = _mm512_permutexvar_epi8(gather, bytes);
            let at = done / 8 * packed_bits;
            store_first(string, &mut parts.packed[at..at + 8 * packed_bits]);
        }
        if unknown != [0; 2] {
            let mut left = u64::from(unknown[1]) << 32 | u64::from(unknown[0]);
            while left != 0 {
                let i = left.trailing_zeros() as usize;
                left &= left - 1;
                let field = u16::from_le_bytes([fields[2 * i], fields[2 * i + 1]]);
                parts.except(done + i, split.rotate(field) >> split.raw_bits);
            }
        }
        done += LANES;
    }
    done
}

/// Moves the high byte of each word down so that its bits follow those of the low byte.
#[target_feature(enable = "avx512f,avx512bw")]
fn squeeze_16(bits: __m512i, gap: __m128i) -> __m512i {
    let high = _mm512_and_si512(bits, _mm512_set1_epi16(0xFF00u16.cast_signed()));
    _mm512_or_si512(_mm512_xor_si512(bits, high), _mm512_srl_epi16(high, gap))
}

/// The same for the words of double words.
#[target_feature(enable = "avx512f,avx512bw")]
fn squeeze_32(bits: __m512i, gap: __m128i) -> __m512i {
    let high = _mm512_and_si512(bits, _mm512_set1_epi32(0xFFFF_0000u32.cast_signed()));
    _mm512_or_si512(_mm512_xor_si512(bits, high), _mm512_srl_epi32(high, gap))
}

/// The same for the double words of 8 bytes.
#[target_feature(enable = "avx512f,avx512bw")]
fn squeeze_64(bits: __m512i, gap: __m128i) -> __m512i {
    let high = _mm512_and_si512(
        bits,
        _mm512_set1_epi64(0xFFFF_FFFF_0000_0000u64.cast_signed()),
    );
    _mm512_or_si512(_mm512_xor_si512(bits, high), _mm512_srl_epi64(high, gap))
}

/// Stores as many bytes as there is room for, at most 64.
#[target_feature(enable = "avx512f,avx512bw")]
fn store_first(value: __m512i, bytes: &mut [u8]) {
    let len = bytes.len();
    assert!((1..=64).contains(&len), "a part of a vector");
    // SAFETY: the mask has a bit for each byte of the slice, and only those are written.
    unsafe { _mm512_mask_storeu_epi8(bytes.as_mut_ptr().cast(), u64::MAX >> (64 - len), value) }
}
