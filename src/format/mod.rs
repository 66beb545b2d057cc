//! Archive format version 1 as bytes: little-endian structures, named constants and the arithmetic
//! between offsets and blocks. `docs/FORMAT.md` is the specification; the modules follow its order.
//!
//! Invariant: a value of a type of this module that came from `parse` has passed its checksum, its
//! structure and its limits. Knows nothing of files, codecs' insides or safetensors.
//!
//! Two kinds of limits: what the writer chooses is called `DEFAULT_*`, what the reader accepts
//! `MAX_*`.

mod block_header;
mod element;
mod geometry;
mod index;
mod name;
mod profiles;
mod superblock;

pub use block_header::{BlockHeader, CodecId, MAX_PLANES, PlaneHeader};
pub use element::ElementType;
pub use geometry::{BlockSpan, EXTENT_BYTES, Extent, Geometry, MAX_EXTENTS};
pub use index::{
    BlockEntry, INDEX_PAGE_BYTES, INDEX_PAGE_ENTRIES, IndexPage, encode_index_page, index_bytes,
    seal_index_page,
};
pub use name::{ARCHIVE_SUFFIX, archive_name, original_name};
pub use profiles::{MAX_PROFILES_BYTES, Profiles};
pub use superblock::{SUPERBLOCK_BYTES, Superblock, TableRange};

/// Uncompressed bytes of a block unless the writer is told otherwise: the smallest size at which
/// the costs per block (tables, dispatch, cache) no longer show in sequential reads, while a random
/// read still pays only about 0.1 ms of decoding.
pub const DEFAULT_BLOCK_BYTES: u32 = 256 * 1024;
/// Smallest block a reader accepts: a page, below which nothing is gained.
pub const MIN_BLOCK_BYTES: u32 = 4 * 1024;
/// Largest block a reader accepts. It bounds what one hostile block can make a reader allocate.
pub const MAX_BLOCK_BYTES: u32 = 4 * 1024 * 1024;

/// The checksum of this format: XXH3, 64 bits, seed 0.
pub fn checksum(bytes: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(bytes)
}

/// Little-endian fields at fixed places. The offsets are constants of this module, inside arrays or
/// slices whose length the caller has checked.
mod field {
    pub(super) fn u16(bytes: &[u8], at: usize) -> u16 {
        u16::from_le_bytes(array(bytes, at))
    }

    pub(super) fn u32(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(array(bytes, at))
    }

    pub(super) fn u64(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(array(bytes, at))
    }

    pub(super) fn i64(bytes: &[u8], at: usize) -> i64 {
        i64::from_le_bytes(array(bytes, at))
    }

    pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(&bytes[at..at + N]);
        value
    }

    pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
        bytes[at..at + value.len()].copy_from_slice(value);
    }

    pub(super) fn is_zero(bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| byte == 0)
    }
}
