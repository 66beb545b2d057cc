//! Bounds on what a header may claim, whatever the container. A file beyond them is one of bytes.

/// Most bytes of a header: what the safetensors library itself takes. Headers of real models end at a
/// few MiB; what reading one costs in memory and time is bounded by this.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Most bytes of a tensor's name, one of which is held while its tensor is read. Names are paths of
/// modules, a few hundred bytes at most.
pub const MAX_NAME_BYTES: usize = 1 << 16;
/// Most bytes of the name of a dtype; known ones have ten.
pub const MAX_DTYPE_BYTES: usize = 256;
/// Most dimensions of a tensor; frameworks end far below.
pub const MAX_DIMENSIONS: usize = 64;
