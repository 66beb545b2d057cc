//! Opens archives and reads everything in them: damaged ones and those that somebody forged.
#![no_main]

use std::cell::RefCell;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use weightfs::archive::ArchiveReader;
use weightfs::block::BlockDecoder;
use weightfs::format::{
    INDEX_PAGE_BYTES, MAX_BLOCK_BYTES, SUPERBLOCK_BYTES, Superblock, checksum, seal_index_page,
};
use weightfs::storage::Memory;
use weightfs_fuzz::{ARCHIVES, AS_IT_IS, Input, block_decoders};

thread_local! {
    static DECODERS: RefCell<Vec<(&'static str, BlockDecoder)>> = RefCell::new(block_decoders());
}

// Places of fields of a superblock, as in `docs/FORMAT.md`.
const AT_EXTENTS_CHECKSUM: usize = 120;
const AT_PROFILES_BYTES: usize = 128;
const AT_PROFILES_CHECKSUM: usize = 136;
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
    if field(archive, AT_PROFILES_BYTES) > 0
        && let Some(profiles) = archive.get(usize_range(&tables.profiles))
    {
        let sum = checksum(profiles);
        put(archive, AT_PROFILES_CHECKSUM, sum);
    }
    let sum = checksum(&archive[at..at + AT_CHECKSUM]);
    put(archive, AT_CHECKSUM, sum);
}

fn usize_range(range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
    let usize = |value| usize::try_from(value).expect("64 bits");
    usize(range.start)..usize(range.end)
}

fn check(archive: Vec<u8>) {
    let len = archive.len() as u64;
    let Ok(reader) = ArchiveReader::from_storage(Box::new(Memory(archive)), Path::new("a.wfz"))
    else {
        return;
    };
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
