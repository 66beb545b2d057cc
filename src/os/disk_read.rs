//! How fast the disk below a file gives its bytes: a short read past the page cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::page_buffer::PageBuffer;
use super::page_cache::cached_bytes_in;
use super::positional::read_full_at;
use super::write_back::drop_cached;

/// Bytes of a read: many requests of the disk at once, as readahead makes them.
const PIECE_BYTES: usize = 8 << 20;
/// What is not read past the page cache ends at such a place.
const SECTOR_BYTES: u64 = 4096;
/// Of what was dropped from the page cache, more than this part in it is no disk that is read.
const DROPPED_PART: u64 = 64;

/// What a read from a disk has taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskRead {
    /// Bytes that were read, from the start of the file.
    pub bytes: u64,
    /// How long that took.
    pub time: Duration,
    /// Past the page cache (`O_DIRECT`); else through it, after the range was dropped from it.
    pub is_direct: bool,
}

/// Reads a file from its start for so long, or to its end. Dropping pages, where the page cache cannot be
/// gone past, drops only those of the range that is read.
///
/// # Errors
/// What the system answered, or `Unsupported` if its pages stay in memory.
pub fn read_disk(path: &Path, time: Duration) -> io::Result<DiskRead> {
    let mut direct = OpenOptions::new();
    direct.read(true).custom_flags(libc::O_DIRECT);
    let refused = |error: &io::Error| {
        matches!(
            error.raw_os_error(),
            Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS)
        )
    };
    match direct.open(path).and_then(|file| read(&file, time, true)) {
        Err(error) if refused(&error) => read(&File::open(path)?, time, false),
        done => done,
    }
}

fn read(file: &File, time: Duration, is_direct: bool) -> io::Result<DiskRead> {
    let len = file.metadata()?.len() / SECTOR_BYTES * SECTOR_BYTES;
    let mut buffer = PageBuffer::new(PIECE_BYTES);
    let mut done = DiskRead {
        bytes: 0,
        time: Duration::ZERO,
        is_direct,
    };
    while done.bytes < len && done.time < time {
        let left = usize::try_from(len - done.bytes).unwrap_or(PIECE_BYTES);
        let piece = &mut buffer.bytes()[..left.min(PIECE_BYTES)];
        if !is_direct {
            drop_range(file, done.bytes, piece.len() as u64)?;
        }
        let start = Instant::now();
        let read = read_full_at(file, piece, done.bytes)?;
        done.time += start.elapsed();
        done.bytes += read as u64;
        if read < piece.len() {
            break;
        }
    }
    Ok(done)
}

/// Drops what is read next, which nothing has read ahead of time; the first time it looks whether it went.
fn drop_range(file: &File, at: u64, len: u64) -> io::Result<()> {
    let range = at..at + len;
    drop_cached(file, &range)?;
    if at == 0 && cached_bytes_in(file, range)? > len / DROPPED_PART {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "its pages do not leave the page cache, or the kernel does not tell (a file system in memory, a file \
             that is in use or another user's)",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_is_read_to_its_end_and_one_in_memory_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![7; 100_000]).unwrap();
        match read_disk(&path, Duration::from_secs(1)) {
            Ok(read) => assert_eq!(read.bytes, 98_304),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
        }
        let none = read_disk(&directory.path().join("none"), Duration::from_secs(1));
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
