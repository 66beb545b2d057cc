//! Where the bytes of an archive lie.
//!
//! Invariant: bytes come back as a slice or not at all; what lies beyond the end is an error of the
//! caller's choosing, never zeros. Knows nothing of the archive format.

mod mapped;

pub use mapped::MappedFile;

use std::ops::Range;

/// The bytes of one archive.
#[derive(Debug)]
pub enum Bytes {
    /// A file of the file system, mapped into memory.
    Mapped(MappedFile),
    /// Bytes that are in memory already.
    Memory(Vec<u8>),
}

impl Bytes {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The bytes of a range; `None` if it is reversed or not wholly inside.
    pub fn slice(&self, range: Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start).ok()?;
        let end = usize::try_from(range.end).ok()?;
        self.as_slice().get(start..end)
    }

    /// Tells that all is read once, from the start to the end.
    pub fn expect_sequential(&self) {
        if let Self::Mapped(file) = self {
            file.expect_sequential();
        }
    }

    /// Gives back what memory reading a range has taken, where that is possible.
    pub fn release(&self, range: Range<u64>) {
        if let Self::Mapped(file) = self
            && let (Ok(start), Ok(end)) = (range.start.try_into(), range.end.try_into())
        {
            file.release(start..end);
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file.as_slice(),
            Self::Memory(bytes) => bytes,
        }
    }
}
