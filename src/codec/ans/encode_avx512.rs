//! Encoding groups with AVX-512, 16 lanes at once.
//!
//! Lanes are held in descending order within a vector, so that compressing those that give a word
//! away and reversing them puts the words at the end of a vector: it is stored so that it ends where
//! the words written before start, and what is not a word is overwritten by the next.
#![expect(unsafe_code, reason = "vector loads, stores and gathers")]

use std::arch::x86_64::{
    __m256i, __m512i, _MM_FROUND_NO_EXC, _MM_FROUND_TO_ZERO, _mm_loadu_si128, _mm256_storeu_si256,
    _mm512_add_epi16, _mm512_add_epi32, _mm512_and_si512, _mm512_castsi512_si256,
    _mm512_cmpge_epu8_mask, _mm512_cmpge_epu32_mask, _mm512_cvt_roundepu32_ps, _mm512_cvtepi32_ps,
    _mm512_cvtepu8_epi32, _mm512_cvttps_epu32, _mm512_div_round_ps, _mm512_i32gather_epi32,
    _mm512_mask_add_epi8, _mm512_mask_add_epi32, _mm512_mask_mov_epi8, _mm512_mask_srli_epi32,
    _mm512_mask_sub_epi32, _mm512_maskz_compress_epi32, _mm512_min_epu32, _mm512_movepi8_mask,
    _mm512_mullo_epi32, _mm512_or_si512, _mm512_permutex2var_epi8, _mm512_permutex2var_epi16,
    _mm512_permutexvar_epi8, _mm512_permutexvar_epi16, _mm512_permutexvar_epi32, _mm512_set1_epi8,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_slli_epi16,
    _mm512_slli_epi32, _mm512_srli_epi16, _mm512_srli_epi32, _mm512_sub_epi32,
    _mm512_test_epi8_mask, _mm512_unpackhi_epi8, _mm512_unpackhi_epi16, _mm512_unpacklo_epi8,
    _mm512_unpacklo_epi16,
};

use super::each_steps::EachSteps;
use super::frequencies::{SLOT_BITS, SLOTS};
use super::lanes::{GROUP_WORD_BYTES, LANES, States};
use super::step_table::{BLOCK_BITS, StepTable};
use crate::simd::Simd;
use crate::simd::avx512::{load, load_lanes, load_words, store_lanes};

/// Rounds down and does not touch the flags.
const DOWN: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
/// Vectors of 16 lanes.
const VECTORS: usize = LANES / 16;
/// The most bytes of words that a vector gives away.
const VECTOR_WORD_BYTES: usize = GROUP_WORD_BYTES / VECTORS;

/// What the portable `encode` does.
pub(super) fn encode<'t>(
    simd: Simd,
    ids: &[u8],
    table_of: impl Fn(usize) -> &'t StepTable,
    states: &mut States,
    words: &mut [u8],
) -> usize {
    assert!(simd.avx512());
    // SAFETY: a `Simd` with AVX-512 exists only where the processor has all of these.
    unsafe { encode_avx512(ids, table_of, states, words) }
}

/// What the portable `EachSteps::encode` does.
pub(super) fn encode_each(
    simd: Simd,
    tables: &EachSteps,
    ids: &[u8],
    choice: &[u8],
    states: &mut States,
    words: &mut [u8],
) -> usize {
    assert!(simd.avx512());
    // SAFETY: as above.
    unsafe { encode_each_avx512(tables, ids, choice, states, words) }
}

