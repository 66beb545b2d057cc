//! Access to the bytes of a file that may be a model, wherever they come from.

use crate::error::Result;

/// The bytes of a file: an original, the file an archive stands for, or one that is read through a
/// mount's cache.
pub trait ReadAt {
    /// Length of the file in bytes.
    fn file_bytes(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// If any byte of the range cannot be had, also for lying behind the end of the file; what
    /// `buffer` holds then must not be used.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
}
