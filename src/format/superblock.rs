//! The superblock: what the archive is, where its tables lie, and what it must decode to.

use std::ops::Range;
use std::time::SystemTime;

use super::base::MAX_BASES_BYTES;
use super::checksum::checksum;
use super::fidelity::FIDELITY_BYTES;
use super::field;
use super::geometry::{EXTENT_BYTES, MAX_BLOCK_BYTES, MAX_EXTENTS, MIN_BLOCK_BYTES};
use super::index::index_bytes;
use super::profiles::MAX_PROFILES_BYTES;
use super::tensor_hash::{MAX_TENSOR_HASHES, TENSOR_HASH_BYTES};
use crate::error::{Error, Result};
use crate::os::system_time;

/// Bytes of a superblock; one stands at the start of an archive, its copy at the end.
pub const SUPERBLOCK_BYTES: usize = 256;

/// Not text, and broken by every conversion of line ends.
const MAGIC: [u8; 8] = *b"\x89WFZ\r\n\x1a\n";
const VERSION: u16 = 1;
/// Blocks may need the profiles.
const FEATURE_PROFILES: u64 = 1;
/// There are extents of records.
const FEATURE_RECORDS: u64 = 2;
/// There are tensors that are not served as they were.
const FEATURE_LOSSY: u64 = 4;
/// Blocks may rest on other files.
const FEATURE_BASES: u64 = 8;
/// There are hashes of tensors.
const FEATURE_HASHES: u64 = 16;
/// Incompatible features this version knows.
const KNOWN_FEATURES: u64 =
    FEATURE_PROFILES | FEATURE_RECORDS | FEATURE_LOSSY | FEATURE_BASES | FEATURE_HASHES;

// Offsets of the fields; `docs/FORMAT.md` has the same table.
const AT_VERSION: usize = 8;
const AT_BLOCK_BYTES_LOG2: usize = 10;
const AT_CHECKSUM_KIND: usize = 11;
const AT_MODE: usize = 12;
const AT_FEATURES: usize = 16;
const AT_ARCHIVE_BYTES: usize = 24;
const AT_ORIGINAL_BYTES: usize = 32;
const AT_SHA256: usize = 40;
const AT_MTIME_SECONDS: usize = 72;
const AT_MTIME_NANOSECONDS: usize = 80;
const AT_RESERVED_32: usize = 84;
const AT_EXTENT_COUNT: usize = 88;
const AT_BLOCK_COUNT: usize = 96;
const AT_TABLES: usize = 104;
const AT_TABLES_COPY: usize = 112;
const AT_EXTENTS_CHECKSUM: usize = 120;
const AT_PROFILES_BYTES: usize = 128;
const AT_PROFILES_CHECKSUM: usize = 136;
const AT_SOURCE_SHA256: usize = 144;
const AT_FIDELITY_BYTES: usize = 176;
const AT_FIDELITY_CHECKSUM: usize = 184;
const AT_BASES_BYTES: usize = 192;
const AT_BASES_CHECKSUM: usize = 200;
const AT_HASHES_BYTES: usize = 208;
const AT_HASHES_CHECKSUM: usize = 216;
const AT_RESERVED: usize = 224;
const AT_CHECKSUM: usize = SUPERBLOCK_BYTES - 8;

/// The one kind of checksum so far: XXH3, 64 bits.
const CHECKSUM_XXH3: u8 = 1;
/// Permission bits of a mode.
const MODE_MASK: u32 = 0o7777;

/// A superblock that passed its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// The most bytes a block decodes to, a power of two.
    pub block_bytes: u32,
    /// Permission bits of the original file.
    pub mode: u32,
    /// Length of the whole archive.
    pub archive_bytes: u64,
    /// Length of the original file.
    pub original_bytes: u64,
    /// SHA-256 of what reading gives: the original file, unless the archive is lossy.
    pub sha256: [u8; 32],
    /// Modification time of the original file: seconds since the epoch.
    pub mtime_seconds: i64,
    /// Modification time of the original file: nanoseconds of the second.
    pub mtime_nanoseconds: u32,
    /// Number of extents.
    pub extent_count: u64,
    /// Number of blocks.
    pub block_count: u64,
    /// Offset of the tables (extents, then index, then profiles).
    pub tables: u64,
    /// Offset of the second copy of the tables.
    pub tables_copy: u64,
    /// Checksum of the table of extents.
    pub extents_checksum: u64,
    /// Bytes of the profiles; 0 if there are none.
    pub profiles_bytes: u64,
    /// Checksum of the profiles; 0 if there are none.
    pub profiles_checksum: u64,
    /// Whether there may be extents of records.
    pub has_records: bool,
    /// What is there of tensors that are not served as they were, if there are any.
    pub lossy: Option<Lossy>,
    /// Where the files are told that its blocks rest on, if there are any.
    pub bases: Option<Table>,
    /// Where the hashes of tensors are, if there are any.
    pub hashes: Option<Table>,
}

