//! A file that is read by position: one that cannot be mapped, as of a FUSE or network file system
//! that keeps no pages of it (`mmap` answers ENODEV there).

use std::fs::File;
use std::io;
use std::ops::Range;

use super::access::{Hints, Storage, within};
use crate::os::{read_full_at, zeroed};
use crate::sync::{Pool, cores};

/// Buffers that have become longer are not kept.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// A file, read into buffers of its own.
#[derive(Debug)]
pub struct PositionalFile {
    file: File,
    len: u64,
    buffers: Pool<Vec<u8>>,
}

impl PositionalFile {
    /// The file as long as it is now.
    ///
    /// # Errors
    /// What the system answered.
    pub fn new(file: &File) -> io::Result<Self> {
        Ok(Self {
            len: file.metadata()?.len(),
            file: file.try_clone()?,
            buffers: Pool::new(cores()),
        })
    }
}

impl Storage for PositionalFile {
    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        within(&range, self.len)?;
        let use_buffer = |buffer: &mut Vec<u8>| {
            let result = read_range(&self.file, &range, buffer).map(&mut *read);
            if buffer.capacity() > MAX_KEPT_BYTES {
                *buffer = Vec::new();
            }
            Ok(result)
        };
        match self.buffers.with(|| Ok(Vec::new()), use_buffer) {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        }
    }

    // No asking ahead: what the system would read then is kept in pages, which reads of a file that
    // keeps none go past, so that everything would be fetched twice.
    fn hints(&self) -> Hints {
        Hints {
            in_place: false,
            ask_ahead_bytes: 0,
        }
    }
}

/// Reads a range of a file into a buffer that is made long enough.
///
/// # Errors
/// What the system answered, or `UnexpectedEof` if the file ends before the range does.
pub(super) fn read_range<'a>(
    file: &File,
    range: &Range<u64>,
    buffer: &'a mut Vec<u8>,
) -> io::Result<&'a [u8]> {
    let len = usize::try_from(range.end - range.start)
        .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    if buffer.len() < len {
        *buffer = Vec::new();
        *buffer = zeroed(len)?;
    }
    let bytes = &mut buffer[..len];
    if read_full_at(file, bytes, range.start)? < len {
        let what = "the file is shorter than when it was opened";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_whole_or_not_at_all() {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        crate::os::write_all_at(&file, &bytes, 0).unwrap();
        let storage = PositionalFile::new(&file).unwrap();
        for range in [0..0, 5..1000, 100..101, 0..3_000_000, 2_999_999..3_000_000] {
            let mut seen = None;
            let place = within(&range, storage.len()).unwrap();
            storage
                .read(range, &mut |bytes| seen = Some(bytes.to_vec()))
                .unwrap();
            assert!(seen.unwrap() == bytes[place]);
        }
        for range in [0..3_000_001, 5..u64::MAX] {
            let read = storage.read(range, &mut |_| panic!("it is not all there"));
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        file.set_len(2000).unwrap();
        let read = storage.read(1000..3000, &mut |_| panic!("it is not all there"));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
