//! The one checksum of archives.

/// The checksum of this format: XXH3, 64 bits, seed 0.
pub fn checksum(bytes: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(bytes)
}
