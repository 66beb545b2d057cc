//! Bounds on what a header may claim, whatever the container. A file beyond them is one of bytes.

/// Most bytes of a header: what the safetensors library itself takes. Headers of real models end at a
/// few MiB; what reading one costs in memory and time is bounded by this.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Most bytes of a tensor's name, one of which is held while its tensor is read. Names are paths of
/// modules, a few hundred bytes at most.
pub const MAX_NAME_BYTES: usize = 1 << 16;
/// Most bytes of the name of a dtype; known ones have ten.
pub const MAX_DTYPE_BYTES: usize = 256;
/// Most dimensions of a tensor; frameworks end far below, ggml at 4.
pub const MAX_DIMENSIONS: usize = 64;
/// Most bytes of what a GGUF header says of its tensors, which are held until it ends: a hundred
/// thousand tensors with names of 64 bytes, which llama.cpp takes at most.
pub const MAX_TENSOR_TABLE_BYTES: usize = 1 << 24;
/// What the tensors of a GGUF file may at most be aligned to: a huge page.
pub const MAX_ALIGNMENT: u32 = 1 << 21;
/// How deep arrays in GGUF metadata may be nested; llama.cpp takes none in another.
pub const MAX_ARRAY_DEPTH: usize = 4;