/// A table that an archive may have or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its bytes, not zero.
    pub bytes: u64,
    /// Its checksum.
    pub checksum: u64,
}

/// What a superblock says of an archive that is lossy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lossy {
    /// SHA-256 of the file that the archive was made from.
    pub source_sha256: [u8; 32],
    /// Bytes of the records of its lossy tensors, not zero.
    pub fidelity_bytes: u64,
    /// Checksum of those.
    pub fidelity_checksum: u64,
}

/// Lengths of the tables of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableLengths {
    /// Number of extents.
    pub extents: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of the profiles.
    pub profiles_bytes: u64,
    /// Bytes of the records of lossy tensors.
    pub fidelity_bytes: u64,
    /// Bytes of the table of bases.
    pub bases_bytes: u64,
    /// Bytes of the hashes of tensors.
    pub hashes_bytes: u64,
}

impl TableLengths {
    /// Bytes of one copy of all tables; `None` if the counts are impossible.
    pub fn total(&self) -> Option<u64> {
        let extents = self.extents.checked_mul(EXTENT_BYTES as u64)?;
        extents
            .checked_add(index_bytes(self.blocks)?)?
            .checked_add(self.profiles_bytes)?
            .checked_add(self.fidelity_bytes)?
            .checked_add(self.bases_bytes)?
            .checked_add(self.hashes_bytes)
    }
}

/// Where one copy of the tables lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRange {
    /// The table of extents.
    pub extents: Range<u64>,
    /// The index.
    pub index: Range<u64>,
    /// The profiles.
    pub profiles: Range<u64>,
    /// The records of lossy tensors.
    pub fidelity: Range<u64>,
    /// The bases.
    pub bases: Range<u64>,
    /// The hashes of tensors.
    pub hashes: Range<u64>,
}

impl Superblock {
    /// Whether it says that tensors are lossy, and reading gives the source all the same.
    pub fn is_of_its_source(&self) -> bool {
        self.lossy
            .is_some_and(|lossy| lossy.source_sha256 == self.sha256)
    }

