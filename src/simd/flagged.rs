//! Flags, 64 in a word, of bytes and numbers; those that are flagged, one behind the other, and back in their places.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "functions for one set of instructions")
)]

use super::Simd;

impl Simd {
    /// Flags the bytes that are not zero.
    #[inline(always)]
    pub(crate) fn not_zero(self, bytes: &[u8; 64]) -> u64 {
        #[cfg(target_arch = "x86_64")]
        if self.avx512() {
            // SAFETY: the value shows that the machine has these instructions.
            return unsafe { avx512::not_zero(bytes) };
        }
        #[cfg(target_arch = "x86_64")]
        if self.avx2() {
            // SAFETY: as above.
            return unsafe { avx2::not_zero(bytes) };
        }
        let flags = bytes.iter().enumerate();
        flags.fold(0, |flags, (place, &byte)| {
            flags | u64::from(byte > 0) << place
        })
    }

    /// Writes the bytes that are flagged to the start of `picked`; what is behind them is arbitrary.
    #[inline(always)]
    pub(crate) fn pick(self, bytes: &[u8; 64], flags: u64, picked: &mut [u8; 64]) {
        #[cfg(target_arch = "x86_64")]
        if self.avx512() {
            // SAFETY: as above.
            return unsafe { avx512::pick(bytes, flags, picked) };
        }
        #[cfg(target_arch = "x86_64")]
        if self.avx2() {
            // SAFETY: as above.
            return unsafe { avx2::pick(bytes, flags, picked) };
        }
        for (place, byte) in places(flags).zip(picked) {
            *byte = bytes[place];
        }
    }

    /// Puts numbers of 1, 2 or 4 bytes in the places that are flagged, and zeros in the others.
    #[inline(always)]
    pub(crate) fn spread<const N: usize>(
        self,
        numbers: &[[u8; N]; 64],
        flags: u64,
        all: &mut [[u8; N]; 64],
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.avx512() {
            // SAFETY: as above.
            return unsafe { avx512::spread(numbers, flags, all) };
        }
        #[cfg(target_arch = "x86_64")]
        if self.avx2() {
            // SAFETY: as above.
            return unsafe { avx2::spread(numbers, flags, all) };
        }
        *all = [[0; N]; 64];
        for (place, number) in places(flags).zip(numbers) {
            all[place] = *number;
        }
    }
}

