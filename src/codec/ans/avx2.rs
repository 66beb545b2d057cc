//! The kernel for AVX2: slots are looked up in memory, 8 lanes at once.
#![expect(unsafe_code, reason = "vector loads, stores and gathers")]

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_blendv_epi8,
    _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_cvtepu8_epi32, _mm256_cvtepu16_epi32,
    _mm256_i32gather_epi32, _mm256_movemask_ps, _mm256_mullo_epi32, _mm256_or_si256,
    _mm256_packus_epi16, _mm256_packus_epi32, _mm256_permutevar8x32_epi32, _mm256_set1_epi32,
    _mm256_setr_epi32, _mm256_setzero_si256, _mm256_slli_epi32, _mm256_srli_epi32,
};

use super::frequencies::{SLOT_BITS, SLOTS};
use super::lanes::{GROUP_WORD_BYTES, LANES, States, TABLES};
use crate::simd::Simd;
use crate::simd::avx2::{RANKS, load_8, load_lanes, store, store_lanes};

/// Of the number of a table.
const TABLE_MASK: i32 = (1 << TABLES.trailing_zeros()) - 1;
/// Vectors of 8 lanes.
const VECTORS: usize = LANES / 8;

pub(super) fn decode(
    simd: Simd,
    slots: &[u32; SLOTS],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    assert!(simd.avx2());
    // SAFETY: a `Simd` with AVX2 exists only where the processor has it.
    unsafe { decode_avx2::<1>(slots, &[], states, words, at, ids) }
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
    assert!(simd.avx2());
    // SAFETY: as above.
    unsafe { decode_avx2::<TABLES>(slots, choice, states, words, at, ids) }
}

/// With one table, or with as many as `choice` may name.
#[target_feature(enable = "avx2,popcnt")]
fn decode_avx2<const N: usize>(
    slots: &[u32],
    choice: &[u8],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    assert_eq!(slots.len(), N * SLOTS);
    let mut vectors = load_states(states);
    let slot_mask = _mm256_set1_epi32((1 << SLOT_BITS) - 1);
    let table_mask = _mm256_set1_epi32(i32::from(N > 1) * TABLE_MASK);
    let id_mask = _mm256_set1_epi32(0xFF);
    let in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let zero = _mm256_setzero_si256();
    let mut done = 0;
    for ids in ids.chunks_exact_mut(LANES) {
        let Some(group) = words[*at..].first_chunk::<GROUP_WORD_BYTES>() else {
            break;
        };
        let mut choices = if N > 1 {
            choice[done..done + LANES].as_chunks::<8>().0.iter()
        } else {
            [].iter()
        };
        let mut taken = 0;
        for (vectors, ids) in vectors.chunks_exact_mut(4).zip(ids.chunks_exact_mut(32)) {
            let mut found = [zero; 4];
            for (state, found) in vectors.iter_mut().zip(&mut found) {
                let mut index = _mm256_and_si256(*state, slot_mask);
                if let Some(choice) = choices.next() {
                    let table = _mm256_and_si256(_mm256_cvtepu8_epi32(load_8(choice)), table_mask);
                    index = _mm256_or_si256(index, _mm256_slli_epi32::<12>(table));
                }
                // SAFETY: the slot is below SLOTS and the table below N, and there are N * SLOTS
                // entries.
                let slot =
                    unsafe { _mm256_i32gather_epi32::<4>(slots.as_ptr().cast::<i32>(), index) };
                *found = _mm256_and_si256(slot, id_mask);
                let frequency = _mm256_and_si256(_mm256_srli_epi32::<8>(slot), slot_mask);
                let rank = _mm256_srli_epi32::<20>(slot);
                // SAFETY: as many vectors as a group has, and each comes once.
                *state = unsafe { advance(*state, frequency, rank, group, &mut taken) };
            }
            let [a, b, c, d] = found;
            let packed = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
            store(_mm256_permutevar8x32_epi32(packed, in_order), ids);
        }
        *at += taken;
        done += LANES;
    }
    store_states(&vectors, states);
    done
}

/// The states after a step; those that are low take a word each.
///
/// # Safety
/// With this one, a group takes at most `VECTORS` steps, and what they have taken is `taken`.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn advance(
    state: __m256i,
    frequency: __m256i,
    rank: __m256i,
    group: &[u8; GROUP_WORD_BYTES],
    taken: &mut usize,
) -> __m256i {
    let next = _mm256_add_epi32(
        _mm256_mullo_epi32(frequency, _mm256_srli_epi32::<12>(state)),
        rank,
    );
    let low = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(next), _mm256_setzero_si256());
    let set = _mm256_movemask_ps(_mm256_castsi256_ps(low)).to_le_bytes()[0];
    // Which of the next words each lane gets; those that get none take the first, and leave it.
    let order = _mm256_cvtepu8_epi32(load_8(&RANKS[usize::from(set)]));
    debug_assert!(*taken + 16 <= GROUP_WORD_BYTES);
    // SAFETY: each of the 8-lane steps before took at most 16 bytes, and with this one there are at most
    // VECTORS of them: taken + 16 <= VECTORS * 16 = GROUP_WORD_BYTES.
    let words = unsafe { _mm_loadu_si128(group.as_ptr().add(*taken).cast()) };
    let word = _mm256_permutevar8x32_epi32(_mm256_cvtepu16_epi32(words), order);
    let filled = _mm256_or_si256(_mm256_slli_epi32::<16>(next), word);
    *taken += 2 * set.count_ones() as usize;
    _mm256_blendv_epi8(next, filled, low)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_states(states: &States) -> [__m256i; VECTORS] {
    let mut vectors = [_mm256_setzero_si256(); VECTORS];
    for (vector, lanes) in vectors.iter_mut().zip(states.as_chunks::<8>().0) {
        *vector = load_lanes(lanes);
    }
    vectors
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store_states(vectors: &[__m256i; VECTORS], states: &mut States) {
    for (vector, lanes) in vectors.iter().zip(states.as_chunks_mut::<8>().0) {
        store_lanes(*vector, lanes);
    }
}
