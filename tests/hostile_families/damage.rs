//! Every bit of a small dependent archive flipped, every length of it, and the same of its base under it.

use std::path::Path;
use std::sync::Arc;

use weightfs::archive::ArchiveReader;
use weightfs::block::BlockDecoder;
use weightfs::storage::Memory;

use crate::forge::{
    BLOCK, Block, Plain, alone, archive, base, open, resting, resting_on, sound, table_of,
};

/// Reads all blocks: whatever can be read is right. Whether anything was noticed.
fn reads_right(reader: &ArchiveReader, decoder: &mut BlockDecoder, blocks: &[Block]) -> bool {
    let mut noticed = false;
    let mut decoded = Vec::new();
    for (number, block) in (0..).zip(blocks) {
        decoded.resize(block.decoded.len(), 0xA5);
        let read = reader.decode_block(number, decoder, &mut decoded);
        assert!(read.is_err() || decoded == block.decoded, "block {number}");
        let verified = reader.verify_block(number, decoder, &mut decoded);
        assert!(read.is_ok() || verified.is_err(), "block {number}");
        noticed |= verified.is_err();
    }
    let _ = (reader.base_records(), reader.tensor_hashes());
    noticed
}

fn with_hashes(base: &[u8], blocks: &[Block]) -> Vec<u8> {
    let mut hashes = Vec::new();
    for (start, hash) in [(0u64, 1u128), (BLOCK as u64, u128::MAX)] {
        hashes.extend(start.to_le_bytes());
        hashes.extend((BLOCK as u64).to_le_bytes());
        hashes.extend(hash.to_le_bytes());
    }
    archive(blocks, &table_of(base), &hashes)
}

#[test]
fn every_flipped_bit_of_a_dependent_is_noticed_and_no_byte_is_wrong() {
    let base = base();
    let blocks = sound(&base);
    let mut dependent = with_hashes(&base, &blocks);
    let plain = Arc::new(Plain(base));
    let mut decoder = BlockDecoder::new().unwrap();
    let whole = resting_on(dependent.clone(), plain.clone()).unwrap();
    assert!(!reads_right(&whole, &mut decoder, &blocks) && whole.check_tables().is_empty());
    for bit in 0..8 * dependent.len() {
        dependent[bit / 8] ^= 1 << (bit % 8);
        // One copy of all tables is whole.
        let reader = resting_on(dependent.clone(), plain.clone()).unwrap();
        let noticed = reads_right(&reader, &mut decoder, &blocks);
        assert!(noticed || !reader.check_tables().is_empty(), "bit {bit}");
        dependent[bit / 8] ^= 1 << (bit % 8);
    }
    println!("{} flips: all noticed", 8 * dependent.len());
}

#[test]
fn a_dependent_cut_anywhere_gives_what_is_left_of_it() {
    let base = base();
    let blocks = sound(&base);
    let dependent = with_hashes(&base, &blocks);
    let plain = Arc::new(Plain(base));
    let mut decoder = BlockDecoder::new().unwrap();
    for len in 0..dependent.len() {
        if let Ok(reader) = resting_on(dependent[..len].to_vec(), plain.clone()) {
            reads_right(&reader, &mut decoder, &blocks);
            assert!(!reader.check_tables().is_empty(), "{len} bytes");
        }
    }
}

#[test]
fn a_damaged_base_under_a_dependent_gives_errors_and_no_wrong_byte() {
    let base = base();
    let blocks = sound(&base);
    let dependent = with_hashes(&base, &blocks);
    let mut archived = archive(&alone(&base), &[], &[]);
    let mut decoder = BlockDecoder::new().unwrap();
    let superblock_ends = 256;
    let mut failed = 0;
    for at in (superblock_ends..archived.len()).step_by(7) {
        archived[at] ^= 1 << (at % 8);
        let reader = open(archived.clone()).unwrap();
        let reader = resting(dependent.clone(), reader).unwrap();
        failed += usize::from(reads_right(&reader, &mut decoder, &blocks));
        archived[at] ^= 1 << (at % 8);
    }
    assert!(
        failed * 14 > archived.len(),
        "most of it is blocks: {failed}"
    );
    for len in (0..archived.len()).step_by(61) {
        if let Ok(reader) = open(archived[..len].to_vec()) {
            let reader = resting(dependent.clone(), reader).unwrap();
            reads_right(&reader, &mut decoder, &blocks);
        }
    }
    // One that is whole, and is another: as long, shorter, longer by what nobody rests on, and empty.
    let other: Vec<u8> = base.iter().map(|byte| byte ^ 1).collect();
    let shorter = &base[..base.len() - BLOCK];
    for other in [&other[..], shorter, &[&base[..], &[1]].concat(), &[]] {
        let reader = open(archive(&alone(other), &[], &[])).unwrap();
        let reader = resting(dependent.clone(), reader).unwrap();
        let noticed = reads_right(&reader, &mut decoder, &blocks);
        assert_eq!(noticed, other.len() <= base.len());
    }
}

#[test]
fn damage_of_a_base_is_told_with_its_name_and_place() {
    let base = base();
    let blocks = sound(&base);
    let mut archived = archive(&alone(&base), &[], &[]);
    let entry = open(archived.clone()).unwrap().entry(0).unwrap();
    archived[usize::try_from(entry.offset).unwrap() + 20] ^= 4;
    let path = Path::new("base.bin.wfz");
    let damaged = ArchiveReader::from_storage(Box::new(Memory(archived)), path).unwrap();
    let reader = resting(with_hashes(&base, &blocks), damaged).unwrap();
    let mut decoder = BlockDecoder::new().unwrap();
    let mut decoded = vec![0; BLOCK];
    // The one that rests there, and the one that is rounded from what is whole.
    let failure = reader
        .decode_block(1, &mut decoder, &mut decoded)
        .unwrap_err();
    let told = failure.to_string();
    assert!(
        failure.is_damage() && told.contains("base.bin.wfz: block 0"),
        "{told}"
    );
    reader.decode_block(5, &mut decoder, &mut decoded).unwrap();
    assert!(decoded == blocks[5].decoded);
}
