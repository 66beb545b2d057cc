//! What is changed in a plane: flags of all elements, and ids of those that are.

use super::layout::{DIRECT, parts};
use super::number::Number;
use super::tail::Tail;
use crate::codec::plane::Form;
use crate::simd::{Simd, places};

/// Elements with flags in one word.
pub(super) const RUN: usize = 64;
/// Differences from here on do not fit beside others.
const FAR: u8 = u8::MAX;

/// The changes of a plane to its base, with buffers that are used again.
#[derive(Default)]
pub(super) struct Changes {
    pub count: usize,
    /// Of each element, and of some more behind the end which are not changed.
    pub flags: Vec<u64>,
    /// The exponents of the base, of as many.
    pub exponents: Vec<u8>,
    /// Of each element that is changed.
    pub ids: Vec<u8>,
    /// Low bits of large ids, and how many they are.
    low: Vec<(u32, u8)>,
    far: Vec<u32>,
}

impl Changes {
    /// Takes a plane apart.
    pub fn find<N: Number>(&mut self, simd: Simd, own: &[u8], base: &[u8], form: Form) {
        let (own, base) = (N::all(own), N::all(base));
        let mantissa_bits = form.mantissa_bits();
        self.count = own.len();
        let whole = own.len().next_multiple_of(RUN);
        self.flags.clear();
        self.exponents.resize(whole, 0);
        self.ids.resize(whole, 0);
        self.low.clear();
        self.far.clear();
        let mut changed = 0;
        simd.vectorized(
            #[inline(always)]
            || {
                let runs = own.chunks(RUN).zip(base.chunks(RUN));
                for ((own, base), exponents) in runs.zip(self.exponents.as_chunks_mut::<RUN>().0) {
                    let mut near = [0; RUN];
                    let mut most = 0;
                    let near_and_exponents = near.iter_mut().zip(exponents);
                    for ((near, exponent), (&own, &base)) in
                        near_and_exponents.zip(own.iter().zip(base))
                    {
                        let base = N::load(base);
                        *near = base.difference_to(N::load(own)).or_most(FAR);
                        most = most.max(*near);
                        *exponent = base.exponent(mantissa_bits).to_le_bytes()[0];
                    }
                    let flags = simd.not_zero(&near);
                    self.flags.push(flags);
                    if let Some(room) = self.ids[changed..].first_chunk_mut() {
                        simd.pick(&near, flags, room);
                    }
                    changed += flags.count_ones() as usize;
                    if most == FAR {
                        let numbers = near.iter().zip(own.iter().zip(base));
                        self.far
                            .extend(numbers.filter(|(near, _)| **near == FAR).map(
                                |(_, (&own, &base))| {
                                    N::load(base).difference_to(N::load(own)).widen()
                                },
                            ));
                    }
                }
            },
        );
        self.ids.truncate(changed);
        self.make_ids(simd);
    }

    /// Makes ids of differences.
    fn make_ids(&mut self, simd: Simd) {
        for id in &mut self.ids {
            *id -= 1;
        }
        let mut far = self.far.iter();
        let (ids, low) = (&mut self.ids, &mut self.low);
        for run in ids.chunks_mut(RUN) {
            for place in places(large(simd, run)) {
                let id = &mut run[place];
                let left = if *id == FAR - 1 {
                    far.next().map_or(0, |far| far - 1)
                } else {
                    u32::from(*id)
                };
                let (large, bits, width) = parts(left.max(DIRECT.into()));
                *id = large;
                low.push((bits, width));
            }
        }
    }

    /// Takes the last elements off, as many as the states carry beside the low bits.
    pub fn take_tail<N: Number>(&mut self, own: &[u8], base: &[u8]) -> Tail {
        let numbers = N::all(own).iter().zip(N::all(base));
        let differences =
            numbers.map(|(&own, &base)| N::load(base).difference_to(N::load(own)).widen());
        let share = self.ids.len() as f32 / self.count as f32;
        let tail = Tail::of(differences, share, self.low_length());
        self.count -= usize::from(tail.elements);
        let mut off = 0;
        for (flags, start) in self.flags.iter_mut().zip((0..).step_by(RUN)) {
            let left = self.count.saturating_sub(start);
            if left < RUN {
                let kept = *flags & ((1 << left) - 1);
                off += (*flags ^ kept).count_ones() as usize;
                *flags = kept;
            }
        }
        let left = self.ids.len() - off;
        let large = self.ids[left..].iter().filter(|&&id| id >= DIRECT).count();
        self.low.truncate(self.low.len() - large);
        self.ids.truncate(left);
        let runs = self.count.div_ceil(RUN);
        self.flags.truncate(runs);
        self.exponents.truncate(RUN * runs);
        tail
    }

    /// Those of some bytes that are of changed elements.
    pub fn pick(&self, simd: Simd, bytes: &[u8], picked: &mut Vec<u8>) {
        picked.resize(self.ids.len() + RUN, 0);
        let mut at = 0;
        for (bytes, &flags) in bytes.as_chunks().0.iter().zip(&self.flags) {
            if let Some(room) = picked[at..].first_chunk_mut() {
                simd.pick(bytes, flags, room);
            }
            at += flags.count_ones() as usize;
        }
        picked.truncate(self.ids.len());
    }

    fn low_length(&self) -> usize {
        self.low.iter().map(|&(_, bits)| usize::from(bits)).sum()
    }

    /// The bit string of the low bits and the tail.
    pub fn low_bits(&self, tail: &Tail) -> Vec<u8> {
        let mut bytes = vec![0; (self.low_length() + tail.bits()).div_ceil(8)];
        let mut writer = crate::plane::BitWriter::new(&mut bytes);
        for &(low, bits) in &self.low {
            writer.put(low.into(), bits);
        }
        tail.put(&mut writer);
        writer.finish();
        bytes
    }
}

/// Which of up to 64 ids are large.
#[inline(always)]
pub(super) fn large(simd: Simd, ids: &[u8]) -> u64 {
    let mut above = [0; RUN];
    for (above, &id) in above.iter_mut().zip(ids) {
        *above = id.saturating_sub(DIRECT - 1);
    }
    simd.not_zero(&above)
}
