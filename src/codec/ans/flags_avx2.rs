//! Flags with AVX2, 8 lanes at once; what their tables say is in registers.
#![expect(unsafe_code, reason = "functions for one set of instructions")]

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_blendv_epi8, _mm256_castsi256_ps, _mm256_castsi256_si128,
    _mm256_cmpgt_epi32, _mm256_cvtepu16_epi32, _mm256_extracti128_si256, _mm256_movemask_ps,
    _mm256_set1_epi32, _mm256_sub_epi32, _mm256_unpackhi_epi8, _mm256_unpacklo_epi8,
};

use super::avx2::{advance, load_states, store_states};
use super::frequencies::SLOT_BITS;
use super::lanes::{FLAG_WORDS, GROUP_WORD_BYTES, LANES, States, TABLES};
use crate::simd::Simd;
use crate::simd::avx2::{Entries, load};

const SLOTS: i32 = 1 << SLOT_BITS;

pub(super) fn decode(
    simd: Simd,
    tables: &[u16; TABLES],
    choice: &[u8],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    flags: &mut [u64],
) -> usize {
    assert!(simd.avx2());
    // SAFETY: a `Simd` with AVX2 exists only where the processor has both of these.
    unsafe { decode_avx2(tables, choice, states, words, at, flags) }
}

/// The slots of flags that are set, by table.
struct Tables {
    low: Entries,
    high: Entries,
}

impl Tables {
    #[target_feature(enable = "avx2,popcnt")]
    fn new(tables: &[u16; TABLES]) -> Self {
        let [low, high] = [0, 1].map(|half| tables.map(|slots| slots.to_le_bytes()[half]));
        Self {
            low: Entries::new(&low),
            high: Entries::new(&high),
        }
    }

    /// For 32 lanes.
    #[target_feature(enable = "avx2,popcnt")]
    fn look_up(&self, choice: &[u8]) -> [__m256i; 4] {
        let choice = load(choice);
        let low = self.low.look_up(choice);
        let high = self.high.look_up(choice);
        let first = _mm256_unpacklo_epi8(low, high);
        let second = _mm256_unpackhi_epi8(low, high);
        [
            _mm256_cvtepu16_epi32(_mm256_castsi256_si128(first)),
            _mm256_cvtepu16_epi32(_mm256_castsi256_si128(second)),
            _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(first)),
            _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(second)),
        ]
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn decode_avx2(
    tables: &[u16; TABLES],
    choice: &[u8],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    flags: &mut [u64],
) -> usize {
    let tables = Tables::new(tables);
    let mut vectors = load_states(states);
    let slot_mask = _mm256_set1_epi32(SLOTS - 1);
    let all = _mm256_set1_epi32(SLOTS);
    let mut done = 0;
    let groups = flags.as_chunks_mut::<FLAG_WORDS>().0.iter_mut();
    for (flags, choice) in groups.zip(choice.as_chunks::<LANES>().0) {
        let Some(group) = words[*at..].first_chunk::<GROUP_WORD_BYTES>() else {
            break;
        };
        let mut taken = 0;
        *flags = [0; FLAG_WORDS];
        let fours = vectors.as_chunks_mut::<4>().0.iter_mut();
        for (four, (states, choice)) in fours.zip(choice.as_chunks::<32>().0).enumerate() {
            let steps = tables.look_up(choice);
            for (i, (state, set)) in states.iter_mut().zip(steps).enumerate() {
                let slot = _mm256_and_si256(*state, slot_mask);
                let is_set = _mm256_cmpgt_epi32(set, slot);
                let frequency = _mm256_blendv_epi8(_mm256_sub_epi32(all, set), set, is_set);
                let rank = _mm256_blendv_epi8(_mm256_sub_epi32(slot, set), slot, is_set);
                // SAFETY: as many vectors as a group has, and each comes once.
                *state = unsafe { advance(*state, frequency, rank, group, &mut taken) };
                let [set, ..] = _mm256_movemask_ps(_mm256_castsi256_ps(is_set)).to_le_bytes();
                flags[four / 2] |= u64::from(set) << (32 * (four % 2) + 8 * i);
            }
        }
        *at += taken;
        done += FLAG_WORDS;
    }
    store_states(&vectors, states);
    done
}
