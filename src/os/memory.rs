//! How much memory a process holds, as the system counts it.

#![expect(
    unsafe_code,
    reason = "settings and answers of the allocator that no safe crate has"
)]

use std::alloc::{Layout, alloc_zeroed};
use std::fs;
use std::io;

/// Allocations of at least this length go back to the system when they are freed.
const APART_BYTES: libc::c_int = 128 << 10;

/// Has large allocations made apart from each other from now on. The allocator of glibc would learn
/// from the first that is freed to take those of its length from heaps, of which it has several for
/// each processor; blocks that one thread allocates and another frees leave holes there, which may
/// take half as much again as the blocks.
pub fn keep_allocations_apart() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, APART_BYTES);
    }
}

/// Has all threads allocate from one heap, for a process whose memory or address space is limited. Else
/// there are up to eight heaps for each processor: what is free in one is of no use to another, and each
/// takes 64 MiB of the address space.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// So many zeros, page by page as they are written to; an error where there is no memory for them, and not
/// the end of the process.
///
/// # Errors
/// `OutOfMemory`.
pub fn zeroed(len: usize) -> io::Result<Vec<u8>> {
    let none = || io::Error::from_raw_os_error(libc::ENOMEM);
    if len == 0 {
        return Ok(Vec::new());
    }
    let layout = Layout::array::<u8>(len).map_err(|_| none())?;
    // SAFETY: the layout is not empty; what it gives is of the allocator and layout of a vector of so
    // many bytes, all of them zero.
    unsafe {
        let start = alloc_zeroed(layout);
        if start.is_null() {
            return Err(none());
        }
        Ok(Vec::from_raw_parts(start, len, len))
    }
}

/// What the kernel maps and caches by, in bytes.
pub fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// A field of this process's status that is given in kB, such as `RssAnon` (memory that is its own, now)
/// or `VmHWM` (the most it has held); in bytes.
///
/// # Errors
/// What the system answered, or `InvalidData` if it does not tell.
pub fn memory_bytes(field: &str) -> io::Result<u64> {
    field_of("/proc/self/status", field)
}

/// As `memory_bytes`, of another process.
///
/// # Errors
/// As `memory_bytes`.
pub fn memory_bytes_of(process: u32, field: &str) -> io::Result<u64> {
    field_of(&format!("/proc/{process}/status"), field)
}

fn field_of(path: &str, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(path)?;
    bytes_in(&status, field).ok_or_else(|| {
        let what = format!("{path} does not tell {field}");
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

fn bytes_in(status: &str, field: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_memory_for_is_an_error() {
        assert_eq!(zeroed(5).unwrap(), [0; 5]);
        assert!(zeroed(0).unwrap().is_empty());
        for too_much in [isize::MAX as usize - 100, usize::MAX] {
            let error = zeroed(too_much).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        }
    }

    #[test]
    fn fields_are_found_and_nothing_else_is_taken_for_one() {
        let status = "Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(bytes_in(status, "VmHWM"), Some(1234 << 10));
        for status in [
            "",
            "VmHWM: x kB",
            "VmHWM:\t12",
            "VmHWMs:\t12 kB",
            "VmHWM: 99999999999999999999 kB",
        ] {
            assert_eq!(bytes_in(status, "VmHWM"), None, "{status}");
        }
        assert!(memory_bytes("VmHWM").unwrap() > 100_000);
        assert!(memory_bytes_of(std::process::id(), "VmHWM").unwrap() > 100_000);
        assert!(memory_bytes("NoSuchField").is_err());
    }
}
