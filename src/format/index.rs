//! The index: one entry a block, in pages that carry their own checksum, so that opening an archive
//! of a million blocks reads none of them and damage stays local.

use super::checksum::checksum;
use super::field;
use crate::error::{Error, Result};

/// Entries of a full page.
pub const INDEX_PAGE_ENTRIES: u64 = 127;
/// Bytes of an entry, and of the trailer that closes a page.
const ENTRY_BYTES: usize = 32;
/// Bytes of a full page: its entries and the trailer.
pub const INDEX_PAGE_BYTES: usize = 4096;
const PAGE_BYTES: u64 = (INDEX_PAGE_ENTRIES + 1) * ENTRY_BYTES as u64;
const _: () = assert!(PAGE_BYTES == INDEX_PAGE_BYTES as u64);
/// The only kind of entry of version 1: the block's bytes lie in this archive.
const KIND_STORED: u8 = 0;

/// Where a block is stored, and what it must decode to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockEntry {
    /// Offset of the stored bytes in the archive.
    pub offset: u64,
    /// Length of the stored bytes.
    pub stored_len: u32,
    /// Checksum of the decoded bytes.
    pub decoded_checksum: u64,
    /// Checksum of the stored bytes, for finding damage without decoding.
    pub stored_checksum: u64,
}

impl BlockEntry {
    fn parse(row: &[u8]) -> Result<Self> {
        if row[12] != KIND_STORED {
            return Err(Error::unsupported(format!(
                "unknown kind of block {}; a newer weightfs is needed to read this archive",
                row[12]
            )));
        }
        if !field::is_zero(&row[13..16]) {
            return Err(Error::corrupt(
                "reserved bytes of an index entry are not zero",
            ));
        }
        Ok(Self {
            offset: field::u64(row, 0),
            stored_len: field::u32(row, 8),
            decoded_checksum: field::u64(row, 16),
            stored_checksum: field::u64(row, 24),
        })
    }

    fn encode(&self, row: &mut [u8]) {
        field::put(row, 0, &self.offset.to_le_bytes());
        field::put(row, 8, &self.stored_len.to_le_bytes());
        row[12] = KIND_STORED;
        field::put(row, 16, &self.decoded_checksum.to_le_bytes());
        field::put(row, 24, &self.stored_checksum.to_le_bytes());
    }
}

/// Length in bytes of the index of `block_count` blocks; `None` if it overflows.
pub fn index_bytes(block_count: u64) -> Option<u64> {
    let full = (block_count / INDEX_PAGE_ENTRIES).checked_mul(PAGE_BYTES)?;
    let rest = block_count % INDEX_PAGE_ENTRIES;
    let last = if rest == 0 {
        0
    } else {
        (rest + 1) * ENTRY_BYTES as u64
    };
    full.checked_add(last)
}

/// Page `number` of the index of the archive `archive_id` (`Superblock::archive_id`) as bytes. Every
/// page but the last holds `INDEX_PAGE_ENTRIES`.
pub fn encode_index_page(number: u64, archive_id: u64, entries: &[BlockEntry]) -> Vec<u8> {
    let mut page = vec![0; (entries.len() + 1) * ENTRY_BYTES];
    for (row, entry) in page.chunks_exact_mut(ENTRY_BYTES).zip(entries) {
        entry.encode(row);
    }
    let trailer = entries.len() * ENTRY_BYTES;
    field::put(&mut page, trailer, &number.to_le_bytes());
    seal_index_page(&mut page, archive_id);
    page
}

/// Says which archive an encoded page belongs to. The writer knows that only when it has read the
/// whole original, and until then gives its pages the id 0.
pub fn seal_index_page(page: &mut [u8], archive_id: u64) {
    let trailer = page.len() - ENTRY_BYTES;
    field::put(page, trailer + 8, &archive_id.to_le_bytes());
    let sum = checksum(&page[..trailer + 24]);
    field::put(page, trailer + 24, &sum.to_le_bytes());
}

/// A page of the index whose checksum was found right.
#[derive(Debug, Clone, Copy)]
pub struct IndexPage<'a> {
    entries: &'a [u8],
}

