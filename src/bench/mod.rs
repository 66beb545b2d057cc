//! Benchmarks: of all codecs on a file, and of mounts.

pub(crate) mod codecs;
pub(crate) mod mounts;