/// The places of the flags, ascending.
pub(crate) fn places(mut flags: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = flags.trailing_zeros();
        flags &= flags.wrapping_sub(1);
        (place < 64).then_some(place as usize)
    })
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        _mm_loadl_epi64, _mm_loadu_si128, _mm_shuffle_epi8, _mm_storel_epi64, _mm_storeu_si128,
        _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_cvtepi8_epi32, _mm256_loadu_si256,
        _mm256_movemask_epi8, _mm256_permutevar8x32_epi32, _mm256_setzero_si256, _mm256_srai_epi32,
        _mm256_storeu_si256,
    };

    use crate::simd::avx2::{RANKS, load, load_8, load_16};

    /// For each set of 8 flags the places of the flagged ones.
    static PICKED: [[u8; 8]; 256] = {
        let mut all = [[0; 8]; 256];
        let mut set = 0;
        while set < 256 {
            let (mut place, mut next) = (0, 0);
            while place < 8 {
                if set >> place & 1 == 1 {
                    all[set][next] = place;
                    next += 1;
                }
                place += 1;
            }
            set += 1;
        }
        all
    };

    /// As `RANKS`, of numbers of two bytes.
    static RANKS_OF_TWO: [[u8; 16]; 256] = {
        let mut all = [[128; 16]; 256];
        let mut set = 0;
        while set < 256 {
            let mut place = 0;
            while place < 8 {
                let rank = RANKS[set][place];
                if rank < 8 {
                    all[set][2 * place] = 2 * rank;
                    all[set][2 * place + 1] = 2 * rank + 1;
                }
                place += 1;
            }
            set += 1;
        }
        all
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn not_zero(bytes: &[u8; 64]) -> u64 {
        let zeros = |half: &[u8]| {
            let equal = _mm256_cmpeq_epi8(load(half), _mm256_setzero_si256());
            u64::from(_mm256_movemask_epi8(equal).cast_unsigned())
        };
        !(zeros(&bytes[..32]) | zeros(&bytes[32..]) << 32)
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn pick(bytes: &[u8; 64], flags: u64, picked: &mut [u8; 64]) {
        let mut at = 0;
        for (bytes, flags) in bytes.as_chunks::<8>().0.iter().zip(flags.to_le_bytes()) {
            let order = load_8(&PICKED[usize::from(flags)]);
            let found = _mm_shuffle_epi8(load_8(bytes), order);
            debug_assert!(at + 8 <= picked.len());
            // SAFETY: each of the steps before found at most 8, and with this one there are at most 8 of them.
            unsafe { _mm_storel_epi64(picked.as_mut_ptr().add(at).cast(), found) };
            at += flags.count_ones() as usize;
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn spread<const N: usize>(
        numbers: &[[u8; N]; 64],
        flags: u64,
        all: &mut [[u8; N]; 64],
    ) {
        const { assert!(matches!(N, 1 | 2 | 4)) };
        let mut at = 0;
        for (all, flags) in all
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(flags.to_le_bytes())
        {
            debug_assert!(at + 8 <= numbers.len());
            let (set, to) = (usize::from(flags), all.as_mut_ptr());
            // SAFETY: each of the steps before took at most 8 numbers, and with this one there are at most 8 of them; 8
            // numbers are read and written.
            unsafe {
                let from = numbers.as_ptr().add(at);
                match N {
                    1 => {
                        let found =
                            _mm_shuffle_epi8(_mm_loadl_epi64(from.cast()), load_8(&RANKS[set]));
                        _mm_storel_epi64(to.cast(), found);
                    }
                    2 => {
                        let found = _mm_loadu_si128(from.cast());
                        let order = load_16(&RANKS_OF_TWO[set]);
                        _mm_storeu_si128(to.cast(), _mm_shuffle_epi8(found, order));
                    }
                    _ => {
                        let ranks = _mm256_cvtepi8_epi32(load_8(&RANKS[set]));
                        let found = _mm256_loadu_si256(from.cast());
                        let found = _mm256_permutevar8x32_epi32(found, ranks);
                        let none = _mm256_srai_epi32::<31>(ranks);
                        _mm256_storeu_si256(to.cast(), _mm256_andnot_si256(none, found));
                    }
                }
            }
            at += flags.count_ones() as usize;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_maskz_compress_epi8, _mm512_maskz_expand_epi8, _mm512_maskz_expand_epi16,
        _mm512_maskz_expand_epi32, _mm512_test_epi8_mask,
    };

    use crate::simd::avx512::{load, store};

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn not_zero(bytes: &[u8; 64]) -> u64 {
        let bytes = load(bytes);
        _mm512_test_epi8_mask(bytes, bytes)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
    pub(super) fn pick(bytes: &[u8; 64], flags: u64, picked: &mut [u8; 64]) {
        store(_mm512_maskz_compress_epi8(flags, load(bytes)), picked);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
    pub(super) fn spread<const N: usize>(
        numbers: &[[u8; N]; 64],
        flags: u64,
        all: &mut [[u8; N]; 64],
    ) {
        const { assert!(matches!(N, 1 | 2 | 4)) };
        let numbers = numbers.as_flattened();
        let mut left = flags;
        let mut at = 0;
        for all in all.as_flattened_mut().as_chunks_mut::<64>().0 {
            let in_vector = 64 / N;
            let now = left & (u64::MAX >> (64 - in_vector));
            left = if N > 1 { left >> in_vector } else { 0 };
            // What is flagged from here on is at most as much as the vectors that are left.
            let from = load(&numbers[N * at..]);
            store(expand::<N>(now, from), all);
            at += now.count_ones() as usize;
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
    fn expand<const N: usize>(flags: u64, numbers: __m512i) -> __m512i {
        let [a, b, c, d, ..] = flags.to_le_bytes();
        match N {
            1 => _mm512_maskz_expand_epi8(flags, numbers),
            2 => _mm512_maskz_expand_epi16(u32::from_le_bytes([a, b, c, d]), numbers),
            _ => _mm512_maskz_expand_epi32(u16::from_le_bytes([a, b]), numbers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_picked_comes_back(flags: u64, seed: u64, mask: u64) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let bytes: [u8; 64] = std::array::from_fn(|_| rng.u8(..));
            let flags = flags & mask;
            for simd in Simd::available() {
                let mut picked = [0; 64];
                simd.pick(&bytes, flags, &mut picked);
                check::<1>(simd, flags, &mut rng);
                check::<2>(simd, flags, &mut rng);
                check::<4>(simd, flags, &mut rng);
                let mut all = [[7]; 64];
                simd.spread(&picked.map(|byte| [byte]), flags, &mut all);
                let expected: [u8; 64] =
                    std::array::from_fn(|place| if flags >> place & 1 == 1 { bytes[place] } else { 0 });
                prop_assert_eq!(all.as_flattened(), expected);
                let nonzero = expected.iter().enumerate().filter(|(_, byte)| **byte > 0);
                let nonzero = nonzero.fold(0, |flags, (place, _)| flags | 1u64 << place);
                prop_assert_eq!(simd.not_zero(&expected), nonzero);
            }
        }
    }

    fn check<const N: usize>(simd: Simd, flags: u64, rng: &mut fastrand::Rng) {
        let numbers: [[u8; N]; 64] = std::array::from_fn(|_| std::array::from_fn(|_| rng.u8(..)));
        let (mut all, mut expected) = ([[7; N]; 64], [[9; N]; 64]);
        simd.spread(&numbers, flags, &mut all);
        Simd::PORTABLE.spread(&numbers, flags, &mut expected);
        assert_eq!(all, expected);
    }
}
