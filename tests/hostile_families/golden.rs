//! The golden archives of a family: how they are made, and what must be in them.
//!
//! `WEIGHTFS_WRITE_GOLDEN=1 cargo test --test hostile_families golden` writes them to `tests/golden`; that was done once. The
//! tests of `tests/cli.rs` and `tests/damage.rs` read those that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use weightfs::archive::ArchiveReader;
use weightfs::format::Kinship;

use crate::support::{Dir, noise, ok, safetensors};

const BASE: &str = "v1-bases-base.safetensors";
const OWN: &str = "v1-bases.safetensors";

const KIB: usize = 1024;
/// Numbers of a tensor of 64 KiB: smaller ones are taken with what lies beside them, whatever their type.
const HALVES: usize = 32 * KIB;

/// Numbers of 16 bits that are next to `middle` or to its negative, of a few values only: the base is to be small.
fn few(seed: u64, middle: u16) -> Vec<u16> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let all =
        std::iter::repeat_with(|| (middle + (rng.u16(..4) << 4)) | (u16::from(rng.bool()) << 15));
    all.take(HALVES).collect()
}

fn bytes(numbers: &[u16]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Numbers of BF16 as F32, a quarter of a place above.
fn wide(numbers: &[u16]) -> Vec<u8> {
    let wide = numbers
        .iter()
        .map(|&number| u32::from(number) << 16 | 0x4000);
    wide.flat_map(u32::to_le_bytes).collect()
}

/// Those of numbers that training left somewhere else, near and far.
fn trained(numbers: &[u8], width: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(6);
    let mut trained = numbers.to_vec();
    for number in trained.chunks_exact_mut(width) {
        match rng.u16(..1000) {
            0..40 => number[0] = number[0].wrapping_add(rng.u8(..3)),
            40..44 => number[0] = number[0].wrapping_add(rng.u8(..)),
            44 => rng.fill(number),
            _ => {}
        }
    }
    trained
}

/// A base and a model made from it: of each type a tensor with differences, two that are rounded, one that is the same, integers
/// of which most are, and one that is of its own.
fn family() -> (Vec<u8>, Vec<u8>) {
    let (bf16, f16) = (bytes(&few(1, 0x3C00)), bytes(&few(2, 0x2C00)));
    let (near, far) = (few(3, 0x3C00), few(4, 0x3C00));
    // Long enough for a hash.
    let same = bytes(&few(5, 0x3C00)).repeat(4);
    let f32 = wide(&near[..HALVES / 2]);
    let f8: Vec<u8> = noise(8, 64 * KIB)
        .iter()
        .map(|byte| 0x28 + byte % 4)
        .collect();
    let integers = noise(3, 4 * KIB).repeat(16);
    let mut changed = integers.clone();
    changed[9000] ^= 1;
    let rounded = far
        .iter()
        .map(|&number| f32::from_bits(u32::from(number) << 16 | 0x4000));
    let rounded: Vec<u8> = rounded
        .flat_map(|v| half::f16::from_f32(v).to_le_bytes())
        .collect();
    let shape: &[u64] = &[256, 128];
    let base = safetensors(&[
        ("bf16", "BF16", shape, bf16.clone()),
        ("f16", "F16", shape, f16.clone()),
        ("f32", "F32", &[128, 128], f32.clone()),
        ("f8", "F8_E4M3", &[512, 128], f8.clone()),
        ("integers", "U8", &[512, 128], integers),
        ("wide.bf16", "F32", shape, wide(&near)),
        ("wide.f16", "F32", shape, wide(&far)),
        ("same", "BF16", &[1024, 128], same.clone()),
    ]);
    let own = safetensors(&[
        ("bf16", "BF16", shape, trained(&bf16, 2)),
        ("f16", "F16", shape, trained(&f16, 2)),
        ("f32", "F32", &[128, 128], trained(&f32, 4)),
        ("f8", "F8_E4M3", &[512, 128], trained(&f8, 1)),
        ("integers", "U8", &[512, 128], changed),
        ("wide.bf16", "BF16", shape, bytes(&near)),
        ("wide.f16", "F16", shape, trained(&rounded, 2)),
        ("same", "BF16", &[1024, 128], same),
        ("own", "BF16", shape, bytes(&few(7, 0x3C00))),
    ]);
    (base, own)
}

/// Kinds of blocks: what they are of the base, of which type, and whether they are rounded.
fn kinds(archive: &Path) -> BTreeSet<String> {
    let reader = ArchiveReader::open(archive).unwrap();
    let blocks = 0..reader.geometry().block_count();
    let kind = |block| {
        let header = reader.block_header(block).unwrap();
        header
            .reference
            .map_or("alone".into(), |(element, reference)| {
                let kinship = match reference.kinship {
                    Kinship::Equal => "equal",
                    Kinship::Difference => "difference",
                };
                let rounded = if reference.is_rounded {
                    ", rounded"
                } else {
                    ""
                };
                format!("{kinship} {}{rounded}", element.name())
            })
    };
    blocks.map(kind).collect()
}

#[test]
fn golden_archives_of_a_family_have_every_kind_of_block() {
    let dir = Dir::new();
    let (base, own) = family();
    let (base, own) = (dir.write(BASE, &base), dir.write(OWN, &own));
    let how = ["--level", "max", "--block-size", "32K"];
    ok([&["pack", &base][..], &how].concat());
    ok([&["pack", &own, "--base", &format!("{base}.wfz")][..], &how].concat());
    let golden = format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("WEIGHTFS_WRITE_GOLDEN").is_some() {
        for name in [BASE, OWN] {
            let name = format!("{name}.wfz");
            fs::copy(dir.path(&name), format!("{golden}/{name}")).unwrap();
        }
    }
    // What is written today has the same kinds as what was written then.
    for archive in [
        dir.path(&format!("{OWN}.wfz")),
        format!("{golden}/{OWN}.wfz"),
    ] {
        let found = kinds(Path::new(&archive));
        let expected = [
            "alone",
            "difference BF16",
            "difference F16",
            "difference F16, rounded",
            "difference F32",
            "difference F8_E4M3",
            "equal BF16",
            "equal BF16, rounded",
            "equal U8",
        ];
        assert_eq!(
            found.iter().map(String::as_str).collect::<Vec<_>>(),
            expected,
            "{archive}"
        );
        let reader = ArchiveReader::open(Path::new(&archive)).unwrap();
        assert_eq!(reader.base_records().unwrap()[0].name, BASE);
        assert_eq!(reader.tensor_hashes().unwrap().len(), 1);
    }
}
