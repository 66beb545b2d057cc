//! Hashes of tensors, by which equal ones are found across archives without decoding any.

use std::ops::Range;

use super::field;
use crate::error::{Error, Result};

/// Bytes of a record.
pub const TENSOR_HASH_BYTES: usize = 32;
/// Shorter tensors have none: a hash would be much beside what it saves.
pub const LEAST_HASHED_BYTES: u64 = 256 << 10;
/// Most records of an archive.
pub const MAX_TENSOR_HASHES: u64 = 1 << 20;

/// The hash of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorHash {
    /// Where it starts in the file.
    pub start: u64,
    /// Its bytes, not zero.
    pub len: u64,
    /// XXH3 of them, 128 bits, seed 0.
    pub hash: u128,
}

impl TensorHash {
    /// Its place in the file.
    pub const fn range(&self) -> Range<u64> {
        self.start..self.start + self.len
    }

    /// Appends the record to the table.
    pub fn encode_to(&self, table: &mut Vec<u8>) {
        table.extend(self.start.to_le_bytes());
        table.extend(self.len.to_le_bytes());
        table.extend(self.hash.to_le_bytes());
    }

    /// Reads the table: tensors by place, none over another.
    ///
    /// # Errors
    /// `Corrupt` if it is no such table.
    pub fn parse(table: &[u8]) -> Result<Vec<Self>> {
        let malformed = || Error::corrupt("the table of the hashes of tensors is malformed");
        let rows = table.chunks_exact(TENSOR_HASH_BYTES);
        if !rows.remainder().is_empty() {
            return Err(malformed());
        }
        let mut end = 0;
        rows.map(|row| {
            let record = Self {
                start: field::u64(row, 0),
                len: field::u64(row, 8),
                hash: u128::from_le_bytes(field::array(row, 16)),
            };
            let own_end = record.start.checked_add(record.len);
            let own_end = own_end.filter(|&own_end| own_end <= i64::MAX as u64);
            if record.start < end || record.len == 0 {
                return Err(malformed());
            }
            end = own_end.ok_or_else(malformed)?;
            Ok(record)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_round_trip_and_those_over_another_are_refused() {
        let hash = |start, len| TensorHash {
            start,
            len,
            hash: u128::MAX / 3,
        };
        let mut table = Vec::new();
        let hashes = [hash(100, 50), hash(150, 1), hash(1000, 1 << 40)];
        hashes.iter().for_each(|one| one.encode_to(&mut table));
        assert_eq!(TensorHash::parse(&table).unwrap(), hashes);
        assert!(TensorHash::parse(&table[1..]).is_err());
        for wrong in [hash(0, 0), hash(0, u64::MAX), hash(u64::MAX, 1)] {
            let mut table = Vec::new();
            wrong.encode_to(&mut table);
            assert!(TensorHash::parse(&table).is_err(), "{wrong:?}");
        }
        let mut table = Vec::new();
        [hash(0, 10), hash(9, 1)]
            .iter()
            .for_each(|one| one.encode_to(&mut table));
        assert!(TensorHash::parse(&table).is_err());
    }
}
