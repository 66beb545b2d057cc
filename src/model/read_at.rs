//! Access to the bytes of a file that may be a model, wherever they come from.

use std::io::{self, Read};
use std::ops::Range;

use crate::error::{Error, Result};

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

/// A file that is in memory.
impl ReadAt for [u8] {
    fn file_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..)?.get(..buffer.len()))
            .ok_or_else(|| {
                Error::io("cannot read", io::Error::from(io::ErrorKind::UnexpectedEof))
            })?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// Reads a range of a file from its start to its end, as parsers of streams take it.
pub(super) struct RangeReader<'a, R: ?Sized> {
    file: &'a R,
    range: Range<u64>,
    failed: Option<Error>,
}

impl<'a, R: ReadAt + ?Sized> RangeReader<'a, R> {
    pub(super) const fn new(file: &'a R, range: Range<u64>) -> Self {
        Self {
            file,
            range,
            failed: None,
        }
    }

    /// The error that reading ended with, which a parser of streams has no place for.
    pub(super) fn failed(self) -> Option<Error> {
        self.failed
    }
}

impl<R: ReadAt + ?Sized> Read for RangeReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.end.saturating_sub(self.range.start);
        let len = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if let Err(error) = self.file.read_at(&mut buffer[..len], self.range.start) {
            let told = io::Error::other(error.to_string());
            self.failed = Some(error);
            return Err(told);
        }
        self.range.start += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;

    /// A file that answers as slowly, as scarcely and as little as it may.
    pub(in crate::model) struct Made {
        pub bytes: Vec<u8>,
        pub file_bytes: u64,
        pub fails_from: u64,
        pub reads: Cell<u64>,
        pub furthest: Cell<u64>,
    }

    impl Made {
        pub fn new(bytes: Vec<u8>) -> Self {
            Self {
                file_bytes: bytes.len() as u64,
                bytes,
                fails_from: u64::MAX,
                reads: Cell::new(0),
                furthest: Cell::new(0),
            }
        }
    }

    impl ReadAt for Made {
        fn file_bytes(&self) -> u64 {
            self.file_bytes
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
            let end = offset + buffer.len() as u64;
            assert!(end <= self.file_bytes, "what is asked for lies in the file");
            assert!(offset >= self.furthest.get(), "nothing is read twice");
            self.reads.set(self.reads.get() + 1);
            self.furthest.set(end);
            if end > self.fails_from {
                return Err(Error::corrupt("made up"));
            }
            self.bytes[..].read_at(buffer, offset)
        }
    }
}
