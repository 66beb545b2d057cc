//! Damage to archives of realistic size: single bits anywhere, at random.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;
use std::path::Path;

use support::{Dir, model, noise, ok};
use weightfs::archive::ArchiveReader;
use weightfs::block::{Beside, BlockDecoder};
use weightfs::format::Profiles;
use weightfs::storage::Memory;

fn open(bytes: Vec<u8>) -> weightfs::error::Result<ArchiveReader> {
    ArchiveReader::from_storage(Box::new(Memory(bytes)), Path::new("archive"))
}

/// Flips bits of an archive of `original`, one at a time. Each must be found by verifying, and what is
/// read nevertheless must be right. `base` is what the one base of the archive gives, if it has one.
fn flip_bits(archive: &[u8], original: &[u8], base: &[u8], flips: usize) {
    let mut archive = archive.to_vec();
    let reader = open(archive.clone()).unwrap();
    let superblock = reader.superblock();
    let [tables, _] = superblock.table_copies();
    let place = |at: u64| usize::try_from(at).unwrap();
    let profile_bytes = archive[place(tables.profiles.start)..place(tables.profiles.end)].to_vec();
    let profiles = Profiles::new(&profile_bytes, superblock.profiles_checksum);
    let blocks: Vec<_> = (0..superblock.block_count)
        .map(|block| {
            let entry = reader.entry(block).unwrap();
            let span = reader.geometry().block(block).unwrap();
            let stored = place(entry.offset)..place(entry.offset) + entry.stored_len as usize;
            let original = &original[place(span.range.start)..place(span.range.end)];
            let rests = reader.reference(block).unwrap();
            let base = rests.map_or(&[][..], |reference| {
                let header = reader.block_header(block).unwrap();
                let range = reference.range(original.len() - header.tail_bytes(original.len()));
                &base[place(range.start)..place(range.end)]
            });
            (entry, stored, original, Beside { profiles, base })
        })
        .collect();
    let mut decoder = BlockDecoder::new().unwrap();
    let mut decoded = Vec::new();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut in_blocks, mut in_tables) = (0, 0);
    for _ in 0..flips {
        let (at, bit) = (random.usize(..archive.len()), 1 << random.usize(..8));
        archive[at] ^= bit;
        let hit = blocks.iter().find(|(_, stored, ..)| stored.contains(&at));
        if let Some((entry, stored, original, beside)) = hit {
            in_blocks += 1;
            let stored = &archive[stored.clone()];
            decoded.resize(original.len(), 0);
            let verified = decoder.verify_into(stored, entry, *beside, &mut decoded);
            assert!(
                verified.is_err(),
                "bit {bit:#x} of byte {at} is not noticed"
            );
            let read = decoder.decode_into(stored, entry.decoded_checksum, *beside, &mut decoded);
            assert!(read.is_err() || decoded == **original, "byte {at}");
        } else {
            in_tables += 1;
            let damaged = open(archive.clone()).unwrap();
            let problems = damaged.check_tables();
            assert!(
                !problems.is_empty(),
                "bit {bit:#x} of byte {at} is not noticed"
            );
            // The other copy serves.
            let (_, _, original, _) = blocks[0];
            decoded.resize(original.len(), 0);
            damaged.decode_block(0, &mut decoder, &mut decoded).unwrap();
            assert!(decoded == original);
        }
        archive[at] ^= bit;
    }
    println!("{in_blocks} flips in blocks, {in_tables} in tables: all found");
}

/// `WEIGHTFS_TEST_ROUNDS` sets how many bits are flipped.
#[test]
fn single_bits_of_a_large_archive() {
    let rounds = std::env::var("WEIGHTFS_TEST_ROUNDS").ok();
    let rounds: usize = rounds.map_or(4_000, |rounds| rounds.parse().unwrap());
    let dir = Dir::new();
    let original = model(11, 12);
    let file = dir.write("m.safetensors", &original);
    for (codec, level) in [
        ("weights", "default"),
        ("weights", "fast"),
        ("weights", "max"),
        ("split-arithmetic", "default"),
    ] {
        let archive = dir.path("m.wfz");
        ok([
            "pack", &file, "-o", &archive, "--codec", codec, "--level", level, "--force",
        ]);
        flip_bits(&fs::read(&archive).unwrap(), &original, &[], rounds / 4);
    }
}

#[test]
fn bits_of_archives_with_every_codec() {
    let dir = Dir::new();
    let mut base = Vec::new();
    for golden in [
        "v1.safetensors",
        "v1-lz4.safetensors",
        "v1-deflate.safetensors",
        "v1-lzma.safetensors",
        "v1-arithmetic.safetensors",
        "v1-records.gguf",
        "v1-grouped.gguf",
        "v1-lossy.safetensors",
        "v1-spread.safetensors",
        "v1-bases-base.safetensors",
        "v1-bases.safetensors",
    ] {
        let archive = format!("{}/tests/golden/{golden}.wfz", env!("CARGO_MANIFEST_DIR"));
        let original = dir.path("original");
        ok(["unpack", &archive, "-o", &original, "--force"]);
        let bytes = fs::read(&archive).unwrap();
        let original = fs::read(&original).unwrap();
        flip_bits(&bytes, &original, &base, 4000);
        // The last one rests on the one before.
        base = original;
    }
}

#[test]
fn a_file_of_noise_is_as_safe_as_any() {
    let dir = Dir::new();
    let original = noise(3, 1 << 20);
    let file = dir.write("noise", &original);
    ok(["pack", &file]);
    flip_bits(
        &fs::read(dir.path("noise.wfz")).unwrap(),
        &original,
        &[],
        2000,
    );
}
