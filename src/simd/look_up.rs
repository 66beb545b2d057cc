//! Looking up bytes in a table that fits into a vector register.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a function for one set of instructions")
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
