//! What the page cache holds of a file.

#![expect(unsafe_code, reason = "a system call that no safe crate has")]

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::MmapOptions;

/// Bytes that are mapped at a time to ask for them, a multiple of every page size.
const PIECE_BYTES: u64 = 1 << 30;

/// How many bytes of a file are in the page cache. Of a file that the user may not write and does not
/// own, the kernel tells nothing: all of it counts as cached then.
///
/// # Errors
/// What the system answered.
pub fn cached_bytes(file: &File) -> io::Result<u64> {
    cached_bytes_in(file, 0..file.metadata()?.len())
}

/// The same of a range that begins at a page and lies in the file.
///
/// # Errors
/// What the system answered.
pub fn cached_bytes_in(file: &File, range: Range<u64>) -> io::Result<u64> {
    // SAFETY: a plain call.
    let page_bytes = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
        .map_err(|_| io::Error::last_os_error())?;
    let mut cached = 0;
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from((range.end - at).min(PIECE_BYTES))
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // SAFETY: nobody touches the map, so it does not matter what becomes of the file.
        let map = match unsafe { MmapOptions::new().offset(at).len(len).map(file) } {
            // A file system that keeps no pages.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(0),
            map => map?,
        };
        let mut pages = vec![0u8; len.div_ceil(page_bytes)];
        // SAFETY: asks of a live map of ours, with room for a byte a page.
        let asked = unsafe {
            libc::mincore(
                map.as_ptr().cast_mut().cast(),
                len,
                pages.as_mut_ptr().cast(),
            )
        };
        if asked != 0 {
            return Err(io::Error::last_os_error());
        }
        let found = pages.iter().filter(|&&page| page & 1 == 1).count();
        cached += (found * page_bytes).min(len) as u64;
        at += len as u64;
    }
    Ok(cached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_written_is_cached_and_a_hole_is_not() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(cached_bytes(&file).unwrap(), 0);
        file.set_len(1 << 20).unwrap();
        assert_eq!(cached_bytes(&file).unwrap(), 0);
        crate::os::write_all_at(&file, &[7; 10_000], 0).unwrap();
        let cached = cached_bytes(&file).unwrap();
        assert!((10_000..1 << 20).contains(&cached), "{cached}");
    }
}