/// Whether any of these ids, a multiple of 64, has a mark that is not zero.
pub(super) fn any(simd: Simd, ids: &[u8], marks: &[u8; 256]) -> bool {
    assert!(simd.avx512());
    // SAFETY: as above.
    unsafe { any_avx512(ids, marks) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn any_avx512(ids: &[u8], marks: &[u8; 256]) -> bool {
    let marks = marks.as_chunks::<64>().0;
    let marks = [0, 1, 2, 3].map(|i| load(&marks[i]));
    let mut found = _mm512_setzero_si512();
    for ids in ids.as_chunks::<64>().0 {
        let ids = load(ids);
        let mark = _mm512_permutex2var_epi8(marks[0], ids, marks[1]);
        let of_high = _mm512_permutex2var_epi8(marks[2], ids, marks[3]);
        let is_high = _mm512_movepi8_mask(ids);
        let mark = _mm512_mask_mov_epi8(mark, is_high, of_high);
        found = _mm512_or_si512(found, mark);
    }
    _mm512_test_epi8_mask(found, found) != 0
}

/// Where lane `l` of 64 stands in a vector of bytes: unpacking bytes to words and those to double
/// words, low half before high half, then yields 16 lanes each, in descending order.
pub(super) const fn byte_place(lane: usize) -> usize {
    let (vector, in_vector) = (lane / 16, 15 - lane % 16);
    16 * (in_vector / 4) + 4 * vector + in_vector % 4
}

/// The places of 16 lanes from the last to the first, and of their low words.
pub(super) const fn reversed() -> ([u32; 16], [u16; 32]) {
    let mut lanes = [0; 16];
    let mut low_words = [0; 32];
    let mut lane = 0u8;
    while lane < 16 {
        lanes[lane as usize] = 15 - lane as u32;
        low_words[lane as usize] = 30 - 2 * lane as u16;
        lane += 1;
    }
    (lanes, low_words)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn encode_avx512<'t>(
    ids: &[u8],
    table_of: impl Fn(usize) -> &'t StepTable,
    states: &mut States,
    words: &mut [u8],
) -> usize {
    let mut arrange = [0u8; 64];
    let (reverse, low_words_reversed) = reversed();
    let mut low_words = [0u16; 32];
    let mut low_bytes = [0u8; 64];
    for lane in 0..64usize {
        let [place, ..] = lane.to_le_bytes();
        arrange[byte_place(lane)] = place;
        low_bytes[16 * (lane % 16 / 4) + 4 * (lane / 16) + lane % 4] = 2 * place;
        if lane < 32 {
            low_words[lane] = 2 * u16::from(place);
        }
    }
    let arrange = load(&arrange);
    let orders = Orders {
        low_words: load_words(&low_words),
        low_bytes: load(&low_bytes),
    };
    let zero = _mm512_setzero_si512();
    let reverse = load_lanes(&reverse);
    let low_words_reversed = load_words(&low_words_reversed);

    let mut vectors = load_states(states, reverse);
    let mut at = words.len();
    for (group, ids) in ids.as_chunks::<LANES>().0.iter().enumerate().rev() {
        let table = table_of(group);
        let mut room = Room::before(at, words);
        for half in (0..2).rev() {
            let ids = _mm512_permutexvar_epi8(arrange, load(&ids[half * 64..]));
            let steps = look_up(table, ids);
            let mut quotients = [zero; 4];
            let mut indices = [zero; 4];
            let vectors = &mut vectors[4 * half..4 * half + 4];
            for i in (0..4).rev() {
                // SAFETY: VECTORS of them are in a group, and each comes once.
                (quotients[i], indices[i]) =
                    unsafe { divide(vectors[i], steps[i], low_words_reversed, &mut room) };
            }
            let slots = find_slots(table, indices, &orders);
            for i in 0..4 {
                let high = _mm512_slli_epi32::<SLOT_BITS>(quotients[i]);
                vectors[i] = _mm512_add_epi32(high, slots[i]);
            }
        }
        at -= room.taken();
    }
    store_states(&vectors, reverse, states);
    at
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn encode_each_avx512(
    tables: &EachSteps,
    ids: &[u8],
    choice: &[u8],
    states: &mut States,
    words: &mut [u8],
) -> usize {
    let count = tables.steps.len();
    assert!(count > 0 && tables.slots.len() > count * SLOTS);
    let last_table = u32::try_from(count - 1).unwrap_or(u32::MAX);
    let last_table = _mm512_set1_epi32(last_table.cast_signed());
    let last_slot = _mm512_set1_epi32((1 << SLOT_BITS) - 1);
    let (reverse, low_words_reversed) = reversed();
    let reverse = load_lanes(&reverse);
    let low_words_reversed = load_words(&low_words_reversed);
    let mut vectors = load_states(states, reverse);
    let mut at = words.len();
    let (ids, choice) = (ids.as_chunks::<LANES>().0, choice.as_chunks::<LANES>().0);
    for (ids, choice) in ids.iter().zip(choice).rev() {
        let mut room = Room::before(at, words);
        let ids = ids.as_chunks::<16>().0;
        let choice = choice.as_chunks::<16>().0;
        for (vector, (ids, choice)) in vectors.iter_mut().zip(ids.iter().zip(choice)).rev() {
            let descending = |bytes| _mm512_permutexvar_epi32(reverse, widen(bytes));
            let table = _mm512_min_epu32(descending(choice), last_table);
            let index = _mm512_or_si512(_mm512_slli_epi32::<8>(table), descending(ids));
            // SAFETY: tables are below their count, ids below 256.
            let step = unsafe { _mm512_i32gather_epi32::<4>(index, tables.steps.as_ptr().cast()) };
            // SAFETY: VECTORS of them are in a group, and each comes once.
            let (quotient, place) = unsafe { divide(*vector, step, low_words_reversed, &mut room) };
            let index = _mm512_add_epi32(
                _mm512_slli_epi32::<SLOT_BITS>(table),
                _mm512_min_epu32(place, last_slot),
            );
            // SAFETY: below the count of tables times SLOTS, and there is one entry more.
            let slot = unsafe { _mm512_i32gather_epi32::<2>(index, tables.slots.as_ptr().cast()) };
            let slot = _mm512_and_si512(slot, _mm512_set1_epi32(0xFFFF));
            *vector = _mm512_add_epi32(_mm512_slli_epi32::<SLOT_BITS>(quotient), slot);
        }
        at -= room.taken();
    }
    store_states(&vectors, reverse, states);
    at
}

/// The states as vectors, each in descending order.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load_states(states: &States, reverse: __m512i) -> [__m512i; VECTORS] {
    let mut vectors = [_mm512_setzero_si512(); VECTORS];
    for (vector, lanes) in vectors.iter_mut().zip(states.as_chunks::<16>().0) {
        *vector = _mm512_permutexvar_epi32(reverse, load_lanes(lanes));
    }
    vectors
}

/// Undoes `load_states`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store_states(vectors: &[__m512i; VECTORS], reverse: __m512i, states: &mut States) {
    for (vector, lanes) in vectors.iter().zip(states.as_chunks_mut::<16>().0) {
        store_lanes(_mm512_permutexvar_epi32(reverse, *vector), lanes);
    }
}

/// Where a group's words go, the last first.
pub(super) struct Room<'a> {
    bytes: &'a mut [u8; GROUP_WORD_BYTES],
    /// How many of them are not taken yet.
    free: usize,
}

