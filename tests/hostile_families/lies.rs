//! Archives whose tables lie about their bases, through the commands and through a mount.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use weightfs::format::{MAX_BASES, MAX_TENSOR_HASHES, pin_path};

use crate::forge::{
    BLOCK, Block, alone, archive, archive_of, base, open, original, sha256, sound, table, table_of,
};
use crate::forged::forged;
use crate::support::{Mount, Place, run};

/// What can be read of an archive.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reads {
    All,
    /// Blocks with these numbers.
    Only(&'static [usize]),
    /// It cannot be opened.
    Nothing,
}

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    original: Vec<u8>,
    reads: Reads,
}

/// Blocks of `forge::sound` that stand for themselves.
const ALONE: Reads = Reads::Only(&[8]);

fn hash(start: u64, len: u64) -> Vec<u8> {
    [start.to_le_bytes(), len.to_le_bytes(), [7; 8], [8; 8]].concat()
}

fn cases(base: &[u8]) -> Vec<Case> {
    let blocks = sound(base);
    let own = original(&blocks);
    let own_sha = sha256(&own);
    let case = |name, bases: &[u8], hashes: &[u8], reads| Case {
        name,
        bytes: archive(&blocks, bases, hashes),
        original: own.clone(),
        reads,
    };
    let good = table_of(base);
    let of = |sha256, bytes, name| table(&[(sha256, bytes, name)]);
    let nowhere = |number: usize| {
        let mut sha256 = [9; 32];
        sha256[..8].copy_from_slice(&number.to_le_bytes());
        (sha256, 5, "../../../../../../etc/passwd")
    };
    let many = |count: usize| table(&(0..count).map(nowhere).collect::<Vec<_>>());
    let most = table(
        &[(sha256(base), base.len(), "x")]
            .into_iter()
            .chain((1..MAX_BASES).map(nowhere))
            .collect::<Vec<_>>(),
    );
    // The record of a base: SHA-256, length, length of the name.
    let edited = |at: usize, value: u64| {
        let mut table = good.clone();
        table[at..at + 8].copy_from_slice(&value.to_le_bytes());
        table
    };
    let lying = forged(base).into_iter().map(|(_, block)| block);
    let lying: Vec<Block> = blocks[8..9].iter().cloned().chain(lying).collect();
    let a_million = MAX_TENSOR_HASHES + 1;
    let hashes: Vec<u8> = (0..a_million).flat_map(|number| hash(number, 1)).collect();
    vec![
        case("good", &good, &hash(0, 100), Reads::All),
        case("itself", &of(own_sha, own.len(), "itself"), &[], ALONE),
        case("mutual-a", &of([2; 32], own.len(), "mutual-b"), &[], ALONE),
        Case {
            name: "mutual-b",
            bytes: archive_of([2; 32], &blocks, &of(own_sha, own.len(), "mutual-a"), &[]),
            original: own.clone(),
            reads: ALONE,
        },
        // Those rest on something themselves.
        case(
            "of-a-dependent",
            &of([2; 32], own.len(), "mutual-b"),
            &[],
            ALONE,
        ),
        case(
            "of-another-length",
            &of(sha256(base), base.len() + 1, "base.bin"),
            &[],
            ALONE,
        ),
        case("of-nobody", &of([1; 32], 0, ""), &[], ALONE),
        case("of-a-fifo", &of([1; 32], 9, "fifo"), &[], ALONE),
        case("of-a-loop", &of([1; 32], 9, "./loop"), &[], ALONE),
        case(
            "of-outside",
            &of([1; 32], 9, "/../../../dev/zero"),
            &[],
            ALONE,
        ),
        case("of-thousands", &most, &[], Reads::All),
        case("too-many", &many(MAX_BASES + 1), &[], Reads::Nothing),
        case("a-million", &many(1_000_000), &[], Reads::Nothing),
        case(
            "twice",
            &[&good[..], &good[..]].concat(),
            &[],
            Reads::Nothing,
        ),
        case("cut", &good[..good.len() - 8], &[], Reads::Nothing),
        case("no-length", &edited(32, u64::MAX), &[], Reads::Nothing),
        case("a-longer-name", &edited(40, 1 << 40), &[], Reads::Nothing),
        case("no-text", &edited(48, u64::MAX), &[], Reads::Nothing),
        case("no-record", &[0; 8], &[], Reads::Nothing),
        // Nobody who only reads needs these.
        case(
            "hashes-behind",
            &good,
            &hash(0, own.len() as u64 + 1),
            Reads::All,
        ),
        case(
            "hashes-over",
            &good,
            &[hash(0, 9), hash(8, 9)].concat(),
            Reads::All,
        ),
        case(
            "hashes-of-all",
            &good,
            &hash(1, i64::MAX as u64),
            Reads::All,
        ),
        case("a-million-hashes", &good, &hashes, Reads::Nothing),
        Case {
            name: "lying",
            bytes: archive(&lying, &good, &[]),
            original: original(&lying),
            reads: Reads::Only(&[0]),
        },
    ]
}

