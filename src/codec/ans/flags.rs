//! The same coder for flags, which are not equal or equal, each with one of some tables: of two ids there is nothing to
//! look up but how many of the slots are the first one's.

#[cfg(target_arch = "x86_64")]
use super::flags_avx2;
#[cfg(target_arch = "x86_64")]
use super::flags_avx512;
use super::frequencies::{SLOT_BITS, SLOTS};
use super::kernel::to_the_end;
use super::lanes::{Course, FLAG_WORDS, GROUP_WORD_BYTES, LANES, STATE_MIN, States, TABLES};
use crate::error::Result;
use crate::simd::Simd;

const SLOT_COUNT: u32 = 1 << SLOT_BITS;

/// For each table how many slots, the first ones, belong to flags that are set: at least one, and not all.
pub(in crate::codec) struct FlagTables(pub [u16; TABLES]);

impl FlagTables {
    /// Decodes the flags of whole groups; `choice` has the table of each, below `TABLES`.
    ///
    /// # Errors
    /// `Corrupt` if the words end too early.
    pub fn decode(
        &self,
        simd: Simd,
        choice: &[u8],
        course: &mut Course<'_>,
        flags: &mut [u64],
    ) -> Result<()> {
        let (words, at, states) = (course.words, &mut course.at, &mut course.states);
        to_the_end::<_, FLAG_WORDS>(words, at, flags, |first, words, at, flags| {
            let choice = &choice[64 * first..64 * (first + flags.len())];
            #[cfg(target_arch = "x86_64")]
            if simd.avx512() {
                return flags_avx512::decode(simd, &self.0, choice, states, words, at, flags);
            }
            #[cfg(target_arch = "x86_64")]
            if simd.avx2() {
                return flags_avx2::decode(simd, &self.0, choice, states, words, at, flags);
            }
            self.decode_portable(choice, states, words, at, flags)
        })
    }

    fn decode_portable(
        &self,
        choice: &[u8],
        states: &mut States,
        words: &[u8],
        at: &mut usize,
        flags: &mut [u64],
    ) -> usize {
        let mut done = 0;
        let groups = flags.as_chunks_mut::<FLAG_WORDS>().0.iter_mut();
        for (flags, choice) in groups.zip(choice.as_chunks::<LANES>().0) {
            let Some(group) = words[*at..].first_chunk::<GROUP_WORD_BYTES>() else {
                break;
            };
            let mut taken = 0;
            let lanes = states.as_chunks_mut::<64>().0.iter_mut();
            for ((states, choice), flags) in lanes.zip(choice.as_chunks::<64>().0).zip(flags) {
                *flags = 0;
                for (lane, (state, &choice)) in states.iter_mut().zip(choice).enumerate() {
                    let set = u32::from(self.0[usize::from(choice) % TABLES]);
                    let slot = *state % SLOT_COUNT;
                    let is_set = slot < set;
                    *flags |= u64::from(is_set) << lane;
                    let (frequency, rank) = if is_set {
                        (set, slot)
                    } else {
                        (SLOT_COUNT - set, slot - set)
                    };
                    let next = frequency * (*state >> SLOT_BITS) + rank;
                    let place = taken % GROUP_WORD_BYTES;
                    let word =
                        u16::from_le_bytes([group[place], group[(place + 1) % GROUP_WORD_BYTES]]);
                    let low = u32::from(next < STATE_MIN);
                    taken += 2 * low as usize;
                    *state = next << (16 * low) | u32::from(word) & low.wrapping_neg();
                }
            }
            *at += taken;
            done += FLAG_WORDS;
        }
        done
    }

    /// Encodes the flags of whole groups in front of words that were written before, with the states as those left them.
    /// Returns where words start now.
    pub fn encode(
        &self,
        simd: Simd,
        choice: &[u8],
        flags: &[u64],
        states: &mut States,
        words: &mut [u8],
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        if simd.avx512() {
            return flags_avx512::encode(simd, &self.0, choice, flags, states, words);
        }
        let _ = simd;
        let mut at = words.len();
        let groups = flags.as_chunks::<FLAG_WORDS>().0.iter();
        for (flags, choice) in groups.zip(choice.as_chunks::<LANES>().0).rev() {
            for (lane, (state, &choice)) in states.iter_mut().zip(choice).enumerate().rev() {
                let set = u32::from(self.0[usize::from(choice) % TABLES]);
                let (frequency, first) = if flags[lane / 64] >> (lane % 64) & 1 == 1 {
                    (set, 0)
                } else {
                    (SLOT_COUNT - set, set)
                };
                if *state >> 20 >= frequency {
                    at -= 2;
                    words[at..at + 2].copy_from_slice(&state.to_le_bytes()[..2]);
                    *state >>= 16;
                }
                *state = ((*state / frequency) << SLOT_BITS) + first + *state % frequency;
            }
        }
        at
    }
}

const _: () = assert!(SLOTS == SLOT_COUNT as usize && LANES.is_multiple_of(64));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ans::starting_with;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn flags_come_back(groups in 1usize..20, likely in 0u32..5, seed: u64) {
            let mut random = fastrand::Rng::with_seed(seed);
            let tables = FlagTables(std::array::from_fn(|_| random.u16(1..4096) >> likely | 1));
            let choice: Vec<u8> = (0..groups * LANES).map(|_| random.u8(..64)).collect();
            let flags: Vec<u64> = choice
                .as_chunks::<64>()
                .0
                .iter()
                .map(|choice| {
                    let set = choice.iter().enumerate().filter(|&(_, &choice)| {
                        random.u16(..4096) < tables.0[usize::from(choice)]
                    });
                    set.fold(0, |flags, (place, _)| flags | 1 << place)
                })
                .collect();
            let start = starting_with(&[0xABCD; LANES]);
            let mut coded: Option<(States, Vec<u8>)> = None;
            for simd in Simd::available() {
                let (mut states, mut words) = (start, vec![0; 2 * choice.len()]);
                let at = tables.encode(simd, &choice, &flags, &mut states, &mut words);
                let now = (states, words.split_off(at));
                prop_assert!(coded.as_ref().is_none_or(|coded| *coded == now));
                let mut course = Course { states, words: &now.1, at: 0 };
                let mut decoded = vec![0; flags.len()];
                tables.decode(simd, &choice, &mut course, &mut decoded).unwrap();
                prop_assert_eq!(&decoded, &flags);
                prop_assert_eq!((course.states, course.at), (start, now.1.len()));
                coded = Some(now);
            }
        }
    }
}