impl<'a> Room<'a> {
    /// All that a group can take in front of the words that start at `at`.
    #[inline]
    pub(super) fn before(at: usize, words: &'a mut [u8]) -> Self {
        let bytes = words[..at].last_chunk_mut();
        Self {
            bytes: bytes.expect("invariant: two bytes an id"),
            free: GROUP_WORD_BYTES,
        }
    }

    #[inline]
    pub(super) const fn taken(&self) -> usize {
        GROUP_WORD_BYTES - self.free
    }
}

/// 16 bytes as numbers of 32 bits.
#[target_feature(enable = "avx512f")]
fn widen(bytes: &[u8; 16]) -> __m512i {
    // SAFETY: there are 16 bytes.
    _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// For each of 64 ids its frequency (16 bits) and the block its slots start in.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn look_up(table: &StepTable, ids: __m512i) -> [__m512i; 4] {
    let is_high = _mm512_movepi8_mask(ids);
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| {
        let bytes = &table.step_bytes[i];
        if table.wide {
            find(bytes, ids, is_high)
        } else {
            _mm512_permutex2var_epi8(load(&bytes[0]), ids, load(&bytes[1]))
        }
    });
    let (frequency_low, frequency_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
    let (first_low, first_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
    [
        _mm512_unpacklo_epi16(frequency_low, first_low),
        _mm512_unpackhi_epi16(frequency_low, first_low),
        _mm512_unpacklo_epi16(frequency_high, first_high),
        _mm512_unpackhi_epi16(frequency_high, first_high),
    ]
}

/// Looks up 64 numbers among 256 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn find(bytes: &[[u8; 64]; 4], numbers: __m512i, is_high: u64) -> __m512i {
    let low = _mm512_permutex2var_epi8(load(&bytes[0]), numbers, load(&bytes[1]));
    let high = _mm512_permutex2var_epi8(load(&bytes[2]), numbers, load(&bytes[3]));
    _mm512_mask_mov_epi8(low, is_high, high)
}

/// Lets the states that are full give a word away, and divides them by their frequencies: returns
/// the quotients and where the slots are.
///
/// # Safety
/// A room is given VECTORS times at most.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
pub(super) unsafe fn divide(
    state: __m512i,
    step: __m512i,
    low_words_reversed: __m512i,
    room: &mut Room<'_>,
) -> (__m512i, __m512i) {
    let frequency = _mm512_and_si512(step, _mm512_set1_epi32(0xFFFF));
    let first = _mm512_srli_epi32::<16>(step);
    let full = _mm512_cmpge_epu32_mask(_mm512_srli_epi32::<20>(state), frequency);
    let word = _mm512_maskz_compress_epi32(full, state);
    let words = _mm512_permutexvar_epi16(low_words_reversed, word);
    // SAFETY: of VECTORS times VECTOR_WORD_BYTES, each time before took that many at most, and this one has taken
    // nothing yet.
    unsafe { store_words(words, room) };
    room.free -= 2 * full.count_ones() as usize;
    let now = _mm512_mask_srli_epi32::<16>(state, full, state);
    // The quotient is below 2^20. State and division are rounded down to 24 bits, so what comes out
    // is at most one too small.
    let quotient = _mm512_cvttps_epu32(_mm512_div_round_ps::<DOWN>(
        _mm512_cvt_roundepu32_ps::<DOWN>(now),
        _mm512_cvtepi32_ps(frequency),
    ));
    let rank = _mm512_sub_epi32(now, _mm512_mullo_epi32(quotient, frequency));
    let more = _mm512_cmpge_epu32_mask(rank, frequency);
    let quotient = _mm512_mask_add_epi32(quotient, more, quotient, _mm512_set1_epi32(1));
    let rank = _mm512_mask_sub_epi32(rank, more, rank, frequency);
    (quotient, _mm512_add_epi32(first, rank))
}

