//! Plain loops, compiled once for each set of vector instructions.
#![expect(unsafe_code, reason = "functions for one set of instructions")]

use super::Simd;

impl Simd {
    /// Runs work whose loops the compiler may turn into vector instructions of this set. What is to be
    /// compiled so must be inlined into the closure: `#[inline(always)]`.
    #[inline(always)]
    pub(crate) fn vectorized<R>(self, work: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        {
            if self.avx512() {
                // SAFETY: the value shows that the machine has these instructions.
                return unsafe { with_avx512(work) };
            }
            if self.avx2() {
                // SAFETY: the value shows that the machine has these instructions.
                return unsafe { with_avx2(work) };
            }
        }
        work()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}
