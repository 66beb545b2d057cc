//! The containers of weights that people have: from a file's header to its tensors, and to the extents
//! that its blocks are cut from.
//!
//! One door: [`read()`] takes any file ([`ReadAt`]), tells its format by its contents ([`ModelFormat`])
//! and gives its tensors; [`read_keeping`] is the same for who needs less of each tensor, or of fewer.
//! What a header says only advises: files are reproduced byte for byte whatever it claims, and one that
//! cannot be read is a file of bytes. A new container is a file beside `safetensors` and a line in
//! [`ModelFormat`]. Knows nothing of archives, caches and the file system.
//!
//! Files, each importing only those before it: `bounds`, `read_at`, `tensor`; `safetensors`, `ggml`,
//! `gguf`; `format`; `header`; `names`, `extents`; `tensor_kind`.

mod bounds;
pub mod extents;
mod format;
mod ggml;
mod gguf;
mod header;
pub mod names;
mod read_at;
mod safetensors;
mod tensor;
mod tensor_kind;

pub use bounds::{
    MAX_ALIGNMENT, MAX_ARRAY_DEPTH, MAX_DIMENSIONS, MAX_DTYPE_BYTES, MAX_HEADER_BYTES,
    MAX_NAME_BYTES, MAX_TENSOR_TABLE_BYTES,
};
pub use format::ModelFormat;
pub use header::{Header, WhyNot, read, read_keeping, read_typed, recognize, why_not};
pub use read_at::ReadAt;
pub use tensor::{Ends, FoundTensor, Tensor, TypedRange};
pub use tensor_kind::TensorKind;