    /// Reads and checks a superblock.
    ///
    /// # Errors
    /// `NotThisFormat` if these bytes are not of a weightfs archive at all, `Unsupported` for a
    /// version or feature this reader does not know, `Corrupt` if the checksum or a limit fails.
    pub fn parse(bytes: &[u8; SUPERBLOCK_BYTES]) -> Result<Self> {
        if bytes[..8] != MAGIC {
            return Err(Error::not_this_format("not a weightfs archive"));
        }
        let version = field::u16(bytes, AT_VERSION);
        if version != VERSION {
            return Err(Error::unsupported(format!(
                "archive format version {version}; this weightfs reads version {VERSION}"
            )));
        }
        if checksum(&bytes[..AT_CHECKSUM]) != field::u64(bytes, AT_CHECKSUM) {
            return Err(Error::corrupt("the superblock fails its checksum"));
        }
        let unknown = field::u64(bytes, AT_FEATURES) & !KNOWN_FEATURES;
        if unknown != 0 {
            return Err(Error::unsupported(format!(
                "the archive uses features {unknown:#x}; a newer weightfs is needed to read it"
            )));
        }
        if bytes[AT_CHECKSUM_KIND] != CHECKSUM_XXH3 {
            return Err(Error::unsupported(format!(
                "unknown kind of checksum {}; a newer weightfs is needed to read this archive",
                bytes[AT_CHECKSUM_KIND]
            )));
        }
        let superblock = Self {
            block_bytes: 1u32
                .checked_shl(u32::from(bytes[AT_BLOCK_BYTES_LOG2]))
                .unwrap_or(0),
            mode: field::u32(bytes, AT_MODE),
            archive_bytes: field::u64(bytes, AT_ARCHIVE_BYTES),
            original_bytes: field::u64(bytes, AT_ORIGINAL_BYTES),
            sha256: field::array(bytes, AT_SHA256),
            mtime_seconds: field::i64(bytes, AT_MTIME_SECONDS),
            mtime_nanoseconds: field::u32(bytes, AT_MTIME_NANOSECONDS),
            extent_count: field::u64(bytes, AT_EXTENT_COUNT),
            block_count: field::u64(bytes, AT_BLOCK_COUNT),
            tables: field::u64(bytes, AT_TABLES),
            tables_copy: field::u64(bytes, AT_TABLES_COPY),
            extents_checksum: field::u64(bytes, AT_EXTENTS_CHECKSUM),
            profiles_bytes: field::u64(bytes, AT_PROFILES_BYTES),
            profiles_checksum: field::u64(bytes, AT_PROFILES_CHECKSUM),
            has_records: field::u64(bytes, AT_FEATURES) & FEATURE_RECORDS != 0,
            lossy: (field::u64(bytes, AT_FEATURES) & FEATURE_LOSSY != 0).then(|| Lossy {
                source_sha256: field::array(bytes, AT_SOURCE_SHA256),
                fidelity_bytes: field::u64(bytes, AT_FIDELITY_BYTES),
                fidelity_checksum: field::u64(bytes, AT_FIDELITY_CHECKSUM),
            }),
            bases: (field::u64(bytes, AT_FEATURES) & FEATURE_BASES != 0).then(|| Table {
                bytes: field::u64(bytes, AT_BASES_BYTES),
                checksum: field::u64(bytes, AT_BASES_CHECKSUM),
            }),
            hashes: (field::u64(bytes, AT_FEATURES) & FEATURE_HASHES != 0).then(|| Table {
                bytes: field::u64(bytes, AT_HASHES_BYTES),
                checksum: field::u64(bytes, AT_HASHES_CHECKSUM),
            }),
        };
        let has_profiles = field::u64(bytes, AT_FEATURES) & FEATURE_PROFILES != 0;
        let reserved_are_zero = field::is_zero(&bytes[AT_RESERVED_32..AT_EXTENT_COUNT])
            && field::is_zero(&bytes[AT_RESERVED..AT_CHECKSUM])
            && (superblock.lossy.is_some()
                || field::is_zero(&bytes[AT_SOURCE_SHA256..AT_BASES_BYTES]))
            && (superblock.bases.is_some()
                || field::is_zero(&bytes[AT_BASES_BYTES..AT_HASHES_BYTES]))
            && (superblock.hashes.is_some()
                || field::is_zero(&bytes[AT_HASHES_BYTES..AT_RESERVED]));
        if !reserved_are_zero
            || !superblock.is_sound()
            || has_profiles != (superblock.profiles_bytes > 0)
        {
            return Err(Error::corrupt("the superblock contradicts itself"));
        }
        Ok(superblock)
    }

    /// Modification time of the original file.
    pub fn modified(&self) -> SystemTime {
        system_time(self.mtime_seconds, self.mtime_nanoseconds)
    }

