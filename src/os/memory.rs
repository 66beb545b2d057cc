//! How much memory a process holds, as the system counts it.

#![expect(
    unsafe_code,
    reason = "a setting of the allocator that no safe crate has"
)]

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
