//! Archives on a storage that fails on purpose: every read gives the right bytes or an error that says
//! where, and once the fault is gone everything reads right. `tests/stall` has the same with a device
//! under a mount.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

#[path = "../support/mod.rs"]
mod support;

mod faulty;

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use fastrand::Rng;
use faulty::{Fault, Faulty, KINDS, Kind};
use support::{Dir, model, ok, safetensors};
use weightfs::archive::ArchiveReader;
use weightfs::block::BlockDecoder;
use weightfs::error::{Error, Result};
use weightfs::file::{ReadShared, VirtualFile};

const NAME: &str = "some.wfz";
const ALWAYS: u32 = u32::MAX;
const MIB: usize = 1 << 20;

/// Ends the test run if a test takes too long, which would be a reader that waits for ever.
struct Limit(mpsc::Sender<()>);

impl Limit {
    fn new() -> Self {
        let (done, ended) = mpsc::channel();
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        std::thread::spawn(move || {
            let limit = Duration::from_secs(240);
            if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{name} took over {limit:?}");
                std::process::abort();
            }
        });
        Self(done)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// An archive of a model, and the model.
struct Sample {
    original: Vec<u8>,
    archive: Vec<u8>,
}

impl Sample {
    fn of(original: Vec<u8>, options: &[&str]) -> Self {
        let dir = Dir::new();
        let (file, archive) = (dir.write("m", &original), dir.path("m.wfz"));
        ok([&["pack", &file, "-o", &archive][..], options].concat());
        Self {
            original,
            archive: std::fs::read(archive).unwrap(),
        }
    }

    /// With some pages of index, and with profiles that blocks need.
    fn of_many_blocks() -> Self {
        let tensors = [
            ("a", "BF16", &[600, 512][..], scaled_weights(1, 600, 512)),
            ("b", "BF16", &[600, 512][..], scaled_weights(2, 600, 512)),
        ];
        let options = ["--level", "max", "--block-size", "4K"];
        Self::of(safetensors(&tensors), &options)
    }

    fn len(&self) -> u64 {
        self.archive.len() as u64
    }

    /// Every part of the archive that is read at once, and the number of the block if it is one; of the
    /// blocks, some.
    fn parts(&self) -> Vec<(Range<u64>, Option<u64>)> {
        let reader = open(&Faulty::new(self.archive.clone(), true)).unwrap();
        let superblock = reader.superblock();
        let end = superblock.archive_bytes;
        let mut parts = vec![(0..256, None), (end - 256..end, None)];
        for tables in superblock.table_copies() {
            assert!(!tables.profiles.is_empty());
            parts.push((tables.extents, None));
            parts.push((tables.profiles, None));
            for page in tables.index.clone().step_by(4096) {
                parts.push((page..(page + 4096).min(tables.index.end), None));
            }
        }
        for block in (0..superblock.block_count).step_by(37) {
            let entry = reader.entry(block).unwrap();
            let end = entry.offset + u64::from(entry.stored_len);
            parts.push((entry.offset..end, Some(block)));
        }
        assert!(superblock.block_count > 2 * 127);
        parts
    }
}

/// Weights in BF16 whose size depends on row and column.
fn scaled_weights(seed: u64, rows: i32, columns: i32) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut bytes = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let scale = 2f32.powi(-(column * 37 % 12) - row * 13 % 7);
            let weight = (0..6).map(|_| random.f32() - 0.5).sum::<f32>() * scale;
            bytes.extend(&weight.to_le_bytes()[2..]);
        }
    }
    bytes
}

fn open(storage: &Faulty) -> Result<ArchiveReader> {
    ArchiveReader::from_storage(Box::new(storage.clone()), Path::new(NAME))
}

/// Decodes a block, which gives the right bytes or an error; returns that.
fn read_block(
    reader: &ArchiveReader,
    block: u64,
    decoder: &mut BlockDecoder,
    original: &[u8],
) -> Option<Error> {
    let range = reader.geometry().block(block).unwrap().range;
    let expected = &original[range.start as usize..range.end as usize];
    let mut decoded = vec![0; expected.len()];
    match reader.decode_block(block, decoder, &mut decoded) {
        Ok(()) => {
            assert!(decoded == expected, "wrong bytes in block {block}");
            None
        }
        Err(error) => {
            let said = error.to_string();
            let (start, end) = (range.start, range.end);
            let place = format!("{NAME}: block {block} (bytes {start}..{end}): ");
            assert!(said.starts_with(&place), "{said}");
            assert_eq!(said.matches("(bytes ").count(), 1, "{said}");
            assert_eq!(error.errno(), libc::EIO, "{said}");
            Some(error)
        }
    }
}

/// Decodes every so many blocks; returns those that cannot be had.
fn lost_blocks(
    reader: &ArchiveReader,
    step: usize,
    decoder: &mut BlockDecoder,
    original: &[u8],
) -> Vec<u64> {
    (0..reader.geometry().block_count())
        .step_by(step)
        .filter(|&block| read_block(reader, block, decoder, original).is_some())
        .collect()
}

