//! Flags with AVX-512, 16 lanes at once; what their tables say is in registers.
#![expect(unsafe_code, reason = "functions for one set of instructions")]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_cmplt_epu32_mask, _mm512_mask_sub_epi32,
    _mm512_maskz_mov_epi32, _mm512_or_si512, _mm512_permutexvar_epi8, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_slli_epi32, _mm512_unpackhi_epi8, _mm512_unpackhi_epi16,
    _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
};

use super::avx512 as decoding;
use super::encode_avx512::{self as encoding, Room, divide, reversed};
use super::frequencies::SLOT_BITS;
use super::lanes::{FLAG_WORDS, GROUP_WORD_BYTES, LANES, States, TABLES};
use crate::simd::Simd;
use crate::simd::avx512::{load, load_lanes, load_words};

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
    assert!(simd.avx512());
    // SAFETY: a `Simd` with AVX-512 exists only where the processor has all of these.
    unsafe { decode_avx512(tables, choice, states, words, at, flags) }
}

pub(super) fn encode(
    simd: Simd,
    tables: &[u16; TABLES],
    choice: &[u8],
    flags: &[u64],
    states: &mut States,
    words: &mut [u8],
) -> usize {
    assert!(simd.avx512());
    // SAFETY: as above.
    unsafe { encode_avx512(tables, choice, flags, states, words) }
}

/// The slots of flags that are set, by table.
struct Tables {
    low: __m512i,
    high: __m512i,
    /// Of 64 choices which comes to which byte, so that unpacking puts lanes where they are wanted.
    order: __m512i,
}

impl Tables {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
    fn new(tables: &[u16; TABLES], place: impl Fn(usize) -> usize) -> Self {
        let (mut low, mut high, mut order) = ([0; 64], [0; 64], [0; 64]);
        for lane in 0..64usize {
            [low[lane], high[lane]] = tables[lane].to_le_bytes();
            order[place(lane)] = lane.to_le_bytes()[0];
        }
        Self {
            low: load(&low),
            high: load(&high),
            order: load(&order),
        }
    }

    /// For 64 lanes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
    fn look_up(&self, choice: &[u8; 64]) -> [__m512i; 4] {
        let zero = _mm512_setzero_si512();
        let choice = _mm512_permutexvar_epi8(self.order, load(choice));
        let low = _mm512_permutexvar_epi8(choice, self.low);
        let high = _mm512_permutexvar_epi8(choice, self.high);
        let first = _mm512_unpacklo_epi8(low, high);
        let second = _mm512_unpackhi_epi8(low, high);
        [
            _mm512_unpacklo_epi16(first, zero),
            _mm512_unpackhi_epi16(first, zero),
            _mm512_unpacklo_epi16(second, zero),
            _mm512_unpackhi_epi16(second, zero),
        ]
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn decode_avx512(
    tables: &[u16; TABLES],
    choice: &[u8],
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    flags: &mut [u64],
) -> usize {
    let tables = Tables::new(tables, decoding::byte_place);
    let mut vectors = decoding::load_states(states);
    let slot_mask = _mm512_set1_epi32(SLOTS - 1);
    let all = _mm512_set1_epi32(SLOTS);
    let mut done = 0;
    let groups = flags.as_chunks_mut::<FLAG_WORDS>().0.iter_mut();
    for (flags, choice) in groups.zip(choice.as_chunks::<LANES>().0) {
        let Some(group) = words[*at..].first_chunk::<GROUP_WORD_BYTES>() else {
            break;
        };
        let mut taken = 0;
        let fours = vectors.as_chunks_mut::<4>().0.iter_mut();
        for ((states, choice), flags) in fours.zip(choice.as_chunks::<64>().0).zip(flags) {
            *flags = 0;
            let steps = tables.look_up(choice);
            for (i, (state, set)) in states.iter_mut().zip(steps).enumerate() {
                let slot = _mm512_and_si512(*state, slot_mask);
                let is_set = _mm512_cmplt_epu32_mask(slot, set);
                let frequency = _mm512_mask_sub_epi32(set, !is_set, all, set);
                let rank = _mm512_mask_sub_epi32(slot, !is_set, slot, set);
                *state = decoding::advance(*state, frequency, rank, group, &mut taken);
                *flags |= u64::from(is_set) << (16 * i);
            }
        }
        *at += taken;
        done += FLAG_WORDS;
    }
    decoding::store_states(&vectors, states);
    done
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn encode_avx512(
    tables: &[u16; TABLES],
    choice: &[u8],
    flags: &[u64],
    states: &mut States,
    words: &mut [u8],
) -> usize {
    let tables = Tables::new(tables, encoding::byte_place);
    let (reverse, low_words_reversed) = reversed();
    let reverse = load_lanes(&reverse);
    let low_words_reversed = load_words(&low_words_reversed);
    let all = _mm512_set1_epi32(SLOTS);
    let mut vectors = encoding::load_states(states, reverse);
    let mut at = words.len();
    let groups = flags.as_chunks::<FLAG_WORDS>().0.iter();
    for (flags, choice) in groups.zip(choice.as_chunks::<LANES>().0).rev() {
        let mut room = Room::before(at, words);
        let fours = vectors.as_chunks_mut::<4>().0.iter_mut();
        let choices = choice.as_chunks::<64>().0.iter();
        for ((states, choice), flags) in fours.zip(choices).zip(flags).rev() {
            let steps = tables.look_up(choice);
            for (i, (state, set)) in states.iter_mut().zip(steps).enumerate().rev() {
                let [low, high, ..] = (flags >> (16 * i)).to_le_bytes();
                // Lanes are in descending order.
                let is_set = u16::from_le_bytes([low, high]).reverse_bits();
                let frequency = _mm512_mask_sub_epi32(set, !is_set, all, set);
                let first = _mm512_maskz_mov_epi32(!is_set, set);
                let step = _mm512_or_si512(frequency, _mm512_slli_epi32::<16>(first));
                // SAFETY: as many vectors as may be are in a group, and each comes once.
                let (quotient, slot) =
                    unsafe { divide(*state, step, low_words_reversed, &mut room) };
                *state = _mm512_add_epi32(_mm512_slli_epi32::<SLOT_BITS>(quotient), slot);
            }
        }
        at -= room.taken();
    }
    encoding::store_states(&vectors, reverse, states);
    at
}
