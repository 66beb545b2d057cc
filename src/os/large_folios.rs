//! Whether the page cache holds a file in pieces larger than a page (large folios), as the kernel's tables of
//! pages tell root (its Documentation/admin-guide/mm/pagemap.rst).

use std::fs::File;
use std::io;

use super::memory::page_bytes;
use super::positional::read_full_at;

/// Bits of an entry of `/proc/self/pagemap`: the page is there; and where.
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;
/// Bits of `/proc/kpageflags`: the first, or another, page of a folio of several.
const COMPOUND: u64 = 1 << 15 | 1 << 16;

/// True if any page of a map that was touched is part of a larger folio.
///
/// # Errors
/// What the system answered (only root may ask), or `InvalidData` if no page is there.
pub fn has_large_folios(map: &[u8]) -> io::Result<bool> {
    let pagemap = File::open("/proc/self/pagemap")?;
    let flags = File::open("/proc/kpageflags")?;
    let first = map.as_ptr() as u64 / page_bytes();
    let mut seen = false;
    for page in first..first + map.len() as u64 / page_bytes() {
        let entry = word(&pagemap, page)?;
        // Who may not know where pages are is told that all are at 0.
        if entry & PRESENT == 0 || entry & FRAME == 0 {
            continue;
        }
        seen = true;
        if word(&flags, entry & FRAME)? & COMPOUND != 0 {
            return Ok(true);
        }
    }
    if seen {
        return Ok(false);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "the system does not tell where pages are",
    ))
}

fn word(file: &File, number: u64) -> io::Result<u64> {
    let mut word = [0; 8];
    match read_full_at(file, &mut word, number * 8)? {
        8 => Ok(u64::from_ne_bytes(word)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_look_at_pages_is_told_so() {
        let touched = vec![1; 1 << 20];
        if let Err(error) = has_large_folios(&touched) {
            let kinds = [
                io::ErrorKind::InvalidData,
                io::ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied,
            ];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
    }
}
