//! Benchmarks: of all codecs on a file, and of mounts.

pub(crate) mod codecs;
mod median;
pub(crate) mod mounts;
mod process;