#[test]
fn a_fault_costs_what_lies_there_and_no_more_and_only_while_it_lasts() {
    let sample = Sample::of_many_blocks();
    let original = &sample.original;
    let mut decoder = BlockDecoder::new().unwrap();
    for in_place in [true, false] {
        let storage = Faulty::new(sample.archive.clone(), in_place);
        for (range, block) in sample.parts() {
            for kind in KINDS {
                let fault = |times| Fault {
                    range: range.clone(),
                    kind,
                    times,
                };
                // There from the start: of what is there twice, the other copy serves.
                storage.fail(fault(ALWAYS));
                let reader = open(&storage).unwrap_or_else(|e| panic!("{kind:?} {range:?}: {e}"));
                let lost = lost_blocks(&reader, 1, &mut decoder, original);
                let expected = block.filter(|_| !kind.is_harmless());
                let expected: Vec<_> = expected.into_iter().collect();
                assert_eq!(lost, expected, "{kind:?} at {range:?}");
                storage.mend();
                assert!(lost_blocks(&reader, 1, &mut decoder, original).is_empty());
                // Once, and after it was opened.
                let reader = open(&storage).unwrap();
                storage.fail(fault(1));
                assert!(lost_blocks(&reader, 1, &mut decoder, original).len() <= 1);
                assert!(lost_blocks(&reader, 1, &mut decoder, original).is_empty());
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_from_what_is_damaged() {
    let sample = Sample::of_many_blocks();
    let mut decoder = BlockDecoder::new().unwrap();
    let storage = Faulty::new(sample.archive.clone(), true);
    let reader = open(&storage).unwrap();
    for (range, block) in sample.parts() {
        let Some(block) = block else { continue };
        for kind in KINDS.into_iter().filter(|kind| !kind.is_harmless()) {
            let range = range.clone();
            storage.fail(Fault {
                range,
                kind,
                times: ALWAYS,
            });
            let error = read_block(&reader, block, &mut decoder, &sample.original).unwrap();
            let is_damage = matches!(error, Error::Corrupt(_));
            assert_eq!(is_damage, kind == Kind::Changed, "{kind:?}: {error}");
            assert!(is_damage || matches!(error, Error::Io { .. }), "{error}");
        }
    }
}

/// What profiles were read as while they could not be had is not kept by a decoder.
#[test]
fn profiles_that_come_and_go_leave_no_decoder_wrong() {
    const STEP: usize = 60;
    let sample = Sample::of_many_blocks();
    for in_place in [true, false] {
        let storage = Faulty::new(sample.archive.clone(), in_place);
        let reader = open(&storage).unwrap();
        let profiles = reader.superblock().table_copies()[0].profiles.clone();
        let mut lost = 0;
        for kind in KINDS {
            for at in profiles.clone().step_by(23) {
                // One that has not seen them when they were whole.
                let mut decoder = BlockDecoder::new().unwrap();
                storage.fail(Fault {
                    range: at..at + 1,
                    kind,
                    times: ALWAYS,
                });
                let now = lost_blocks(&reader, STEP, &mut decoder, &sample.original);
                assert!(now.is_empty() || (in_place && !kind.is_harmless()));
                lost += now.len();
                storage.mend();
                let now = lost_blocks(&reader, STEP, &mut decoder, &sample.original);
                assert!(now.is_empty(), "{kind:?} at {at}");
            }
        }
        assert_eq!(lost > 0, in_place);
    }
}

#[test]
fn an_archive_whose_profiles_cannot_be_read_at_first_reads_right_later() {
    let sample = Sample::of_many_blocks();
    for in_place in [true, false] {
        let storage = Faulty::new(sample.archive.clone(), in_place);
        let sound = open(&storage).unwrap();
        let profiles = sound.superblock().table_copies().map(|copy| copy.profiles);
        // Both copies; the blocks that lie between them are not read meanwhile.
        storage.fail(Fault {
            range: profiles[0].start..profiles[1].end,
            kind: Kind::Refused,
            times: ALWAYS,
        });
        let reader = open(&storage).unwrap();
        storage.mend();
        let mut decoder = BlockDecoder::new().unwrap();
        let lost = lost_blocks(&reader, 1, &mut decoder, &sample.original);
        assert!(lost.is_empty(), "{lost:?}");
    }
}

/// `WEIGHTFS_TEST_ROUNDS` sets how many.
#[test]
fn faults_at_random_give_right_bytes_or_errors() {
    let rounds = std::env::var("WEIGHTFS_TEST_ROUNDS").ok();
    let rounds: u64 = rounds.map_or(40, |rounds| rounds.parse().unwrap());
    let sample = Sample::of_many_blocks();
    let mut decoder = BlockDecoder::new().unwrap();
    for seed in 0..rounds {
        let storage = Faulty::new(sample.archive.clone(), seed % 2 == 0);
        let mut random = Rng::with_seed(seed);
        storage.fail_at_random(seed, 2 + random.u32(..30));
        let reader = loop {
            match open(&storage) {
                Ok(reader) => break reader,
                Err(error) => assert!(error.to_string().starts_with(NAME), "{error}"),
            }
        };
        let count = reader.geometry().block_count();
        for _ in 0..400 {
            read_block(&reader, random.u64(..count), &mut decoder, &sample.original);
        }
        for problem in reader.check_tables() {
            assert!(problem.to_string().starts_with(NAME), "{problem}");
        }
        storage.mend();
        let lost = lost_blocks(&reader, 1, &mut decoder, &sample.original);
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        assert!(reader.check_tables().is_empty());
    }
}

fn file_of(storage: &Faulty, cache_bytes: usize) -> VirtualFile {
    let shared = ReadShared::new(cache_bytes, 4.try_into().unwrap());
    VirtualFile::new(open(storage).unwrap(), 1, Arc::new(shared))
}

/// Reads a range of a file, which gives the right bytes or an error.
fn read(file: &VirtualFile, at: usize, len: usize, direct: bool, original: &[u8]) -> Result<()> {
    let end = (at + len).min(original.len());
    let is_right = file.read(at as u64, len, direct, |bytes| bytes == &original[at..end])?;
    assert!(is_right, "wrong bytes in {at}..{end}");
    Ok(())
}

/// Reads on, so that what comes next is decoded ahead, or anywhere; returns how many reads failed.
fn read_about(file: &VirtualFile, goes_on: bool, random: &mut Rng, original: &[u8]) -> usize {
    let longest = if random.bool() { 4 << 10 } else { 200 << 10 };
    let direct = random.bool();
    let mut at = random.usize(..original.len());
    let mut failed = 0;
    for _ in 0..600 {
        let len = 1 + random.usize(..longest);
        failed += usize::from(read(file, at, len, direct, original).is_err());
        at = if goes_on {
            (at + len) % original.len()
        } else {
            random.usize(..original.len())
        };
    }
    failed
}

#[test]
fn files_read_through_the_cache_and_ahead_survive_faults() {
    let _limit = Limit::new();
    let sample = Sample::of(model(5, 8), &["--level", "max", "--block-size", "64K"]);
    let original = &sample.original;
    for (seed, cache_bytes) in [(1, 0), (2, 4 * MIB), (3, 17 * MIB), (4, 64 * MIB)] {
        let storage = Faulty::new(sample.archive.clone(), seed % 2 == 0);
        let file = file_of(&storage, cache_bytes);
        storage.fail_at_random(seed, 5);
        let failed: usize = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..6)
                .map(|reader| {
                    let file = &file;
                    let mut random = Rng::with_seed(100 * seed + reader);
                    scope.spawn(move || read_about(file, reader < 3, &mut random, original))
                })
                .collect();
            readers.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert!(failed > 0);
        storage.mend();
        for at in (0..original.len()).step_by(100 << 10) {
            read(&file, at, 100 << 10, false, original).unwrap();
        }
    }
}

#[test]
fn a_failure_is_told_to_each_reader_that_waits_and_the_next_read_is_right() {
    let _limit = Limit::new();
    let sample = Sample::of(model(6, 2), &[]);
    let storage = Faulty::new(sample.archive.clone(), false);
    let file = file_of(&storage, 64 * MIB);
    storage.fail(Fault {
        range: 0..sample.len(),
        kind: Kind::Refused,
        times: ALWAYS,
    });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let error = read(&file, MIB, 100, false, &sample.original).unwrap_err();
                let said = error.to_string();
                assert!(said.starts_with("some.wfz: block "), "{said}");
                assert_eq!(error.errno(), libc::EIO);
            });
        }
    });
    storage.mend();
    read(&file, MIB, 100, false, &sample.original).unwrap();
}

