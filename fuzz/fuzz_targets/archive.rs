//! Opens archives and reads everything in them: damaged ones and those that somebody forged.
#![no_main]

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use weightfs::archive::{ArchiveReader, Base};
use weightfs::block::BlockDecoder;
use weightfs::error::{Error, Result};
use weightfs::format::{
    INDEX_PAGE_BYTES, MAX_BLOCK_BYTES, SUPERBLOCK_BYTES, Superblock, checksum, seal_index_page,
};
use weightfs::storage::Memory;
use weightfs_fuzz::{ARCHIVES, AS_IT_IS, BASE, Input, block_decoders};

thread_local! {
    static DECODERS: RefCell<Vec<(&'static str, BlockDecoder)>> = RefCell::new(block_decoders());
}

// Places of fields of a superblock, as in `docs/FORMAT.md`.
const AT_EXTENTS_CHECKSUM: usize = 120;
const AT_PROFILES_BYTES: usize = 128;
const AT_PROFILES_CHECKSUM: usize = 136;
const AT_BASES_BYTES: usize = 192;
const AT_BASES_CHECKSUM: usize = 200;
const AT_HASHES_BYTES: usize = 208;
const AT_HASHES_CHECKSUM: usize = 216;
const AT_CHECKSUM: usize = SUPERBLOCK_BYTES - 8;
/// Blocks that are looked at, and that are decoded: more only take longer.
const ENOUGH_BLOCKS: u64 = 300;
const ENOUGH_DECODED: u64 = 12;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let how = input.byte();
    let archive = if how == AS_IT_IS {
        input.rest().to_vec()
    } else {
        let original = &ARCHIVES[usize::from(how >> 4) % ARCHIVES.len()];
        let mut archive = original.clone();
        input.edit(&mut archive);
        if how & 1 > 0 {
            seal(&mut archive);
        }
        archive
    };
    check(archive);
});

/// Makes the checksums of the tables right again, as somebody would who means harm.
fn seal(archive: &mut [u8]) {
    let Some(last) = archive.len().checked_sub(SUPERBLOCK_BYTES) else {
        return;
    };
    for at in [0, last] {
        seal_superblock(archive, at);
    }
    let Some(Ok(superblock)) = archive.first_chunk().map(Superblock::parse) else {
        return;
    };
    for tables in superblock.table_copies() {
        let index = usize_range(&tables.index);
        let Some(index) = archive.get_mut(index) else {
            continue;
        };
        for page in index.chunks_mut(INDEX_PAGE_BYTES) {
            seal_index_page(page, superblock.archive_id());
        }
    }
}

fn seal_superblock(archive: &mut [u8], at: usize) {
    let field = |archive: &[u8], place: usize| {
        let mut value = [0; 8];
        value.copy_from_slice(&archive[at + place..at + place + 8]);
        u64::from_le_bytes(value)
    };
    let put = |archive: &mut [u8], place: usize, value: u64| {
        archive[at + place..at + place + 8].copy_from_slice(&value.to_le_bytes());
    };
    let sum = checksum(&archive[at..at + AT_CHECKSUM]);
    put(archive, AT_CHECKSUM, sum);
    let bytes = archive[at..].first_chunk();
    let Some(Ok(superblock)) = bytes.map(Superblock::parse) else {
        return;
    };
    let tables = &superblock.table_copies()[0];
    if let Some(extents) = archive.get(usize_range(&tables.extents)) {
        let sum = checksum(extents);
        put(archive, AT_EXTENTS_CHECKSUM, sum);
    }
    for (at_bytes, at_checksum, range) in [
        (AT_PROFILES_BYTES, AT_PROFILES_CHECKSUM, &tables.profiles),
        (AT_BASES_BYTES, AT_BASES_CHECKSUM, &tables.bases),
        (AT_HASHES_BYTES, AT_HASHES_CHECKSUM, &tables.hashes),
    ] {
        if field(archive, at_bytes) > 0
            && let Some(table) = archive.get(usize_range(range))
        {
            let sum = checksum(table);
            put(archive, at_checksum, sum);
        }
    }
    let sum = checksum(&archive[at..at + AT_CHECKSUM]);
    put(archive, AT_CHECKSUM, sum);
}

fn usize_range(range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
    let usize = |value| usize::try_from(value).expect("64 bits");
    usize(range.start)..usize(range.end)
}

/// What archives rest on, whatever they say that it is.
#[derive(Debug)]
struct Bytes;

impl Base for Bytes {
    fn with(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let bytes = BASE.get(usize_range(&range));
        read(bytes.ok_or_else(|| Error::corrupt("behind the end of the base"))?)
    }

    fn will_need(&self, _: &Range<u64>) {}
}

fn check(archive: Vec<u8>) {
    let len = archive.len() as u64;
    let Ok(mut reader) = ArchiveReader::from_storage(Box::new(Memory(archive)), Path::new("a.wfz"))
    else {
        return;
    };
    if let Ok(records) = reader.base_records() {
        reader.rest_on(records.iter().map(|_| Arc::new(Bytes) as _).collect());
    }
    if let Ok(hashes) = reader.tensor_hashes() {
        let ends = hashes.iter().map(|hash| hash.range().end);
        assert!(ends.max() <= Some(reader.superblock().original_bytes));
    }
    reader.check_tables();
    let geometry = reader.geometry();
    let blocks = geometry.block_count();
    assert!(blocks <= len / 32, "more blocks than fit into the index");
    assert!(geometry.block(blocks).is_none());
    assert!(reader.entry(blocks).is_err());
    let mut end = 0;
    for block in 0..blocks.min(ENOUGH_BLOCKS) {
        let span = geometry.block(block).expect("it is one of the blocks");
        assert_eq!(span.range.start, end);
        assert!(span.range.end > end && span.range.end <= geometry.original_bytes());
        assert!(span.buffer_bytes() <= MAX_BLOCK_BYTES as usize);
        assert_eq!(geometry.block_at(end), Some(block));
        assert_eq!(geometry.block_at(span.range.end - 1), Some(block));
        end = span.range.end;
        let _ = reader.block_header(block);
        let _ = reader.reference(block);
        reader.bases_will_need(&span.range);
        // The first ones, and a few of the others.
        if block < ENOUGH_DECODED || (block + 1) % 64 == 0 {
            decode(&reader, block, span.buffer_bytes());
        }
    }
    if blocks <= ENOUGH_BLOCKS {
        assert_eq!(end, geometry.original_bytes());
    }
    assert_eq!(geometry.block_at(geometry.original_bytes()), None);
}

fn decode(reader: &ArchiveReader, block: u64, len: usize) {
    DECODERS.with_borrow_mut(|decoders| {
        let mut first = None;
        for (name, decoder) in decoders {
            let mut decoded = vec![0xA5; len];
            let result = reader.decode_block(block, decoder, &mut decoded);
            if result.is_ok() {
                let expected = reader.entry(block).expect("decoded").decoded_checksum;
                assert_eq!(checksum(&decoded), expected, "{name}");
            }
            let verified = reader.verify_block(block, decoder, &mut decoded);
            assert!(result.is_ok() || verified.is_err(), "{name}");
            let results = [result, verified].map(|r| r.map_err(|error| error.to_string()));
            let first = first.get_or_insert_with(|| results.clone());
            assert_eq!(results, *first, "{name}");
        }
    });
}
