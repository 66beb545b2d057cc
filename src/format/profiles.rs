//! The profiles: what blocks of an archive share beside the tables, for codecs to make sense of.

use super::checksum::checksum;
use super::field;
use crate::error::{Error, Result};

/// Bytes in front of the ends of the records.
const FIXED_BYTES: usize = 8;
const END_BYTES: usize = 4;
/// Most bytes of all profiles: they are checked when an archive is opened.
pub const MAX_PROFILES_BYTES: u64 = 1 << 28;

/// The profiles of an archive, found sound by their checksum.
#[derive(Debug, Clone, Copy)]
pub struct Profiles<'a> {
    bytes: &'a [u8],
    id: u64,
}

impl<'a> Profiles<'a> {
    /// No profiles.
    pub const NONE: Profiles<'static> = Profiles { bytes: &[], id: 0 };

    /// The stored form of shared tables and a record for each profile.
    ///
    /// # Panics
    /// If they are longer than 2^32 bytes, which is a mistake of the caller.
    pub fn encode(tables: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
        let short = |len: usize| {
            u32::try_from(len)
                .expect("invariant: at most MAX_PROFILES_BYTES")
                .to_le_bytes()
        };
        let mut bytes = Vec::new();
        bytes.extend(short(records.len()));
        bytes.extend(short(tables.len()));
        let mut end = 0;
        for record in records {
            end += record.len();
            bytes.extend(short(end));
        }
        bytes.extend(tables);
        bytes.extend(records.iter().flatten());
        bytes
    }

    /// Profiles in bytes that have this checksum.
    pub const fn new(bytes: &'a [u8], checksum: u64) -> Self {
        Self {
            bytes,
            id: checksum,
        }
    }

    /// Profiles in bytes that were not read from an archive.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self::new(bytes, checksum(bytes))
    }

    /// Tells these profiles from others.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The shared tables.
    ///
    /// # Errors
    /// `Corrupt` if there are none.
    pub fn tables(&self) -> Result<&'a [u8]> {
        let (start, len) = self.layout()?;
        self.bytes.get(start..start + len).ok_or_else(missing)
    }

    /// The record of a profile.
    ///
    /// # Errors
    /// `Corrupt` if there is no such profile.
    pub fn record(&self, number: u32) -> Result<&'a [u8]> {
        let (tables, len) = self.layout()?;
        let number = number as usize;
        let end_of = |number: usize| {
            let at = FIXED_BYTES + number * END_BYTES;
            (at + END_BYTES <= tables).then(|| field::u32(self.bytes, at) as usize)
        };
        let start = match number.checked_sub(1) {
            Some(before) => end_of(before).ok_or_else(missing)?,
            None => 0,
        };
        let end = end_of(number).ok_or_else(missing)?;
        let records = tables + len;
        if start > end {
            return Err(missing());
        }
        self.bytes
            .get(records + start..records + end)
            .ok_or_else(missing)
    }

    /// Where the tables start, and their length.
    fn layout(&self) -> Result<(usize, usize)> {
        if self.bytes.len() < FIXED_BYTES {
            return Err(missing());
        }
        let records = field::u32(self.bytes, 0) as usize;
        let start = FIXED_BYTES + records.saturating_mul(END_BYTES);
        if start > self.bytes.len() {
            return Err(missing());
        }
        Ok((start, field::u32(self.bytes, 4) as usize))
    }
}

fn missing() -> Error {
    Error::corrupt("a block needs a profile that is missing or damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_others_are_missing() {
        let bytes = Profiles::encode(
            b"tables",
            &[b"first".to_vec(), Vec::new(), b"third".to_vec()],
        );
        let profiles = Profiles::of(&bytes);
        assert_eq!(profiles.tables().unwrap(), b"tables");
        assert_eq!(profiles.record(0).unwrap(), b"first");
        assert_eq!(profiles.record(1).unwrap(), b"");
        assert_eq!(profiles.record(2).unwrap(), b"third");
        assert!(profiles.record(3).is_err());
        assert!(profiles.record(u32::MAX).is_err());
        assert!(Profiles::NONE.tables().is_err());
        for len in 0..bytes.len() {
            let cut = Profiles::of(&bytes[..len]);
            assert!(cut.tables().is_err() || cut.record(2).is_err());
        }
    }
}
