//! A file to be read, piece by piece.

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::watch::Watch;
use crate::error::{Error, Result};
use crate::os::{PageBuffer, read_full_at};
use crate::storage::MappedFile;

/// Bytes of a read, and of a copy out of a map.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// A file to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    pub(super) file: &'a File,
    pub(super) bytes: u64,
    pub(super) watch: &'a Watch<'a>,
}

impl Reader<'_> {
    pub(super) fn mapped(&self) -> Result<MappedFile> {
        MappedFile::private(self.file).map_err(|e| self.cannot(e))
    }

    /// Copies a piece of a map.
    pub(super) fn copy(&self, map: &MappedFile, piece: &[u8], buffer: &mut [u8]) -> Result<()> {
        let copy = &mut buffer[..piece.len()];
        copy.copy_from_slice(piece);
        // The copy is the work; without a use of it, it would be left out.
        black_box(copy);
        if map.faulted() {
            return Err(self.cannot(io::Error::from_raw_os_error(libc::EIO)));
        }
        Ok(())
    }

    /// Reads all of a range with pread(); `each` is told of each piece.
    pub(super) fn read_range(
        &self,
        range: Range<u64>,
        buffer: &mut PageBuffer,
        mut each: impl FnMut(),
    ) -> Result<()> {
        for at in range.clone().step_by(PIECE_BYTES) {
            let left = usize::try_from(range.end - at).unwrap_or(PIECE_BYTES);
            let piece = &mut buffer.bytes()[..left.min(PIECE_BYTES)];
            if read_full_at(self.file, piece, at).map_err(|e| self.cannot(e))? < piece.len() {
                return Err(self.cannot(io::ErrorKind::UnexpectedEof.into()));
            }
            self.watch.beat()?;
            each();
        }
        Ok(())
    }

    pub(super) fn cannot(&self, error: io::Error) -> Error {
        Error::io(format!("cannot read {}", self.path.display()), error)
    }
}

/// The part of a file that one of `count` readers reads; parts begin at whole pieces.
pub(super) fn stripe(bytes: u64, number: u64, count: u64) -> Range<u64> {
    let pieces = bytes.div_ceil(PIECE_BYTES as u64);
    let start = |number: u64| (pieces * number / count * PIECE_BYTES as u64).min(bytes);
    start(number)..start(number + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_cover_the_file_once() {
        for bytes in [0, 1, 1 << 20, (1 << 20) + 1, 10_000_000, 1 << 40] {
            for count in [1, 2, 4, 16] {
                let mut end = 0;
                for number in 0..count {
                    let part = stripe(bytes, number, count);
                    assert_eq!(part.start, end);
                    end = part.end;
                }
                assert_eq!(end, bytes);
            }
        }
    }
}