/// Reading ahead has two stages: bytes are asked for, further ahead than anything is decoded.
#[test]
fn a_storage_that_is_far_away_is_asked_ahead_and_gets_faster() {
    const PIECE: usize = 64 << 10;
    let _limit = Limit::new();
    let sample = Sample::of(model(7, 16), &["--block-size", "256K"]);
    let original = &sample.original;
    let go_through = |ask_ahead_bytes| {
        let latency = Duration::from_millis(20);
        let storage = Faulty::far(sample.archive.clone(), latency, ask_ahead_bytes);
        let file = file_of(&storage, 64 * MIB);
        let (before, start) = (storage.unasked(), Instant::now());
        for at in (0..original.len()).step_by(PIECE) {
            read(&file, at, PIECE, true, original).unwrap();
        }
        let unasked = storage.unasked() - before;
        (unasked, start.elapsed(), storage.asked_bytes())
    };
    let blocks = original.len() / (256 << 10);
    let (unasked, slow, asked_bytes) = go_through(0);
    assert!(unasked >= blocks && asked_bytes == 0, "{unasked}, {blocks}");
    let (unasked, fast, asked_bytes) = go_through(8 << 20);
    // The first blocks, before anybody knows that the reader goes on.
    assert!(unasked < blocks / 4, "{unasked} of {blocks}");
    let len = sample.len();
    assert!(
        asked_bytes > len / 2 && asked_bytes <= len,
        "each byte once"
    );
    assert!(fast < slow * 2 / 3, "{fast:?} instead of {slow:?}");
    println!("{slow:?} without asking, {fast:?} with it");
}
