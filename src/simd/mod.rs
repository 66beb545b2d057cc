//! Which vector instructions the kernels may use.
//!
//! Invariant: a `Simd` value is proof that this machine has the instructions it names, so a kernel
//! that takes it need not ask again. Knows nothing of what the kernels do.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
mod flagged;
mod instruction_set;
mod look_up;
mod prefetch;
mod rows;
mod vectorized;

pub(crate) use flagged::places;
pub use instruction_set::Simd;
pub use prefetch::prefetch;
pub(crate) use rows::ROW;
