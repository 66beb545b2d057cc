//! Reads an archive: opens it in constant time and decodes any block.
//!
//! Nothing but a block's checksum says that its bytes are right, and the checksum is taken from a page of
//! the index that passed its own. Bytes that cannot be had are `Io` and bytes that are wrong are
//! `Corrupt`; neither is remembered, so that what can be read again is read again.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::bases::Base;
use super::index::KeptPages;
use super::modified::modified_since;
use super::profiles::{SharedProfiles, checksum_of};
use crate::block::{Beside, BlockDecoder};
use crate::error::{Error, Result};
use crate::format::{
    BaseRecord, BlockEntry, BlockHeader, Geometry, INDEX_PAGE_BYTES, INDEX_PAGE_ENTRIES, IndexPage,
    MAX_BLOCK_BYTES, Profiles, REFERENCE_PREFIX_BYTES, Reference, SUPERBLOCK_BYTES, Superblock,
    TableRange, TensorFidelity, TensorHash, checksum,
};
use crate::storage::{self, Hints, Storage};
use crate::sync::lock;

/// What a reader accepts as the stored form of a block: twice the longest block, since nobody stores
/// what is longer than the block itself, but for its header.
const MAX_STORED_BYTES: u32 = 2 * MAX_BLOCK_BYTES;

/// What tables are called.
const LOSSY_RECORDS: &str = "records of lossy tensors";
const BASES: &str = "table of bases";
const HASHES: &str = "hashes of tensors";

/// An open archive. All methods may be called from many threads at once.
#[derive(Debug)]
pub struct ArchiveReader {
    path: PathBuf,
    storage: Box<dyn Storage>,
    superblock: Superblock,
    /// Says of each page of the index that it belongs here.
    archive_id: u64,
    geometry: Geometry,
    pages: KeptPages,
    profiles: SharedProfiles,
    /// What its blocks rest on, in the order of its table.
    bases: Vec<Arc<dyn Base>>,
    /// Where a block starts that was decoded lately, and what it rests on.
    last_reference: Mutex<Option<(u64, Reference)>>,
}