    /// The superblock as bytes.
    pub fn encode(&self) -> [u8; SUPERBLOCK_BYTES] {
        let mut bytes = [0; SUPERBLOCK_BYTES];
        field::put(&mut bytes, 0, &MAGIC);
        field::put(&mut bytes, AT_VERSION, &VERSION.to_le_bytes());
        // A power of two, so the logarithm is below 32.
        let [log2, ..] = self.block_bytes.trailing_zeros().to_le_bytes();
        bytes[AT_BLOCK_BYTES_LOG2] = log2;
        bytes[AT_CHECKSUM_KIND] = CHECKSUM_XXH3;
        field::put(&mut bytes, AT_MODE, &self.mode.to_le_bytes());
        let feature = |is_used: bool, feature: u64| if is_used { feature } else { 0 };
        let features = feature(self.profiles_bytes > 0, FEATURE_PROFILES)
            | feature(self.has_records, FEATURE_RECORDS)
            | feature(self.lossy.is_some(), FEATURE_LOSSY)
            | feature(self.bases.is_some(), FEATURE_BASES)
            | feature(self.hashes.is_some(), FEATURE_HASHES);
        field::put(&mut bytes, AT_FEATURES, &features.to_le_bytes());
        field::put(
            &mut bytes,
            AT_PROFILES_BYTES,
            &self.profiles_bytes.to_le_bytes(),
        );
        field::put(
            &mut bytes,
            AT_PROFILES_CHECKSUM,
            &self.profiles_checksum.to_le_bytes(),
        );
        field::put(
            &mut bytes,
            AT_ARCHIVE_BYTES,
            &self.archive_bytes.to_le_bytes(),
        );
        field::put(
            &mut bytes,
            AT_ORIGINAL_BYTES,
            &self.original_bytes.to_le_bytes(),
        );
        field::put(&mut bytes, AT_SHA256, &self.sha256);
        if let Some(lossy) = &self.lossy {
            field::put(&mut bytes, AT_SOURCE_SHA256, &lossy.source_sha256);
            let numbers = [
                (AT_FIDELITY_BYTES, lossy.fidelity_bytes),
                (AT_FIDELITY_CHECKSUM, lossy.fidelity_checksum),
            ];
            for (at, number) in numbers {
                field::put(&mut bytes, at, &number.to_le_bytes());
            }
        }
        for (table, at_bytes, at_checksum) in [
            (&self.bases, AT_BASES_BYTES, AT_BASES_CHECKSUM),
            (&self.hashes, AT_HASHES_BYTES, AT_HASHES_CHECKSUM),
        ] {
            if let Some(table) = table {
                field::put(&mut bytes, at_bytes, &table.bytes.to_le_bytes());
                field::put(&mut bytes, at_checksum, &table.checksum.to_le_bytes());
            }
        }
        field::put(
            &mut bytes,
            AT_MTIME_SECONDS,
            &self.mtime_seconds.to_le_bytes(),
        );
        field::put(
            &mut bytes,
            AT_MTIME_NANOSECONDS,
            &self.mtime_nanoseconds.to_le_bytes(),
        );
        field::put(
            &mut bytes,
            AT_EXTENT_COUNT,
            &self.extent_count.to_le_bytes(),
        );
        field::put(&mut bytes, AT_BLOCK_COUNT, &self.block_count.to_le_bytes());
        field::put(&mut bytes, AT_TABLES, &self.tables.to_le_bytes());
        field::put(&mut bytes, AT_TABLES_COPY, &self.tables_copy.to_le_bytes());
        field::put(
            &mut bytes,
            AT_EXTENTS_CHECKSUM,
            &self.extents_checksum.to_le_bytes(),
        );
        let sum = checksum(&bytes[..AT_CHECKSUM]);
        field::put(&mut bytes, AT_CHECKSUM, &sum.to_le_bytes());
        bytes
    }

    /// What the pages of the index carry to show that they belong to this archive: equal only for
    /// archives whose blocks of equal number hold the same bytes.
    pub fn archive_id(&self) -> u64 {
        let mut identity = self.sha256.to_vec();
        identity.extend_from_slice(&self.block_bytes.to_le_bytes());
        identity.extend_from_slice(&self.extents_checksum.to_le_bytes());
        checksum(&identity)
    }

    /// Where the tables lie: the first copy and the second.
    pub fn table_copies(&self) -> [TableRange; 2] {
        [self.tables, self.tables_copy].map(|at| {
            // `is_sound` has shown that both copies fit into the archive.
            let extents = at..at + self.extent_count * EXTENT_BYTES as u64;
            let index_len = index_bytes(self.block_count).unwrap_or(0);
            let index = extents.end..extents.end + index_len;
            let profiles = index.end..index.end + self.profiles_bytes;
            let fidelity = profiles.end..profiles.end + self.fidelity_bytes();
            let bases = fidelity.end..fidelity.end + bytes_of(self.bases);
            let hashes = bases.end..bases.end + bytes_of(self.hashes);
            TableRange {
                extents,
                index,
                profiles,
                fidelity,
                bases,
                hashes,
            }
        })
    }

    fn fidelity_bytes(&self) -> u64 {
        self.lossy.map_or(0, |lossy| lossy.fidelity_bytes)
    }

