//! Moves what was written to the disk while more is written, and out of the page cache.
//!
//! Where the system cannot do it, nothing but time is lost. What it reports of a failing disk is an
//! error, though: it says so once, and a later sync would not repeat it.

#![expect(unsafe_code, reason = "a system call that no safe crate has")]

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::AsRawFd;

use rustix::fs::{Advice, fadvise};

/// Has the system begin to write a range to the disk, and does not wait for it.
///
/// # Errors
/// What went wrong on the disk.
pub fn start_write_back(file: &File, range: &Range<u64>) -> io::Result<()> {
    sync_file_range(file, range, libc::SYNC_FILE_RANGE_WRITE)
}

/// Waits until a range is on the disk and drops it from memory, so that reading it again reads the
/// disk. Not durable: the caller syncs the file at the end.
///
/// # Errors
/// What went wrong on the disk.
pub fn drop_cached(file: &File, range: &Range<u64>) -> io::Result<()> {
    sync_file_range(
        file,
        range,
        libc::SYNC_FILE_RANGE_WAIT_BEFORE
            | libc::SYNC_FILE_RANGE_WRITE
            | libc::SYNC_FILE_RANGE_WAIT_AFTER,
    )?;
    // Only a wish.
    let len = NonZeroU64::new(range.end - range.start);
    let _ = fadvise(file, range.start, len, Advice::DontNeed);
    Ok(())
}

fn sync_file_range(file: &File, range: &Range<u64>, flags: libc::c_uint) -> io::Result<()> {
    let (Ok(at), Ok(len)) = (
        libc::off64_t::try_from(range.start),
        libc::off64_t::try_from(range.end - range.start),
    ) else {
        return Ok(());
    };
    // SAFETY: takes an open descriptor and numbers, no memory.
    if unsafe { libc::sync_file_range(file.as_raw_fd(), at, len, flags) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // EPERM of a filter of system calls.
        Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::ESPIPE | libc::EOPNOTSUPP) => Ok(()),
        _ => Err(error),
    }
}