impl ArchiveReader {
    /// Opens an archive: reads the superblock and the short table of extents, nothing else.
    ///
    /// # Errors
    /// `Io` if the file cannot be opened, `NotThisFormat` if it is no regular file, otherwise as
    /// `from_storage`.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot open {}", path.display()), e);
        // Before opening: opening a FIFO would wait for a writer.
        if !path.metadata().map_err(cannot)?.is_file() {
            let what = "not a weightfs archive: it is not a regular file";
            return Err(Error::not_this_format(what).at(path));
        }
        Self::from_file(&File::open(path).map_err(cannot)?, path)
    }

    /// As `open`, for a file that is open already; `path` is its name in messages.
    ///
    /// # Errors
    /// As `open`.
    pub fn from_file(file: &File, path: &Path) -> Result<Self> {
        let storage = storage::open(file)
            .map_err(|e| Error::io(format!("cannot read {}", path.display()), e))?;
        Self::from_storage(storage, path)
    }

    /// Opens an archive wherever its bytes lie; `path` is its name in messages.
    ///
    /// # Errors
    /// `NotThisFormat` if it is no archive, `Corrupt` if neither copy of superblock or extents is
    /// whole, `Unsupported` if a newer version is needed, `Io` if the bytes cannot be had.
    pub fn from_storage(storage: Box<dyn Storage>, path: &Path) -> Result<Self> {
        let open = || -> Result<_> {
            let superblock = superblock(&*storage)?;
            let geometry = geometry(&*storage, &superblock)?;
            Ok((superblock, geometry))
        };
        let (superblock, geometry) = open().map_err(|error| error.at(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            archive_id: superblock.archive_id(),
            pages: KeptPages::new(superblock.block_count),
            profiles: SharedProfiles::find(&*storage, &superblock),
            bases: Vec::new(),
            last_reference: Mutex::default(),
            storage,
            superblock,
            geometry,
        })
    }

    /// The archive's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file it is read from, if it is one.
    pub fn file(&self) -> Option<&File> {
        self.storage.file()
    }

    /// What the archive says of itself and of the original file.
    pub const fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// When the original file was modified last, as far as anybody has said.
    pub fn modified(&self) -> SystemTime {
        let since = self.file().and_then(modified_since);
        since.unwrap_or_else(|| self.superblock.modified())
    }

    /// Which block holds which bytes.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Where a block is stored and what it must decode to.
    ///
    /// # Errors
    /// `Corrupt` if both copies of its index page are damaged, or there is no such block.
    pub fn entry(&self, block: u64) -> Result<BlockEntry> {
        self.with_place(block, self.find_entry(block))
    }

    /// Decodes a block into `decoded`, whose length is that of the block's range.
    ///
    /// # Errors
    /// `Corrupt` if the block or both copies of its index page are damaged, `Io` if they cannot be had;
    /// `decoded` must not be used then.
    pub fn decode_block(
        &self,
        block: u64,
        decoder: &mut BlockDecoder,
        decoded: &mut [u8],
    ) -> Result<()> {
        self.decode_block_once(block, decoder, decoded, || ())
    }

    /// As `decode_block`; what `ready` returns is held while the block is decoded, and not yet while it waits for the base
    /// that it rests on.
    ///
    /// # Errors
    /// As `decode_block`.
    pub fn decode_block_once<G>(
        &self,
        block: u64,
        decoder: &mut BlockDecoder,
        decoded: &mut [u8],
        ready: impl Fn() -> G,
    ) -> Result<()> {
        self.with_beside(block, ready, |beside, entry, stored| {
            decoder.decode_into(stored, entry.decoded_checksum, beside, decoded)
        })
    }

    /// As `decode_block`, and compares the checksum of the stored bytes as well.
    ///
    /// # Errors
    /// As `decode_block`.
    pub fn verify_block(
        &self,
        block: u64,
        decoder: &mut BlockDecoder,
        decoded: &mut [u8],
    ) -> Result<()> {
        let ready = || ();
        self.with_beside(block, ready, |beside, entry, stored| {
            decoder.verify_into(stored, entry, beside, decoded)
        })
    }

    /// What the archive says of its lossy tensors; nothing if there are none.
    ///
    /// # Errors
    /// `Corrupt` if both copies of that are damaged, `Unsupported` if a newer version is needed, `Io` if they
    /// cannot be had.
    pub fn fidelity(&self) -> Result<Vec<TensorFidelity>> {
        let Some(lossy) = self.superblock.lossy else {
            return Ok(Vec::new());
        };
        let table = self.table(
            |tables| tables.fidelity,
            lossy.fidelity_checksum,
            LOSSY_RECORDS,
        );
        table
            .and_then(|table| TensorFidelity::parse(&table))
            .map_err(|error| error.at(&self.path))
    }

    /// The files that its blocks may rest on; nothing if there are none.
    ///
    /// # Errors
    /// As `fidelity`.
    pub fn base_records(&self) -> Result<Vec<BaseRecord>> {
        let Some(bases) = self.superblock.bases else {
            return Ok(Vec::new());
        };
        let table = self.table(|tables| tables.bases, bases.checksum, BASES);
        table
            .and_then(|table| BaseRecord::parse(&table))
            .map_err(|error| error.at(&self.path))
    }

    /// The hashes of its tensors, by place; nothing if it has none.
    ///
    /// # Errors
    /// As `fidelity`.
    pub fn tensor_hashes(&self) -> Result<Vec<TensorHash>> {
        let Some(hashes) = self.superblock.hashes else {
            return Ok(Vec::new());
        };
        let table = self.table(|tables| tables.hashes, hashes.checksum, HASHES);
        let hashes = table.and_then(|table| TensorHash::parse(&table));
        let end = self.superblock.original_bytes;
        hashes
            .and_then(|hashes| match hashes.last() {
                Some(last) if last.range().end > end => Err(Error::corrupt(
                    "there are hashes of tensors behind the end of the file",
                )),
                _ => Ok(hashes),
            })
            .map_err(|error| error.at(&self.path))
    }

    /// Says where the files are that its blocks rest on, in the order of its records.
    pub fn rest_on(&mut self, bases: Vec<Arc<dyn Base>>) {
        self.bases = bases;
    }

    /// Whether all files that its blocks rest on were found.
    pub fn has_its_bases(&self) -> bool {
        self.superblock.bases.is_none()
            || !self.bases.is_empty() && self.bases.iter().all(|base| base.is_there())
    }

    /// Whether it is the base of a record: it says that it gives these bytes, rests on nothing itself, and is not cut off.
    pub fn is_base_of(&self, record: &BaseRecord) -> bool {
        self.superblock.sha256 == record.sha256
            && self.superblock.original_bytes == record.bytes
            && self.superblock.bases.is_none()
            && self.check_length().is_ok()
    }

    /// Which of the files that its blocks rest on were found, in the order of its records.
    pub fn found_bases(&self) -> impl Iterator<Item = bool> {
        self.bases.iter().map(|base| base.is_there())
    }

    /// What a block rests on; `None` for one that stands for itself.
    ///
    /// # Errors
    /// As `entry`.
    pub fn reference(&self, block: u64) -> Result<Option<Reference>> {
        let found = self.find_reference(block);
        let found = self.with_place(block, found)?;
        Ok(found.map(|(reference, _)| reference))
    }

    /// As `will_need`, for what a range of the file rests on: it is taken to go on as the block that was decoded last.
    pub fn bases_will_need(&self, range: &Range<u64>) {
        let Some((start, reference)) = *lock(&self.last_reference) else {
            return;
        };
        let Some(base) = usize::try_from(reference.base)
            .ok()
            .and_then(|base| self.bases.get(base))
        else {
            return;
        };
        let place = |at: u64| {
            let times = reference.range(1).end - reference.offset;
            let behind = i128::from(at) - i128::from(start);
            let place = i128::from(reference.offset) + behind * i128::from(times);
            u64::try_from(place).unwrap_or(0)
        };
        base.will_need(&(place(range.start)..place(range.end)));
    }

    /// A copy of a table that is whole. A copy in memory: what is checked is what is used, whatever happens to the file
    /// meanwhile.
    fn table(
        &self,
        which: impl Fn(TableRange) -> Range<u64>,
        sum: u64,
        what: &str,
    ) -> Result<Vec<u8>> {
        let mut unreadable = None;
        for tables in self.superblock.table_copies() {
            let range = which(tables);
            if range.end > self.storage.len() {
                continue;
            }
            match self.storage.with(range, |table| Ok(table.to_vec())) {
                Ok(table) if checksum(&table) == sum => return Ok(table),
                Ok(_) => {}
                Err(error) => unreadable = Some(error),
            }
        }
        Err(unreadable.unwrap_or_else(|| {
            Error::corrupt(format!("both copies of the {what} fail their checksum"))
        }))
    }

    /// For those who go through all blocks in order, once.
    pub fn expect_sequential(&self) {
        self.storage.expect_sequential();
    }

    /// What to know of where its bytes lie.
    pub fn hints(&self) -> Hints {
        self.storage.hints()
    }

    /// Asks for what is stored of some blocks that will be read soon, in one go, and waits for none of it.
    ///
    /// # Errors
    /// As `entry`; those before it are asked for.
    pub fn will_need(&self, blocks: Range<u64>) -> Result<()> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut failed = Ok(());
        for block in blocks {
            let range = match self.entry(block) {
                Ok(entry) => entry.offset..entry.offset.saturating_add(entry.stored_len.into()),
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            };
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        if !ranges.is_empty() {
            self.storage.will_need(&ranges);
        }
        failed
    }

    /// How a block was taken apart.
    ///
    /// # Errors
    /// `Corrupt` if the block's header or its index page is damaged.
    pub fn block_header(&self, block: u64) -> Result<BlockHeader> {
        let span = self.geometry.block(block);
        let decoded_len = span.map_or(0, |span| span.buffer_bytes());
        let header = self.with_stored(block, |_, stored| BlockHeader::parse(stored, decoded_len));
        self.with_place(block, header)
    }

    /// # Errors
    /// `Corrupt` if the archive is longer or shorter than when it was written.
    pub fn check_length(&self) -> Result<()> {
        let (is, expected) = (self.storage.len(), self.superblock.archive_bytes);
        if is == expected {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "the archive has {is} bytes instead of {expected}"
        )))
    }

    /// Compares everything that is not a block: length, both superblocks, both copies of the
    /// tables. Reading may go on with one good copy, but the archive should be made anew.
    pub fn check_tables(&self) -> Vec<Error> {
        let mut found = Vec::new();
        found.extend(self.check_length().err());
        let expected = self.superblock.archive_bytes;
        let copies = [("first", 0), ("second", expected - SUPERBLOCK_BYTES as u64)];
        for (which, at) in copies {
            match superblock_at(&*self.storage, at) {
                Ok(superblock) if superblock == self.superblock => {}
                Err(error @ Error::Io { .. }) => found.push(error),
                _ => found.push(Error::corrupt(format!(
                    "the {which} superblock is not whole"
                ))),
            }
        }
        for (which, tables) in ["first", "second"]
            .iter()
            .zip(self.superblock.table_copies())
        {
            let mut compare = |range, sum, what: String| {
                match checksum_of(&*self.storage, range) {
                    Ok(is) if is == Some(sum) => {}
                    Ok(_) => found.push(Error::corrupt(what)),
                    Err(error) => found.push(error),
                };
            };
            compare(
                tables.extents,
                self.superblock.extents_checksum,
                format!("the {which} table of extents fails its checksum"),
            );
            let superblock = &self.superblock;
            let profiles = superblock.profiles_checksum;
            let lossy = superblock.lossy.map(|lossy| lossy.fidelity_checksum);
            let others = [
                (
                    tables.profiles,
                    (superblock.profiles_bytes > 0).then_some(profiles),
                    "profiles",
                ),
                (tables.fidelity, lossy, LOSSY_RECORDS),
                (
                    tables.bases,
                    superblock.bases.map(|table| table.checksum),
                    BASES,
                ),
                (
                    tables.hashes,
                    superblock.hashes.map(|table| table.checksum),
                    HASHES,
                ),
            ];
            for (range, sum, what) in others {
                if let Some(sum) = sum {
                    let what = format!("the {which} copy of the {what} fails its checksum");
                    compare(range, sum, what);
                }
            }
            let pages = self.superblock.block_count.div_ceil(INDEX_PAGE_ENTRIES);
            for page in 0..pages {
                let block = page * INDEX_PAGE_ENTRIES;
                match self.with_page(tables.index.start, block, |_| Ok(())) {
                    Ok(()) => {}
                    Err(error @ Error::Io { .. }) => found.push(error),
                    Err(_) => found.push(Error::corrupt(format!(
                        "page {page} of the {which} index fails its checksum"
                    ))),
                }
            }
        }
        found
            .into_iter()
            .map(|error| error.at(&self.path))
            .collect()
    }

    /// Passes what lies beside a block on to `read`, with its stored bytes. What `ready` returns is held meanwhile.
    ///
    /// The base comes first: nothing of this archive is held while that is decoded.
    fn with_beside<G>(
        &self,
        block: u64,
        ready: impl Fn() -> G,
        mut read: impl FnMut(Beside<'_>, &BlockEntry, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut with_base = |base: &[u8]| {
            let _ready = ready();
            self.with_profiles(|profiles| {
                let beside = Beside { profiles, base };
                self.with_stored(block, |entry, stored| read(beside, entry, stored))
            })
        };
        let result = self.find_reference(block).and_then(|found| match found {
            None => {
                if self.superblock.bases.is_some() {
                    *lock(&self.last_reference) = None;
                }
                with_base(&[])
            }
            Some((reference, range)) => {
                let base = usize::try_from(reference.base).ok();
                let base = base.and_then(|base| self.bases.get(base));
                let base = base.ok_or_else(|| Error::corrupt("there is no base of that number"))?;
                let start = self.geometry.block(block).map(|span| span.range.start);
                *lock(&self.last_reference) = start.map(|start| (start, reference));
                base.with(range, &mut with_base)
            }
        });
        self.with_place(block, result)
    }

    /// What a block rests on, and the bytes there.
    fn find_reference(&self, block: u64) -> Result<Option<(Reference, Range<u64>)>> {
        if self.superblock.bases.is_none() {
            return Ok(None);
        }
        let entry = self.find_entry(block)?;
        let len = u64::from(entry.stored_len).min(REFERENCE_PREFIX_BYTES as u64);
        let range = entry.offset..entry.offset.saturating_add(len);
        if range.end > self.storage.len() {
            // Whoever reads the block tells.
            return Ok(None);
        }
        let found = |prefix: &[u8]| Ok(BlockHeader::reference_of(prefix));
        let found = self.storage.with(range, found)?;
        Ok(found.map(|(element, reference)| {
            let span = self.geometry.block(block);
            let bytes = span.map_or(0, |span| span.buffer_bytes());
            (reference, reference.range_of_block(element, bytes))
        }))
    }

    /// Passes the profiles on to `read`.
    fn with_profiles<T>(&self, mut read: impl FnMut(Profiles<'_>) -> Result<T>) -> Result<T> {
        self.profiles
            .with(&*self.storage, &self.superblock, &mut read)
    }

    fn find_entry(&self, block: u64) -> Result<BlockEntry> {
        let count = self.superblock.block_count;
        if block >= count {
            return Err(Error::corrupt("there is no such block"));
        }
        let (number, _, row) = IndexPage::place(block, count);
        if let Some(entry) = self.pages.get(number, row) {
            return Ok(entry);
        }
        let keep = self.pages.miss(number);
        let [first, second] = self.superblock.table_copies();
        let find = |index: &Range<u64>| {
            self.with_page(index.start, block, |page| {
                // A page with an entry of another version is not kept; the others of it can be read.
                if keep && let Ok(entries) = page.entries() {
                    self.pages.keep(number, entries);
                }
                page.entry(row)
            })
        };
        find(&first.index).or_else(|error| {
            // Should the file have shrunk under us, see it as it is the next time.
            self.storage.release(first.index.clone());
            find(&second.index).map_err(|_| error)
        })
    }

    /// Passes the page of a copy of the index that has the entry of a block on to `read`.
    fn with_page<T>(
        &self,
        index: u64,
        block: u64,
        read: impl FnOnce(IndexPage<'_>) -> Result<T>,
    ) -> Result<T> {
        let (number, range, _) = IndexPage::place(block, self.superblock.block_count);
        let range = index + range.start..index + range.end;
        if range.end > self.storage.len() {
            let what = "the index lies behind the end of the archive";
            return Err(Error::corrupt(what));
        }
        // A copy: what is checked is what is used, whatever happens to the file meanwhile.
        let mut page = [0; INDEX_PAGE_BYTES];
        let len = self.storage.with(range, |bytes| {
            page[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        })?;
        read(IndexPage::parse(&page[..len], number, self.archive_id)?)
    }

    /// Passes the stored bytes of a block on to `read`, and gives back the memory they took: the
    /// file may be far larger than memory, and who needs the block again finds it decoded.
    fn with_stored<T>(
        &self,
        block: u64,
        mut read: impl FnMut(&BlockEntry, &[u8]) -> Result<T>,
    ) -> Result<T> {
        let entry = self.find_entry(block)?;
        let range = entry.offset..entry.offset.saturating_add(entry.stored_len.into());
        if range.end > self.storage.len() {
            let what = "the block lies behind the end of the archive";
            return Err(Error::corrupt(what));
        }
        if entry.stored_len > MAX_STORED_BYTES {
            let what = "what is stored is longer than a block can be";
            return Err(Error::corrupt(what));
        }
        let result = self
            .storage
            .with(range.clone(), |stored| read(&entry, stored));
        self.storage.release(range);
        result
    }

    fn with_place<T>(&self, block: u64, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let range = self.geometry.block(block).map_or(0..0, |span| span.range);
            error.at_block(block, range).at(&self.path)
        })
    }
}