    fn is_sound(&self) -> bool {
        let lengths = TableLengths {
            extents: self.extent_count,
            blocks: self.block_count,
            profiles_bytes: self.profiles_bytes,
            fidelity_bytes: self.fidelity_bytes(),
            bases_bytes: bytes_of(self.bases),
            hashes_bytes: bytes_of(self.hashes),
        };
        let tables = lengths.total();
        let fits = |at: u64| {
            let end = tables.and_then(|len| at.checked_add(len));
            at >= SUPERBLOCK_BYTES as u64
                && end.is_some_and(|end| end <= self.archive_bytes - SUPERBLOCK_BYTES as u64)
        };
        self.block_bytes.is_power_of_two()
            && (MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&self.block_bytes)
            && self.mode & !MODE_MASK == 0
            && self.mtime_nanoseconds < 1_000_000_000
            && self.original_bytes <= i64::MAX as u64
            && self.archive_bytes <= i64::MAX as u64
            && self.archive_bytes >= 2 * SUPERBLOCK_BYTES as u64
            && self.extent_count <= MAX_EXTENTS
            && self.profiles_bytes <= MAX_PROFILES_BYTES
            && self.lossy.is_none_or(|lossy| {
                let records = lossy.fidelity_bytes / FIDELITY_BYTES as u64;
                lossy.fidelity_bytes % FIDELITY_BYTES as u64 == 0
                    && (1..=self.extent_count).contains(&records)
            })
            && self
                .bases
                .is_none_or(|bases| (1..=MAX_BASES_BYTES).contains(&bases.bytes))
            && self.hashes.is_none_or(|hashes| {
                let records = hashes.bytes / TENSOR_HASH_BYTES as u64;
                hashes.bytes % TENSOR_HASH_BYTES as u64 == 0
                    && (1..=MAX_TENSOR_HASHES).contains(&records)
            })
            && (self.profiles_bytes > 0 || self.profiles_checksum == 0)
            && fits(self.tables)
            && fits(self.tables_copy)
    }
}

fn bytes_of(table: Option<Table>) -> u64 {
    table.map_or(0, |table| table.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        Superblock {
            block_bytes: 1 << 18,
            mode: 0o644,
            archive_bytes: 10_000,
            original_bytes: 20_000,
            sha256: [9; 32],
            mtime_seconds: -5,
            mtime_nanoseconds: 7,
            extent_count: 2,
            block_count: 3,
            tables: 256,
            tables_copy: 9_000,
            extents_checksum: 1,
            profiles_bytes: 100,
            profiles_checksum: 5,
            has_records: true,
            lossy: Some(Lossy {
                source_sha256: [3; 32],
                fidelity_bytes: 80,
                fidelity_checksum: 6,
            }),
            bases: Some(Table {
                bytes: 48,
                checksum: 11,
            }),
            hashes: Some(Table {
                bytes: 64,
                checksum: 12,
            }),
        }
    }

    #[test]
    fn round_trip() {
        let superblock = sample();
        assert_eq!(Superblock::parse(&superblock.encode()).unwrap(), superblock);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = sample().encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Superblock::parse(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn impossible_counts_and_places_are_refused_even_with_a_right_checksum() {
        let cases: [fn(&mut Superblock); 20] = [
            |s| s.block_bytes = 1 << 30,
            |s| s.block_bytes = 1 << 11,
            |s| s.mode = 0o100_644,
            |s| s.mtime_nanoseconds = 1_000_000_000,
            |s| s.original_bytes = u64::MAX,
            |s| s.archive_bytes = 300,
            |s| s.extent_count = u64::MAX,
            |s| s.block_count = u64::MAX,
            |s| s.block_count = 1_000_000,
            |s| s.profiles_bytes = u64::MAX,
            |s| s.profiles_bytes = 0,
            |s| s.lossy.as_mut().unwrap().fidelity_bytes = 0,
            |s| s.lossy.as_mut().unwrap().fidelity_bytes = 79,
            |s| s.lossy.as_mut().unwrap().fidelity_bytes = 240,
            |s| s.bases.as_mut().unwrap().bytes = 0,
            |s| s.bases.as_mut().unwrap().bytes = MAX_BASES_BYTES + 1,
            |s| s.hashes.as_mut().unwrap().bytes = 0,
            |s| s.hashes.as_mut().unwrap().bytes = 33,
            |s| s.tables = 0,
            |s| s.tables_copy = u64::MAX - 10,
        ];
        for (i, spoil) in cases.iter().enumerate() {
            let mut superblock = sample();
            spoil(&mut superblock);
            assert!(Superblock::parse(&superblock.encode()).is_err(), "case {i}");
        }
    }

    #[test]
    fn unknown_versions_and_features_are_named() {
        let mut bytes = sample().encode();
        bytes[AT_VERSION] = 2;
        let error = Superblock::parse(&bytes).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");

        let mut bytes = sample().encode();
        bytes[AT_FEATURES + 7] |= 1;
        let sum = checksum(&bytes[..AT_CHECKSUM]);
        field::put(&mut bytes, AT_CHECKSUM, &sum.to_le_bytes());
        let error = Superblock::parse(&bytes).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }
}
