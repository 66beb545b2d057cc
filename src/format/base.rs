//! The files that blocks of an archive rest on, and which part of them a block does.

use std::collections::HashSet;
use std::ops::Range;

use super::element::ElementType;
use super::field;
use crate::error::{Error, Result};

/// Most bases of an archive.
pub const MAX_BASES: usize = 4096;
/// Most bytes of the table of bases.
pub const MAX_BASES_BYTES: u64 = 1 << 21;
/// Bytes of a record before the name.
const FIXED_BYTES: usize = 48;
/// Longest name of a base.
const MAX_NAME_BYTES: usize = 4096;
/// Records start at multiples of this.
const ALIGNMENT: usize = 8;
/// Bytes that say where a block rests.
pub(super) const REFERENCE_BYTES: usize = 16;

/// A file that blocks rest on: known by its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRecord {
    /// SHA-256 of the file, as reading it gives it.
    pub sha256: [u8; 32],
    /// Its length.
    pub bytes: u64,
    /// The last name that was known of it, for people and as a hint.
    pub name: String,
}

impl BaseRecord {
    /// Appends the record to the table.
    pub fn encode_to(&self, table: &mut Vec<u8>) {
        // A hint that is too long is none.
        let name = if self.name.len() <= MAX_NAME_BYTES {
            self.name.as_bytes()
        } else {
            &[]
        };
        table.extend(self.sha256);
        table.extend(self.bytes.to_le_bytes());
        table.extend((name.len() as u64).to_le_bytes());
        table.extend(name);
        table.resize(table.len().next_multiple_of(ALIGNMENT), 0);
    }

    /// Reads the table. No file is in it twice: whoever opens them all would have one open a thousand times.
    ///
    /// # Errors
    /// `Corrupt` if it is no such table.
    pub fn parse(mut table: &[u8]) -> Result<Vec<Self>> {
        let malformed = || Error::corrupt("the table of bases is malformed");
        let mut bases = Vec::new();
        let mut known = HashSet::new();
        while !table.is_empty() {
            let fixed = table.get(..FIXED_BYTES).ok_or_else(malformed)?;
            let name_len = usize::try_from(field::u64(fixed, 40)).map_err(|_| malformed())?;
            if name_len > MAX_NAME_BYTES || bases.len() == MAX_BASES {
                return Err(malformed());
            }
            let end = FIXED_BYTES + name_len;
            let padded = end.next_multiple_of(ALIGNMENT);
            let record = table.get(..padded).ok_or_else(malformed)?;
            let name = str::from_utf8(&record[FIXED_BYTES..end]).map_err(|_| malformed())?;
            let bytes = field::u64(fixed, 32);
            let sha256 = field::array(fixed, 0);
            if !field::is_zero(&record[end..]) || bytes > i64::MAX as u64 || !known.insert(sha256) {
                return Err(malformed());
            }
            bases.push(Self {
                sha256,
                bytes,
                name: name.to_owned(),
            });
            table = &table[padded..];
        }
        Ok(bases)
    }
}

/// What a block is of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kinship {
    /// The same bytes.
    Equal = 128,
    /// Numbers near those.
    Difference = 129,
}

impl Kinship {
    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            128 => Some(Self::Equal),
            129 => Some(Self::Difference),
            _ => None,
        }
    }
}

/// Where a block rests: as many numbers of a base as it has itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// What it is of them.
    pub kinship: Kinship,
    /// Which of the archive's bases.
    pub base: u32,
    /// The first of the bytes.
    pub offset: u64,
    /// Whether the base's numbers are F32, which are rounded to the block's type of half the length.
    pub is_rounded: bool,
}

impl Reference {
    pub(super) fn encode_to(self, block: &mut Vec<u8>) {
        block.extend(self.base.to_le_bytes());
        block.extend([u8::from(self.is_rounded), 0, 0, 0]);
        block.extend(self.offset.to_le_bytes());
    }

    pub(super) fn parse(kinship: Kinship, bytes: &[u8]) -> Option<Self> {
        let offset = field::u64(bytes, 8);
        let is_sound = bytes[4] <= 1 && field::is_zero(&bytes[5..8]) && offset <= i64::MAX as u64;
        is_sound.then(|| Self {
            kinship,
            base: field::u32(bytes, 0),
            offset,
            is_rounded: bytes[4] == 1,
        })
    }

    /// The bytes of the base that a block of so many bytes rests on: those behind its last whole element are its own.
    pub fn range_of_block(&self, element: ElementType, block_bytes: usize) -> Range<u64> {
        self.range(block_bytes - block_bytes % usize::from(element.bytes()))
    }

    /// The bytes of the base that so many bytes of numbers rest on.
    pub const fn range(&self, len: usize) -> Range<u64> {
        let times = if self.is_rounded { 2 } else { 1 };
        self.offset..self.offset.saturating_add(times * len as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_round_trip_and_nothing_else_is_taken_for_them() {
        let bases: Vec<_> = ["", "m.safetensors", "models/Qwen2/m-00001.safetensors"]
            .iter()
            .zip(1..)
            .map(|(name, number)| BaseRecord {
                sha256: [number; 32],
                bytes: u64::from(number) << 20,
                name: (*name).into(),
            })
            .collect();
        let mut table = Vec::new();
        bases.iter().for_each(|base| base.encode_to(&mut table));
        assert_eq!(BaseRecord::parse(&table).unwrap(), bases);
        for len in 1..table.len() {
            if let Ok(fewer) = BaseRecord::parse(&table[..len]) {
                assert!(fewer.len() < bases.len() && bases.starts_with(&fewer));
            }
        }
        for bit in 0..table.len() * 8 {
            let mut damaged = table.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                BaseRecord::parse(&damaged).is_ok_and(|other| other != bases)
                    || BaseRecord::parse(&damaged).is_err()
            );
        }
    }

    #[test]
    fn no_more_bases_than_allowed_and_none_twice() {
        let table = |numbers: &[usize]| {
            let mut table = Vec::new();
            for number in numbers {
                let mut sha256 = [0; 32];
                sha256[..8].copy_from_slice(&(*number as u64).to_le_bytes());
                let base = BaseRecord {
                    sha256,
                    bytes: 1,
                    name: String::new(),
                };
                base.encode_to(&mut table);
            }
            BaseRecord::parse(&table)
        };
        let most: Vec<_> = (0..MAX_BASES).collect();
        assert_eq!(table(&most).unwrap().len(), MAX_BASES);
        assert!(table(&[&most[..], &[MAX_BASES]].concat()).is_err());
        assert!(table(&[1, 2, 1]).is_err());
    }
}
