//! Reads an archive: opens it in constant time and decodes any block.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::block::BlockDecoder;
use crate::error::{Error, Result};
use crate::format::{
    BlockEntry, BlockHeader, Geometry, INDEX_PAGE_ENTRIES, IndexPage, Profiles, SUPERBLOCK_BYTES,
    Superblock, checksum,
};
use crate::storage::{Bytes, MappedFile};

/// An open archive. All methods may be called from many threads at once.
#[derive(Debug)]
pub struct ArchiveReader {
    path: PathBuf,
    bytes: Bytes,
    superblock: Superblock,
    geometry: Geometry,
    /// Where profiles are that were found whole.
    profiles: Option<Range<u64>>,
}

impl ArchiveReader {
    /// Opens an archive: reads the superblock and the short table of extents, nothing else.
    ///
    /// # Errors
    /// `Io` if the file cannot be opened, `NotThisFormat` if it is no regular file, otherwise as
    /// `from_bytes`.
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
        let map = MappedFile::new(file)
            .map_err(|e| Error::io(format!("cannot map {}", path.display()), e))?;
        Self::from_bytes(Bytes::Mapped(map), path)
    }

    /// Opens an archive whose bytes are at hand; `path` is its name in messages.
    ///
    /// # Errors
    /// `NotThisFormat` if it is no archive, `Corrupt` if neither copy of superblock or extents is
    /// whole, `Unsupported` if a newer version is needed.
    pub fn from_bytes(bytes: Bytes, path: &Path) -> Result<Self> {
        let open = || -> Result<_> {
            let superblock = superblock(&bytes)?;
            let geometry = geometry(&bytes, &superblock)?;
            Ok((superblock, geometry))
        };
        match open() {
            Ok((superblock, geometry)) => Ok(Self {
                path: path.to_path_buf(),
                profiles: whole_profiles(&bytes, &superblock),
                bytes,
                superblock,
                geometry,
            }),
            Err(error) => Err(error.at(path)),
        }
    }

    /// The archive's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the archive says of itself and of the original file.
    pub const fn superblock(&self) -> &Superblock {
        &self.superblock
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
    /// `Corrupt` if the block or both copies of its index page are damaged; `decoded` must not be
    /// used then.
    pub fn decode_block(
        &self,
        block: u64,
        decoder: &mut BlockDecoder,
        decoded: &mut [u8],
    ) -> Result<()> {
        self.with_stored(block, |entry, stored| {
            decoder.decode_into(stored, entry.decoded_checksum, self.profiles(), decoded)
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
        self.with_stored(block, |entry, stored| {
            decoder.verify_into(stored, entry, self.profiles(), decoded)
        })
    }

    /// For those who go through all blocks in order, once.
    pub fn expect_sequential(&self) {
        self.bytes.expect_sequential();
    }

    /// How a block was taken apart.
    ///
    /// # Errors
    /// `Corrupt` if the block's header or its index page is damaged.
    pub fn block_header(&self, block: u64) -> Result<BlockHeader> {
        let span = self.geometry.block(block);
        self.with_stored(block, |_, stored| {
            BlockHeader::parse(stored, span.map_or(0, |span| span.buffer_bytes()))
        })
    }

    /// Compares everything that is not a block: length, both superblocks, both copies of the
    /// tables. Reading may go on with one good copy, but the archive should be made anew.
    pub fn check_tables(&self) -> Vec<Error> {
        let mut found = Vec::new();
        let mut note = |what: String| found.push(Error::corrupt(what).at(&self.path));
        let expected = self.superblock.archive_bytes;
        if self.bytes.len() != expected {
            let is = self.bytes.len();
            note(format!("the archive has {is} bytes instead of {expected}"));
        }
        let copies = [("first", 0), ("second", expected - SUPERBLOCK_BYTES as u64)];
        for (which, at) in copies {
            if superblock_at(&self.bytes, at).ok() != Some(self.superblock) {
                note(format!("the {which} superblock is not whole"));
            }
        }
        for (which, tables) in ["first", "second"]
            .iter()
            .zip(self.superblock.table_copies())
        {
            let extents = self.bytes.slice(tables.extents);
            if extents.map(checksum) != Some(self.superblock.extents_checksum) {
                note(format!("the {which} table of extents fails its checksum"));
            }
            if self.superblock.profiles_bytes > 0
                && self.bytes.slice(tables.profiles).map(checksum)
                    != Some(self.superblock.profiles_checksum)
            {
                note(format!(
                    "the {which} copy of the profiles fails its checksum"
                ));
            }
            let pages = self.superblock.block_count.div_ceil(INDEX_PAGE_ENTRIES);
            for page in 0..pages {
                if self
                    .index_page(tables.index.start, page * INDEX_PAGE_ENTRIES)
                    .is_err()
                {
                    note(format!(
                        "page {page} of the {which} index fails its checksum"
                    ));
                }
            }
        }
        found
    }

    fn profiles(&self) -> Profiles<'_> {
        self.profiles
            .clone()
            .and_then(|range| self.bytes.slice(range))
            .map_or(Profiles::NONE, |bytes| {
                Profiles::new(bytes, self.superblock.profiles_checksum)
            })
    }

    fn find_entry(&self, block: u64) -> Result<BlockEntry> {
        if block >= self.superblock.block_count {
            return Err(Error::corrupt("there is no such block"));
        }
        let [first, second] = self.superblock.table_copies();
        let find = |index: &Range<u64>| {
            let (page, row) = self.index_page(index.start, block)?;
            page.entry(row)
        };
        find(&first.index).or_else(|error| {
            // Should the file have shrunk under us, see it as it is the next time.
            self.bytes.release(first.index.clone());
            find(&second.index).map_err(|_| error)
        })
    }

    fn index_page(&self, index: u64, block: u64) -> Result<(IndexPage<'_>, u64)> {
        let (number, range, row) = IndexPage::place(block, self.superblock.block_count);
        let bytes = self
            .bytes
            .slice(index + range.start..index + range.end)
            .ok_or_else(|| Error::corrupt("the index lies behind the end of the archive"))?;
        Ok((
            IndexPage::parse(bytes, number, self.superblock.archive_id())?,
            row,
        ))
    }

    /// Passes the stored bytes of a block on to `read`, and gives back the memory they took: the
    /// file may be far larger than memory, and who needs the block again finds it decoded.
    fn with_stored<T>(
        &self,
        block: u64,
        read: impl FnOnce(&BlockEntry, &[u8]) -> Result<T>,
    ) -> Result<T> {
        let read = || {
            let entry = self.find_entry(block)?;
            let range = entry.offset..entry.offset.saturating_add(entry.stored_len.into());
            let stored = self.bytes.slice(range.clone());
            let result = stored.map(|stored| read(&entry, stored));
            self.bytes.release(range);
            result.unwrap_or_else(|| {
                Err(Error::corrupt(
                    "the block lies behind the end of the archive",
                ))
            })
        };
        self.with_place(block, read())
    }

    fn with_place<T>(&self, block: u64, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let range = self.geometry.block(block).map_or(0..0, |span| span.range);
            error.at_block(block, range).at(&self.path)
        })
    }
}

