//! Writes an archive block by block in memory that does not grow with it.

use std::fs::File;
use std::io;

use crate::error::{Error, Result};
use crate::format::{
    BlockEntry, FIDELITY_BYTES, Geometry, INDEX_PAGE_BYTES, INDEX_PAGE_ENTRIES, IndexPage, Lossy,
    SUPERBLOCK_BYTES, Superblock, TENSOR_HASH_BYTES, Table, TableLengths, checksum,
    encode_index_page, seal_index_page,
};
use crate::os::{read_full_at, write_all_at};

/// What is known of the original file once all of it was read.
#[derive(Debug, Clone)]
pub struct Original {
    /// SHA-256 of what reading the archive gives.
    pub sha256: [u8; 32],
    /// What there is of lossy tensors, if there are any.
    pub lossy: Option<LossyOriginal>,
    /// The hashes of tensors, as many as the writer was told.
    pub hashes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Modification time, seconds since the epoch.
    pub mtime_seconds: i64,
    /// Modification time, nanoseconds of the second.
    pub mtime_nanoseconds: u32,
}

/// What is known of a file of which tensors were made lossy.
#[derive(Debug, Clone)]
pub struct LossyOriginal {
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// The records of these tensors, as many as the writer was told.
    pub fidelity: Vec<u8>,
}

/// What an archive is given beside its blocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct WrittenBeside<'a> {
    /// What its blocks share, if anything.
    pub profiles: &'a [u8],
    /// How many of its tensors are lossy.
    pub lossy_tensors: usize,
    /// The table of its bases, if it may rest on any.
    pub bases: &'a [u8],
    /// How many of its tensors have hashes.
    pub hashed_tensors: usize,
}

impl WrittenBeside<'_> {
    const fn fidelity_bytes(&self) -> u64 {
        (self.lossy_tensors * FIDELITY_BYTES) as u64
    }

    const fn hashes_bytes(&self) -> u64 {
        (self.hashed_tensors * TENSOR_HASH_BYTES) as u64
    }
}

/// Writes the blocks of one archive in order.
pub struct ArchiveWriter<'a> {
    file: &'a File,
    geometry: &'a Geometry,
    beside: WrittenBeside<'a>,
    /// Entries of the index page that is not full yet.
    page: Vec<BlockEntry>,
    pages_written: u64,
    index_at: u64,
    blocks_at: u64,
}

/// Where the first copy of the tables stands.
const TABLES_AT: u64 = SUPERBLOCK_BYTES as u64;

impl<'a> ArchiveWriter<'a> {
    /// Starts an archive in an empty file.
    ///
    /// # Errors
    /// `InvalidInput` if the file to store is larger than the format can index.
    pub fn new(file: &'a File, geometry: &'a Geometry, beside: WrittenBeside<'a>) -> Result<Self> {
        let extents_bytes = geometry.encode().len() as u64;
        let lengths = TableLengths {
            extents: geometry.extents().len() as u64,
            blocks: geometry.block_count(),
            profiles_bytes: beside.profiles.len() as u64,
            fidelity_bytes: beside.fidelity_bytes(),
            bases_bytes: beside.bases.len() as u64,
            hashes_bytes: beside.hashes_bytes(),
        };
        let tables_bytes = lengths
            .total()
            .ok_or_else(|| Error::InvalidInput("the file is too large".into()))?;
        Ok(Self {
            file,
            geometry,
            beside,
            page: Vec::new(),
            pages_written: 0,
            index_at: TABLES_AT + extents_bytes,
            blocks_at: TABLES_AT + tables_bytes,
        })
    }

