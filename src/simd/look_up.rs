//! Looking up bytes in a table that fits into a vector register.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "functions for one set of instructions")
)]

use super::Simd;

impl Simd {
    /// Replaces bytes by their entries. Of each the low six bits count.
    pub(crate) fn look_up(self, table: &[u8; 64], bytes: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if self.avx512() {
            // SAFETY: the value shows that the machine has these instructions.
            unsafe { look_up_avx512(table, bytes) };
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if self.avx2() {
            // SAFETY: as above.
            unsafe { look_up_avx2(table, bytes) };
            return;
        }
        for byte in bytes {
            *byte = table[usize::from(*byte % 64)];
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up_avx512(table: &[u8; 64], bytes: &mut [u8]) {
    use super::avx512::{load, store};
    use std::arch::x86_64::_mm512_permutexvar_epi8;

    let entries = load(table);
    let (vectors, rest) = bytes.as_chunks_mut::<64>();
    for bytes in vectors {
        store(_mm512_permutexvar_epi8(load(bytes), entries), bytes);
    }
    for byte in rest {
        *byte = table[usize::from(*byte % 64)];
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn look_up_avx2(table: &[u8; 64], bytes: &mut [u8]) {
    use super::avx2::{Entries, load, store};

    let entries = Entries::new(table);
    let (vectors, rest) = bytes.as_chunks_mut::<32>();
    for bytes in vectors {
        store(entries.look_up(load(bytes)), bytes);
    }
    for byte in rest {
        *byte = table[usize::from(*byte % 64)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_alike() {
        let mut random = fastrand::Rng::with_seed(1);
        let table = std::array::from_fn(|_| random.u8(..));
        for len in [0, 1, 31, 32, 63, 64, 65, 1000] {
            let bytes: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
            let expected: Vec<u8> = bytes
                .iter()
                .map(|byte| table[usize::from(byte % 64)])
                .collect();
            for simd in Simd::available() {
                let mut bytes = bytes.clone();
                simd.look_up(&table, &mut bytes);
                assert_eq!(bytes, expected, "{}", simd.name());
            }
        }
    }
}
