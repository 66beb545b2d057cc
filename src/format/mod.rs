//! Archive format version 1 as bytes: little-endian structures, named constants and the arithmetic
//! between offsets and blocks. `docs/FORMAT.md` is the specification; the modules follow its order.
//!
//! Invariant: a value of a type of this module that came from `parse` has passed its checksum, its
//! structure and its limits. Knows nothing of files, codecs' insides or safetensors.
//!
//! Two kinds of limits: what the writer chooses is called `DEFAULT_*`, what the reader accepts
//! `MAX_*`.

mod base;
mod block_header;
mod checksum;
mod codec_id;
mod element;
mod fidelity;
mod field;
mod geometry;
mod grid;
mod index;
mod name;
mod pin;
mod profiles;
mod superblock;
mod tensor_hash;

pub use base::{BaseRecord, Kinship, MAX_BASES, Reference};
pub use block_header::{
    BlockHeader, MAX_PLANES, PlaneHeader, REFERENCE_PREFIX_BYTES, SCALES_SHIFT,
};
pub use checksum::checksum;
pub use codec_id::{CodecId, Widths};
pub use element::ElementType;
pub use fidelity::{FIDELITY_BYTES, Fidelity, FidelitySummary, LossyMethod, TensorFidelity};
pub use geometry::{
    BlockSpan, DEFAULT_BLOCK_BYTES, EXTENT_BYTES, Extent, Geometry, MAX_BLOCK_BYTES, MAX_EXTENTS,
    MIN_BLOCK_BYTES,
};
pub use grid::{GridHeader, GridKind, MAX_GROUP_LEVEL, MAX_OCTAVE_STEPS, RowParts};
pub use index::{
    BlockEntry, INDEX_PAGE_BYTES, INDEX_PAGE_ENTRIES, IndexPage, encode_index_page, index_bytes,
    seal_index_page,
};
pub use name::{ARCHIVE_SUFFIX, OWN_XATTRS, archive_name, original_name};
pub use pin::{OWN_DIRECTORY, is_own, is_pin_name, pin_path, pins_directory};
pub use profiles::{MAX_PROFILES_BYTES, Profiles};
pub use superblock::{Lossy, SUPERBLOCK_BYTES, Superblock, Table, TableLengths, TableRange};
pub use tensor_hash::{LEAST_HASHED_BYTES, MAX_TENSOR_HASHES, TENSOR_HASH_BYTES, TensorHash};