    /// Which block holds which bytes.
    pub const fn geometry(&self) -> &'a Geometry {
        self.geometry
    }

    /// Appends the next block and returns its entry in the index.
    ///
    /// # Errors
    /// `Io` if writing fails.
    pub fn append(&mut self, stored: &[u8], decoded_checksum: u64) -> Result<BlockEntry> {
        self.write(stored, self.blocks_at)?;
        let entry = BlockEntry {
            offset: self.blocks_at,
            stored_len: u32::try_from(stored.len())
                .expect("invariant: a stored block is little longer than MAX_BLOCK_BYTES"),
            decoded_checksum,
            stored_checksum: checksum(stored),
        };
        self.page.push(entry);
        self.blocks_at += stored.len() as u64;
        if self.page.len() as u64 == INDEX_PAGE_ENTRIES {
            self.write_page()?;
        }
        Ok(entry)
    }

    /// Writes the rest of the tables, their copies and the superblocks, and returns the superblock.
    /// The caller makes it durable.
    ///
    /// # Errors
    /// `Io` if writing fails.
    ///
    /// # Panics
    /// If not every block of the geometry was appended, or not as many tensors are lossy as were said to be,
    /// which are mistakes of the caller.
    pub fn finish(mut self, original: &Original) -> Result<Superblock> {
        if !self.page.is_empty() {
            self.write_page()?;
        }
        assert_eq!(
            self.pages_written,
            self.geometry.block_count().div_ceil(INDEX_PAGE_ENTRIES),
            "every block was appended"
        );
        let fidelity: &[u8] = original.lossy.as_ref().map_or(&[], |lossy| &lossy.fidelity);
        assert_eq!(
            fidelity.len() as u64,
            self.beside.fidelity_bytes(),
            "there is a record for each lossy tensor"
        );
        let hashes = original.hashes.as_slice();
        assert_eq!(
            hashes.len() as u64,
            self.beside.hashes_bytes(),
            "there is a hash for each tensor that is to have one"
        );
        let WrittenBeside {
            profiles, bases, ..
        } = self.beside;
        let extents = self.geometry.encode();
        self.write(&extents, TABLES_AT)?;
        let tables_copy = self.blocks_at;
        let profiles_copy = tables_copy + (self.index_at - TABLES_AT);
        let fidelity_copy = profiles_copy + profiles.len() as u64;
        let bases_copy = fidelity_copy + fidelity.len() as u64;
        let hashes_copy = bases_copy + bases.len() as u64;
        let tables_end = hashes_copy + hashes.len() as u64;
        let table = |bytes: &[u8]| {
            (!bytes.is_empty()).then(|| Table {
                bytes: bytes.len() as u64,
                checksum: checksum(bytes),
            })
        };
        let superblock = Superblock {
            block_bytes: u32::try_from(self.geometry.block_bytes())
                .expect("invariant: at most MAX_BLOCK_BYTES"),
            mode: original.mode & 0o7777,
            archive_bytes: tables_end + SUPERBLOCK_BYTES as u64,
            original_bytes: self.geometry.original_bytes(),
            sha256: original.sha256,
            mtime_seconds: original.mtime_seconds,
            mtime_nanoseconds: original.mtime_nanoseconds,
            extent_count: self.geometry.extents().len() as u64,
            block_count: self.geometry.block_count(),
            tables: TABLES_AT,
            tables_copy,
            extents_checksum: checksum(&extents),
            profiles_bytes: profiles.len() as u64,
            profiles_checksum: if profiles.is_empty() {
                0
            } else {
                checksum(profiles)
            },
            has_records: self.geometry.has_records(),
            lossy: original.lossy.as_ref().map(|lossy| Lossy {
                source_sha256: lossy.sha256,
                fidelity_bytes: fidelity.len() as u64,
                fidelity_checksum: checksum(fidelity),
            }),
            bases: table(bases),
            hashes: table(hashes),
        };
        let profiles_at = self.index_at;
        let fidelity_at = profiles_at + profiles.len() as u64;
        let bases_at = fidelity_at + fidelity.len() as u64;
        self.write(profiles, profiles_at)?;
        self.write(fidelity, fidelity_at)?;
        self.write(bases, bases_at)?;
        self.write(hashes, bases_at + bases.len() as u64)?;
        self.write(hashes, hashes_copy)?;
        self.write(bases, bases_copy)?;
        self.write(fidelity, fidelity_copy)?;
        self.write(profiles, profiles_copy)?;
        self.write(&extents, tables_copy)?;
        self.seal_index(superblock.archive_id(), tables_copy + extents.len() as u64)?;
        let bytes = superblock.encode();
        self.write(&bytes, tables_end)?;
        self.write(&bytes, 0)?;
        Ok(superblock)
    }

    fn write_page(&mut self) -> Result<()> {
        let page = encode_index_page(self.pages_written, 0, &self.page);
        self.write(&page, self.index_at)?;
        self.index_at += page.len() as u64;
        self.pages_written += 1;
        self.page.clear();
        Ok(())
    }

    /// Says in each page of the index which archive it belongs to, and writes the copy at `to`.
    fn seal_index(&self, archive_id: u64, to: u64) -> Result<()> {
        let cannot = |e| Error::io("cannot read back the index", e);
        let start = TABLES_AT + self.geometry.encode().len() as u64;
        let mut page = Vec::new();
        let mut block = 0;
        while block < self.geometry.block_count() {
            let (_, range, _) = IndexPage::place(block, self.geometry.block_count());
            page.resize(INDEX_PAGE_BYTES, 0);
            let len = usize::try_from(range.end - range.start).unwrap_or(INDEX_PAGE_BYTES);
            page.truncate(len);
            if read_full_at(self.file, &mut page, start + range.start).map_err(cannot)? < len {
                return Err(cannot(io::ErrorKind::UnexpectedEof.into()));
            }
            seal_index_page(&mut page, archive_id);
            self.write(&page, start + range.start)?;
            self.write(&page, to + range.start)?;
            block += INDEX_PAGE_ENTRIES;
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        write_all_at(self.file, bytes, at).map_err(|e| Error::io("cannot write the archive", e))
    }
}