impl<'a> IndexPage<'a> {
    /// The number of the page that holds a block's entry, the range of the page inside the index of
    /// `block_count` blocks, and the row of the entry in the page.
    ///
    /// `block` is less than `block_count`, whose index fits into a `u64`.
    pub fn place(block: u64, block_count: u64) -> (u64, std::ops::Range<u64>, u64) {
        let number = block / INDEX_PAGE_ENTRIES;
        let first = number * INDEX_PAGE_ENTRIES;
        let entries = INDEX_PAGE_ENTRIES.min(block_count - first);
        let start = number * PAGE_BYTES;
        let range = start..start + (entries + 1) * ENTRY_BYTES as u64;
        (number, range, block - first)
    }

    /// Checks the bytes of page `number` of the archive `archive_id`. An archive that is written
    /// over while it is open has another id, so that its blocks are not taken for the old ones.
    ///
    /// # Errors
    /// `Corrupt` if it is not the page it should be, as it was written.
    pub fn parse(bytes: &'a [u8], number: u64, archive_id: u64) -> Result<Self> {
        let damaged = || Error::corrupt(format!("index page {number} fails its checksum"));
        let trailer = bytes.len().checked_sub(ENTRY_BYTES).ok_or_else(damaged)?;
        if checksum(&bytes[..trailer + 24]) != field::u64(bytes, trailer + 24)
            || field::u64(bytes, trailer) != number
            || field::u64(bytes, trailer + 8) != archive_id
            || !field::is_zero(&bytes[trailer + 16..trailer + 24])
        {
            return Err(damaged());
        }
        Ok(Self {
            entries: &bytes[..trailer],
        })
    }

    /// The entry in a row of the page.
    ///
    /// # Errors
    /// `Unsupported` for a kind of block this version does not know, `Corrupt` if the entry is not
    /// well formed or is not in the page.
    pub fn entry(&self, row: u64) -> Result<BlockEntry> {
        usize::try_from(row)
            .ok()
            .and_then(|row| self.entries.chunks_exact(ENTRY_BYTES).nth(row))
            .ok_or_else(|| Error::corrupt("the index has no entry for this block"))
            .and_then(BlockEntry::parse)
    }

    /// All entries of the page.
    ///
    /// # Errors
    /// As `entry`, of the first that is not well formed.
    pub fn entries(&self) -> Result<Box<[BlockEntry]>> {
        self.entries
            .chunks_exact(ENTRY_BYTES)
            .map(BlockEntry::parse)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(i: u64) -> BlockEntry {
        BlockEntry {
            offset: i * 1000,
            stored_len: u32::try_from(i).unwrap(),
            decoded_checksum: i ^ 0xABCD,
            stored_checksum: !i,
        }
    }

    #[test]
    fn every_entry_is_found_again_whatever_the_count() {
        for count in [0, 1, 126, 127, 128, 254, 255, 1000] {
            let entries: Vec<_> = (0..count).map(entry).collect();
            let index: Vec<u8> = entries
                .chunks(usize::try_from(INDEX_PAGE_ENTRIES).unwrap())
                .zip(0..)
                .flat_map(|(entries, number)| encode_index_page(number, 77, entries))
                .collect();
            assert_eq!(Some(index.len() as u64), index_bytes(count), "{count}");
            for block in 0..count {
                let (number, range, row) = IndexPage::place(block, count);
                let range =
                    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                let page = IndexPage::parse(&index[range], number, 77).unwrap();
                assert_eq!(page.entry(row).unwrap(), entry(block));
            }
        }
        assert_eq!(index_bytes(u64::MAX), None);
    }

    #[test]
    fn every_flipped_bit_of_a_page_is_noticed() {
        let page = encode_index_page(0, 77, &[entry(1), entry(2)]);
        for bit in 0..page.len() * 8 {
            let mut page = page.clone();
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(IndexPage::parse(&page, 0, 77).is_err(), "bit {bit}");
        }
        assert!(IndexPage::parse(&page, 0, 77).is_ok());
        assert!(IndexPage::parse(&page, 1, 77).is_err());
        assert!(IndexPage::parse(&page, 0, 78).is_err());
        assert!(IndexPage::parse(&page[..20], 0, 77).is_err());
    }
}