/// The superblock at the start, or else its copy at the end.
fn superblock(bytes: &Bytes) -> Result<Superblock> {
    let copy_at = bytes.len().checked_sub(SUPERBLOCK_BYTES as u64);
    superblock_at(bytes, 0).or_else(|error| {
        copy_at
            .ok_or(())
            .and_then(|at| superblock_at(bytes, at).map_err(|_| ()))
            .map_err(|()| error)
    })
}

fn superblock_at(bytes: &Bytes, at: u64) -> Result<Superblock> {
    bytes
        .slice(at..at + SUPERBLOCK_BYTES as u64)
        .and_then(|bytes| bytes.first_chunk())
        .ok_or_else(|| Error::not_this_format("not a weightfs archive: it is too short"))
        .and_then(Superblock::parse)
}

/// The first copy of the profiles that is whole. Without one, blocks that need none still decode.
fn whole_profiles(bytes: &Bytes, superblock: &Superblock) -> Option<Range<u64>> {
    superblock
        .table_copies()
        .into_iter()
        .map(|tables| tables.profiles)
        .filter(|range| !range.is_empty())
        .find(|range| {
            bytes.slice(range.clone()).map(checksum) == Some(superblock.profiles_checksum)
        })
}

/// The geometry of the first copy of the table of extents that is whole.
fn geometry(bytes: &Bytes, superblock: &Superblock) -> Result<Geometry> {
    let whole = superblock
        .table_copies()
        .into_iter()
        .filter_map(|tables| bytes.slice(tables.extents))
        .find(|table| checksum(table) == superblock.extents_checksum)
        .ok_or_else(|| Error::corrupt("both copies of the table of extents fail their checksum"))?;
    let geometry = Geometry::parse(superblock.block_bytes, whole)?;
    if geometry.original_bytes() != superblock.original_bytes
        || geometry.block_count() != superblock.block_count
    {
        return Err(Error::corrupt(
            "superblock and extents contradict each other",
        ));
    }
    Ok(geometry)
}