/// The superblock at the start, or else its copy at the end.
fn superblock(storage: &dyn Storage) -> Result<Superblock> {
    let copy_at = storage.len().checked_sub(SUPERBLOCK_BYTES as u64);
    superblock_at(storage, 0).or_else(|error| {
        copy_at
            .ok_or(())
            .and_then(|at| superblock_at(storage, at).map_err(|_| ()))
            .map_err(|()| error)
    })
}

fn superblock_at(storage: &dyn Storage, at: u64) -> Result<Superblock> {
    let too_short = || Error::not_this_format("not a weightfs archive: it is too short");
    let end = at.saturating_add(SUPERBLOCK_BYTES as u64);
    if end > storage.len() {
        return Err(too_short());
    }
    storage.with(at..end, |bytes| {
        bytes
            .first_chunk()
            .ok_or_else(too_short)
            .and_then(Superblock::parse)
    })
}

/// The geometry of the first copy of the table of extents that is whole.
fn geometry(storage: &dyn Storage, superblock: &Superblock) -> Result<Geometry> {
    let mut unreadable = None;
    for tables in superblock.table_copies() {
        if tables.extents.end > storage.len() {
            continue;
        }
        let parsed = storage.with(tables.extents, |table| {
            let whole = checksum(table) == superblock.extents_checksum;
            Ok(whole.then(|| Geometry::parse(superblock.block_bytes, table)))
        });
        match parsed {
            Ok(Some(geometry)) => return consistent(geometry?, superblock),
            Ok(None) => {}
            Err(error) => unreadable = Some(error),
        }
    }
    Err(unreadable.unwrap_or_else(|| {
        Error::corrupt("both copies of the table of extents fail their checksum")
    }))
}

fn consistent(geometry: Geometry, superblock: &Superblock) -> Result<Geometry> {
    if geometry.original_bytes() != superblock.original_bytes
        || geometry.block_count() != superblock.block_count
        || geometry.has_records() != superblock.has_records
    {
        return Err(Error::corrupt(
            "superblock and extents contradict each other",
        ));
    }
    Ok(geometry)
}