/// How vectors are rearranged.
struct Orders {
    /// The low words of two vectors of double words.
    low_words: __m512i,
    /// The low bytes of double words in vectors of words made by it, so that unpacking them yields
    /// the double words in order.
    low_bytes: __m512i,
}

/// The slots at these places of the table.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn find_slots(table: &StepTable, indices: [__m512i; 4], orders: &Orders) -> [__m512i; 4] {
    if table.wide {
        return indices.map(|index| gather_slots(table, index));
    }
    let [a, b, c, d] = indices;
    let first = _mm512_permutex2var_epi16(a, orders.low_words, b);
    let second = _mm512_permutex2var_epi16(c, orders.low_words, d);
    let block = _mm512_permutex2var_epi8(
        _mm512_srli_epi16::<BLOCK_BITS>(first),
        orders.low_bytes,
        _mm512_srli_epi16::<BLOCK_BITS>(second),
    );
    let place = _mm512_and_si512(
        _mm512_permutex2var_epi8(first, orders.low_bytes, second),
        _mm512_set1_epi8((1 << BLOCK_BITS) - 1),
    );
    let is_high = _mm512_movepi8_mask(block);
    let ends = table
        .block_ends
        .each_ref()
        .map(|ends| find(ends, block, is_high));
    let of_more = _mm512_movepi8_mask(ends[0]);
    let mut piece = find(&table.block_pieces, block, is_high);
    for end in ends {
        let is_next = _mm512_cmpge_epu8_mask(place, end);
        piece = _mm512_mask_add_epi8(piece, is_next, piece, _mm512_set1_epi8(1));
    }
    let is_high = _mm512_movepi8_mask(piece);
    let [low, high] = table
        .piece_bytes
        .each_ref()
        .map(|bytes| find(bytes, piece, is_high));
    let zero = _mm512_setzero_si512();
    let slot_mask = _mm512_set1_epi16((1 << SLOT_BITS) - 1);
    let slots_low = _mm512_add_epi16(
        _mm512_unpacklo_epi8(low, high),
        _mm512_slli_epi16::<7>(_mm512_unpacklo_epi8(place, zero)),
    );
    let slots_high = _mm512_add_epi16(
        _mm512_unpackhi_epi8(low, high),
        _mm512_slli_epi16::<7>(_mm512_unpackhi_epi8(place, zero)),
    );
    let slots_low = _mm512_and_si512(slots_low, slot_mask);
    let slots_high = _mm512_and_si512(slots_high, slot_mask);
    let mut slots = [
        _mm512_unpacklo_epi16(slots_low, zero),
        _mm512_unpackhi_epi16(slots_low, zero),
        _mm512_unpacklo_epi16(slots_high, zero),
        _mm512_unpackhi_epi16(slots_high, zero),
    ];
    if of_more != 0 {
        for (i, (slots, index)) in slots.iter_mut().zip(indices).enumerate() {
            // The bytes that unpacking brings to this vector.
            if of_more & (0x000F_000F_000F_000F << (4 * i)) != 0 {
                *slots = gather_slots(table, index);
            }
        }
    }
    slots
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]
fn gather_slots(table: &StepTable, index: __m512i) -> __m512i {
    let index = _mm512_and_si512(index, _mm512_set1_epi32((2 << SLOT_BITS) - 1));
    // SAFETY: every index is below 2 * SLOTS, and the 4 bytes from there on lie in the table, which
    // has one entry more.
    let slot = unsafe { _mm512_i32gather_epi32::<2>(index, table.slots.as_ptr().cast()) };
    _mm512_and_si512(slot, _mm512_set1_epi32(0xFFFF))
}

/// Stores 16 words at the end of what is free.
///
/// # Safety
/// VECTOR_WORD_BYTES are free.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store_words(words: __m512i, room: &mut Room<'_>) {
    const { assert!(VECTOR_WORD_BYTES == size_of::<__m256i>()) };
    debug_assert!((VECTOR_WORD_BYTES..=GROUP_WORD_BYTES).contains(&room.free));
    // SAFETY: as many bytes as are stored lie before `free` in the room.
    unsafe {
        let end = room.bytes.as_mut_ptr().add(room.free);
        _mm256_storeu_si256(
            end.sub(VECTOR_WORD_BYTES).cast(),
            _mm512_castsi512_si256(words),
        );
    }
}
