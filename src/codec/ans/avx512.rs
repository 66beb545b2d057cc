//! The kernels for AVX-512: with 128 buckets, those are looked up in registers, 64 lanes at once;
//! with more, slots are looked up in memory, 16 lanes at once.
#![expect(unsafe_code, reason = "vector loads, stores and gathers")]

use std::arch::x86_64::{
    __m256i, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm256_loadu_si256, _mm512_add_epi16,
    _mm512_add_epi32, _mm512_and_si512, _mm512_cmpge_epu8_mask, _mm512_cmplt_epu32_mask,
    _mm512_cvtepi32_epi8, _mm512_cvtepu8_epi32, _mm512_cvtepu16_epi32, _mm512_i32gather_epi32,
    _mm512_mask_mov_epi8, _mm512_mask_slli_epi32, _mm512_maskz_expand_epi32,
    _mm512_maskz_permutex2var_epi8, _mm512_mullo_epi32, _mm512_or_si512, _mm512_permutex2var_epi8,
    _mm512_permutex2var_epi16, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srli_epi16, _mm512_srli_epi32,
    _mm512_unpackhi_epi8, _mm512_unpackhi_epi16, _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
};

use super::frequencies::{SLOT_BITS, SLOTS};
use super::lanes::{GROUP_WORD_BYTES, LANES, STATE_MIN, States, TABLES};
use super::slot_table::BucketBytes;
use crate::simd::Simd;
use crate::simd::avx512::{load, load_lanes, load_words, store, store_lanes};

/// Of the number of a table.
const TABLE_MASK: i32 = (1 << TABLES.trailing_zeros()) - 1;
/// Vectors of 16 lanes.
const VECTORS: usize = LANES / 16;

pub(super) fn decode_buckets(
    simd: Simd,
    buckets: &BucketBytes,
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    assert!(simd.avx512());
    // SAFETY: a `Simd` with AVX-512 exists only where the processor has all of these.
    unsafe { decode_buckets_avx512(buckets, states, words, at, ids) }
}

pub(super) fn decode_slots(
    simd: Simd,
    slots: &[u32; SLOTS],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    assert!(simd.avx512());
    // SAFETY: as above.
    unsafe { decode_slots_avx512::<1>(slots, &[], states, words, at, ids) }
}

pub(super) fn decode_each(
    simd: Simd,
    slots: &[u32; TABLES * SLOTS],
    choice: &[u8],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    assert!(simd.avx512());
    // SAFETY: as above.
    unsafe { decode_slots_avx512::<TABLES>(slots, choice, states, words, at, ids) }
}