/// Writes them all beside a pin of the base.
fn write(place: &Place, base: &[u8]) -> Vec<Case> {
    let cases = cases(base);
    for case in &cases {
        place.write(&format!("{}.wfz", case.name), &case.bytes);
    }
    // Where names of bases lead, and whoever opens that waits for ever, or goes round for ever.
    for name in ["fifo", "fifo.wfz"] {
        let made = Command::new("mkfifo").arg(place.source.join(name)).status();
        assert!(made.unwrap().success());
    }
    symlink("loop.wfz", place.source.join("loop.wfz")).unwrap();
    symlink(".", place.source.join("loop")).unwrap();
    let pin = pin_path(&sha256(base));
    place.write(pin.to_str().unwrap(), &archive(&alone(base), &[], &[]));
    cases
}

fn readable(case: &Case, block: usize) -> bool {
    match case.reads {
        Reads::All => true,
        Reads::Only(blocks) => blocks.contains(&block),
        Reads::Nothing => false,
    }
}

#[test]
fn commands_say_what_is_wrong_and_end() {
    let place = Place::new();
    let base = base();
    let cases = write(&place, &base);
    let out = place.root.path().join("out");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let said = |args: &[&str]| {
        let (status, stdout, stderr) = run(args);
        assert!((0..=2).contains(&status), "{args:?}: {status}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        (status, stdout, stderr)
    };
    for case in &cases {
        let path = text(&place.source.join(format!("{}.wfz", case.name)));
        let (status, ..) = said(&["verify", "--deep", &path]);
        assert_eq!(status == 0, case.reads == Reads::All, "{}", case.name);
        let (status, ..) = said(&["unpack", &path, "--force", "-o", &text(&out)]);
        assert_eq!(status == 0, case.reads == Reads::All, "{}", case.name);
        if status == 0 {
            assert!(fs::read(&out).unwrap() == case.original, "{}", case.name);
            fs::remove_file(&out).unwrap();
        }
        assert!(!out.exists(), "{}", case.name);
        let (status, _, told) = said(&["inspect", &path]);
        assert!(
            status != 0 || case.reads != Reads::Nothing,
            "{}: {told}",
            case.name
        );
        said(&["inspect", &path, "--json"]);
        said(&["export", &path, "-o", &text(&out)]);
        let _ = fs::remove_file(&out);
    }
    let source = text(&place.source);
    let bases = ["--bases", &source];
    said(&[&["verify", &source][..], &bases].concat());
    said(&[&["family", &source][..], &bases].concat());
    said(&[&["dedup", &source, "--dry-run"][..], &bases].concat());
    said(&["gc", &source, "--dry-run"]);
    // What is in the tables of one that cannot be read is not known: every pin stays.
    said(&["gc", &source]);
    assert!(place.source.join(pin_path(&sha256(&base))).exists());
}

#[test]
fn a_mount_reads_what_is_sound_and_none_hangs() {
    let place = Place::new();
    let base = base();
    let cases = write(&place, &base);
    let bases = ["--bases", place.source.to_str().unwrap()];
    let mounted = Mount::with(
        &place.source,
        &place.mountpoint,
        &bases,
        Duration::from_secs(120),
    );
    let check = |case: &Case| {
        let Ok(file) = fs::File::open(mounted.path(case.name)) else {
            assert_eq!(case.reads, Reads::Nothing, "{}", case.name);
            return;
        };
        for (number, expected) in case.original.chunks(BLOCK).enumerate() {
            let mut read = vec![0; expected.len()];
            // What is read ahead beside it may fail.
            let found = file.read_exact_at(&mut read, (number * BLOCK) as u64);
            match found {
                Ok(()) => assert!(
                    readable(case, number) && read == expected,
                    "{} {number}",
                    case.name
                ),
                Err(failure) => {
                    assert!(!readable(case, number), "{} {number}: {failure}", case.name);
                    assert_eq!(
                        failure.raw_os_error(),
                        Some(libc::EIO),
                        "{} {number}",
                        case.name
                    );
                }
            }
        }
    };
    // All at once, so that those which name each other are open at the same time.
    thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(4)) {
            scope.spawn(move || (0..3).for_each(|_| part.iter().for_each(check)));
        }
    });
    mounted.stop();
}

/// A superblock that was forged to be of a base, over bytes that are another.
#[test]
fn a_forged_base_gives_errors_and_no_wrong_byte() {
    let place = Place::new();
    let base = base();
    let blocks = sound(&base);
    let other: Vec<u8> = base.iter().map(|byte| byte ^ 1).collect();
    let forged = archive_of(sha256(&base), &alone(&other), &[], &[]);
    assert_eq!(
        open(forged.clone()).unwrap().superblock().sha256,
        sha256(&base)
    );
    place.write(pin_path(&sha256(&base)).to_str().unwrap(), &forged);
    let path = place.write("own.wfz", &archive(&blocks, &table_of(&base), &[]));
    let (status, ..) = run(["verify".as_ref(), path.as_os_str()]);
    assert_eq!(status, 1);
    let mounted = place.mount();
    let file = fs::File::open(mounted.path("own")).unwrap();
    for (number, block) in blocks.iter().enumerate() {
        let mut read = vec![0; block.decoded.len()];
        let found = file.read_exact_at(&mut read, (number * BLOCK) as u64);
        assert_eq!(found.is_ok(), number == 8);
        assert!(found.is_err() || read == block.decoded);
    }
    drop(file);
    mounted.stop();
}