/// Where lane `l` of 64 stands in the vectors of bytes: unpacking bytes to words and those to
/// double words, low half before high half, then yields the lanes in order.
pub(super) const fn byte_place(lane: usize) -> usize {
    let (vector, in_vector) = (lane / 16, lane % 16);
    16 * (in_vector / 4) + 4 * vector + in_vector % 4
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn decode_buckets_avx512(
    buckets: &BucketBytes,
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    let mut vectors = load_states(states);
    let own_slots = load_table(&buckets.own_slots);
    let alias = load_table(&buckets.alias);
    let bias_low = load_table(&buckets.bias_low);
    let bias_high = load_table(&buckets.bias_high);
    let frequency_low = load_table(&buckets.frequency_low);
    let frequency_high = load_table(&buckets.frequency_high);

    let mut low_words = [0u16; 32];
    let mut from_words = [0u8; 64];
    let mut in_order = [0u8; 64];
    for lane in 0..64usize {
        let [double, ..] = (2 * lane).to_le_bytes();
        if lane < 32 {
            low_words[lane] = u16::from(double);
        }
        from_words[byte_place(lane)] = double;
        in_order[lane] = byte_place(lane).to_le_bytes()[0];
    }
    let low_words = load_words(&low_words);
    let (from_words, in_order) = (load(&from_words), load(&in_order));
    let bucket_mask = _mm512_set1_epi8(127);
    let place_mask = _mm512_set1_epi8(31);
    let low_half = _mm512_set1_epi32(0xFFFF);
    let zero = _mm512_setzero_si512();

    let mut done = 0;
    for ids in ids.chunks_exact_mut(LANES) {
        let Some(group) = words[*at..].first_chunk::<GROUP_WORD_BYTES>() else {
            break;
        };
        let mut taken = 0;
        for (states, ids) in vectors.chunks_exact_mut(4).zip(ids.chunks_exact_mut(64)) {
            // The slot is in the low 12 bits: bucket in 7, place in 5. Lookups ignore bit 7 of the
            // bucket's byte.
            let first = _mm512_permutex2var_epi16(states[0], low_words, states[1]);
            let second = _mm512_permutex2var_epi16(states[2], low_words, states[3]);
            let bucket = _mm512_permutex2var_epi8(first, from_words, second);
            let place = _mm512_and_si512(
                _mm512_permutex2var_epi8(
                    _mm512_srli_epi16::<7>(first),
                    from_words,
                    _mm512_srli_epi16::<7>(second),
                ),
                place_mask,
            );
            let look_up =
                |table: [__m512i; 2], index| _mm512_permutex2var_epi8(table[0], index, table[1]);
            let is_alias = _mm512_cmpge_epu8_mask(place, look_up(own_slots, bucket));
            let id = _mm512_mask_mov_epi8(
                _mm512_and_si512(bucket, bucket_mask),
                is_alias,
                look_up(alias, bucket),
            );
            store(_mm512_permutexvar_epi8(in_order, id), ids);
            let bias = |table: [__m512i; 2]| {
                _mm512_maskz_permutex2var_epi8(is_alias, table[0], bucket, table[1])
            };
            let (bias_low, bias_high) = (bias(bias_low), bias(bias_high));
            let rank_low = _mm512_add_epi16(
                _mm512_unpacklo_epi8(bias_low, bias_high),
                _mm512_unpacklo_epi8(place, zero),
            );
            let rank_high = _mm512_add_epi16(
                _mm512_unpackhi_epi8(bias_low, bias_high),
                _mm512_unpackhi_epi8(place, zero),
            );
            let (low, high) = (look_up(frequency_low, id), look_up(frequency_high, id));
            let frequencies_low = _mm512_unpacklo_epi8(low, high);
            let frequencies_high = _mm512_unpackhi_epi8(low, high);
            let steps = [
                _mm512_unpacklo_epi16(frequencies_low, rank_low),
                _mm512_unpackhi_epi16(frequencies_low, rank_low),
                _mm512_unpacklo_epi16(frequencies_high, rank_high),
                _mm512_unpackhi_epi16(frequencies_high, rank_high),
            ];
            for (state, step) in states.iter_mut().zip(steps) {
                let frequency = _mm512_and_si512(step, low_half);
                let rank = _mm512_srli_epi32::<16>(step);
                *state = advance(*state, frequency, rank, group, &mut taken);
            }
        }
        *at += taken;
        done += LANES;
    }
    store_states(&vectors, states);
    done
}

/// With one table, or with as many as `choice` may name.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn decode_slots_avx512<const N: usize>(
    slots: &[u32],
    choice: &[u8],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    assert_eq!(slots.len(), N * SLOTS);
    let mut vectors = load_states(states);
    let slot_mask = _mm512_set1_epi32((1 << SLOT_BITS) - 1);
    let table_mask = _mm512_set1_epi32(i32::from(N > 1) * TABLE_MASK);
    let mut done = 0;
    for ids in ids.chunks_exact_mut(LANES) {
        let Some(group) = words[*at..].first_chunk::<GROUP_WORD_BYTES>() else {
            break;
        };
        let mut choices = if N > 1 {
            choice[done..done + LANES].as_chunks::<16>().0.iter()
        } else {
            [].iter()
        };
        let mut taken = 0;
        for (state, ids) in vectors.iter_mut().zip(ids.chunks_exact_mut(16)) {
            let mut index = _mm512_and_si512(*state, slot_mask);
            if let Some(choice) = choices.next() {
                let table = _mm512_and_si512(load_choice(choice), table_mask);
                index = _mm512_or_si512(index, _mm512_slli_epi32::<12>(table));
            }
            // SAFETY: the slot is below SLOTS and the table below N, and there are N * SLOTS
            // entries.
            let slot = unsafe { _mm512_i32gather_epi32::<4>(index, slots.as_ptr().cast()) };
            store_low_bytes(slot, ids);
            let frequency = _mm512_and_si512(_mm512_srli_epi32::<8>(slot), slot_mask);
            let rank = _mm512_srli_epi32::<20>(slot);
            *state = advance(*state, frequency, rank, group, &mut taken);
        }
        *at += taken;
        done += LANES;
    }
    store_states(&vectors, states);
    done
}

/// 16 bytes as numbers.
#[target_feature(enable = "avx512f")]
fn load_choice(bytes: &[u8; 16]) -> __m512i {
    // SAFETY: reads the 16 bytes of the array.
    _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// The states after a step; those that are low take a word each.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
pub(super) fn advance(
    state: __m512i,
    frequency: __m512i,
    rank: __m512i,
    group: &[u8; GROUP_WORD_BYTES],
    taken: &mut usize,
) -> __m512i {
    let next = _mm512_add_epi32(
        _mm512_mullo_epi32(frequency, _mm512_srli_epi32::<12>(state)),
        rank,
    );
    let low = _mm512_cmplt_epu32_mask(next, _mm512_set1_epi32(STATE_MIN as i32));
    let words = _mm512_cvtepu16_epi32(load_group_words(group, *taken));
    *taken += 2 * low.count_ones() as usize;
    _mm512_or_si512(
        _mm512_mask_slli_epi32::<16>(next, low, next),
        _mm512_maskz_expand_epi32(low, words),
    )
}

/// The words at a place in a group that 16 lanes may ask for.
#[target_feature(enable = "avx512f")]
fn load_group_words(group: &[u8; GROUP_WORD_BYTES], at: usize) -> __m256i {
    debug_assert!(at + 32 <= GROUP_WORD_BYTES);
    // SAFETY: each of the 16-lane steps before took at most 32 bytes, and with this one there are
    // VECTORS of them: at + 32 <= VECTORS * 32 = GROUP_WORD_BYTES.
    unsafe { _mm256_loadu_si256(group.as_ptr().add(at).cast()) }
}

#[target_feature(enable = "avx512f")]
pub(super) fn load_states(states: &States) -> [__m512i; VECTORS] {
    let mut vectors = [_mm512_setzero_si512(); VECTORS];
    for (vector, lanes) in vectors.iter_mut().zip(states.as_chunks::<16>().0) {
        *vector = load_lanes(lanes);
    }
    vectors
}

#[target_feature(enable = "avx512f")]
pub(super) fn store_states(vectors: &[__m512i; VECTORS], states: &mut States) {
    for (vector, lanes) in vectors.iter().zip(states.as_chunks_mut::<16>().0) {
        store_lanes(*vector, lanes);
    }
}

#[target_feature(enable = "avx512f")]
fn load_table(bytes: &[u8; 128]) -> [__m512i; 2] {
    let (halves, _) = bytes.as_chunks::<64>();
    [load(&halves[0]), load(&halves[1])]
}

/// The low byte of each of 16 numbers.
#[target_feature(enable = "avx512f")]
fn store_low_bytes(value: __m512i, bytes: &mut [u8]) {
    let bytes: &mut [u8; 16] = bytes.first_chunk_mut().expect("invariant: chunks of 16");
    // SAFETY: writes the 16 bytes of the array.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(value)) }
}
