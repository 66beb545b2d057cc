//! Lossy packing over whole files: what was promised of each number holds for what is read, and nothing else
//! changes. Bounds are computed here once more, in F64.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::{Dir, Place, Tensor, noise, ok, run, safetensors, weights, with_header};
use weightfs::archive::ArchiveReader;
use weightfs::format::{ElementType, GridKind, LossyMethod, TensorFidelity};
use weightfs::storage::Memory;

/// A type of floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Float {
    Bf16,
    F16,
    F32,
    F64,
}

const FLOATS: [Float; 4] = [Float::Bf16, Float::F16, Float::F32, Float::F64];

impl Float {
    const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "BF16",
            Self::F16 => "F16",
            Self::F32 => "F32",
            Self::F64 => "F64",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Mantissa bits, bits of the greatest finite number, and of an infinite one.
    const fn limits(self) -> (i32, u64, u64) {
        match self {
            Self::Bf16 => (7, 0x7F7F, 0x7F80),
            Self::F16 => (10, 0x7BFF, 0x7C00),
            Self::F32 => (23, 0x7F7F_FFFF, 0x7F80_0000),
            Self::F64 => (52, 0x7FEF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000),
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "rounding is what it is for"
    )]
    fn bits(self, value: f64) -> u64 {
        match self {
            Self::Bf16 => half::bf16::from_f64(value).to_bits().into(),
            Self::F16 => half::f16::from_f64(value).to_bits().into(),
            Self::F32 => (value as f32).to_bits().into(),
            Self::F64 => value.to_bits(),
        }
    }

    fn values(self, bytes: &[u8]) -> Vec<f64> {
        let value = |bytes: &[u8]| {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            let bits = u64::from_le_bytes(wide);
            match self {
                Self::Bf16 => f32::from_bits((bits as u32) << 16).into(),
                Self::F16 => half::f16::from_bits(bits as u16).to_f64(),
                Self::F32 => f32::from_bits(bits as u32).into(),
                Self::F64 => f64::from_bits(bits),
            }
        };
        bytes.chunks_exact(self.bytes()).map(value).collect()
    }
}

const ROWS: usize = 120;
const COLUMNS: usize = 100;

/// A matrix with all that weights never are: rows of one number, of zeros, of what is hardly one, and single
/// elements that are anything.
fn hostile(float: Float, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let sign = 1u64 << (8 * float.bytes() - 1);
    let (_, greatest, infinite) = float.limits();
    let mut bytes = Vec::new();
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let sum: f64 = (0..4).map(|_| random.f64() - 0.5).sum();
            let weight = float.bits(0.05 * sum * f64::powi(1.7, row as i32 % 5));
            let any = random.u64(..);
            let subnormal = (any % (1 << float.limits().0)) | (any & sign);
            let bits = match row {
                0 => 0,
                1 => sign,
                2 => float.bits(0.01),
                3 => greatest | any & sign,
                4 => subnormal,
                5 => infinite + 1 + any % 60,
                6 if column % 2 == 0 => infinite | any & sign,
                7 => any,
                8 if column != 50 => 0,
                9 => float.bits(1e-6 * sum),
                10 => float.bits(3000.0 * sum),
                // What a block of others has now and then.
                _ if random.u32(..200) == 0 => match any % 7 {
                    0 => infinite | 1,
                    1 => infinite | sign | ((any >> 8) % 50),
                    2 => subnormal,
                    3 => sign,
                    4 => 0,
                    5 => greatest,
                    _ => any >> 3,
                },
                _ => weight,
            };
            bytes.extend(&bits.to_le_bytes()[..float.bytes()]);
        }
    }
    bytes
}

/// The tensors of a model of which only `matrix` is lossy.
fn tensors(float: Float, matrix: Vec<u8>) -> Vec<Tensor<'static>> {
    const SHAPE: &[u64] = &[ROWS as u64, COLUMNS as u64];
    vec![
        ("norm", "F32", &[5000], noise(1, 20_000)),
        ("i64", "I64", &[100, 50], noise(2, 40_000)),
        ("f8", "F8_E4M3", &[100, 100], noise(3, 10_000)),
        ("layers.0.mlp.up_proj.weight", float.name(), SHAPE, matrix),
        ("f8_e5m2", "F8_E5M2", &[100, 100], noise(4, 10_000)),
        ("small", "BF16", &[10, 100], weights(5, 1000)),
        ("mask", "BOOL", &[100, 100], vec![1; 10_000]),
    ]
}

/// Where the matrix lies in the file.
fn place(file: &[u8], tensors: &[Tensor<'_>]) -> std::ops::Range<usize> {
    let is_matrix = |tensor: &&Tensor<'_>| tensor.0.starts_with("layers");
    let len = tensors.iter().find(is_matrix).unwrap().3.len();
    let behind: usize = tensors
        .iter()
        .rev()
        .take_while(|tensor| !is_matrix(tensor))
        .map(|tensor| tensor.3.len())
        .sum();
    file.len() - behind - len..file.len() - behind
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Error(f64),
    Relative(f64),
    Row(f64),
    Pointwise(f64),
    /// Farthest level, numbers of a group.
    Groups(f64, usize),
}

const MODES: [Mode; 10] = [
    Mode::Error(1e-3),
    Mode::Error(1e-8),
    Mode::Error(2.5),
    Mode::Relative(1e-4),
    Mode::Row(0.01),
    Mode::Row(0.3),
    Mode::Pointwise(1e-4),
    Mode::Pointwise(0.05),
    Mode::Groups(127.0, 128),
    Mode::Groups(7.0, 32),
];

impl Mode {
    fn args(self) -> Vec<String> {
        match self {
            Self::Error(bound) => vec!["--error-bound".into(), bound.to_string()],
            Self::Relative(bound) => vec!["--relative-bound".into(), bound.to_string()],
            Self::Row(bound) => vec!["--row-bound".into(), bound.to_string()],
            Self::Pointwise(bound) => vec!["--pointwise-bound".into(), bound.to_string()],
            Self::Groups(most, group) => {
                let name = if most > 7.0 { "int8" } else { "int4" };
                let group = group.to_string();
                ["--quantize", name, "--group", &group]
                    .map(String::from)
                    .into()
            }
        }
    }

    const fn method(self) -> LossyMethod {
        match self {
            Self::Error(_) => LossyMethod::ErrorBound,
            Self::Relative(_) => LossyMethod::RelativeBound,
            Self::Row(_) => LossyMethod::RowBound,
            Self::Pointwise(_) => LossyMethod::PointwiseBound,
            Self::Groups(most, _) if most > 7.0 => LossyMethod::Int8,
            Self::Groups(..) => LossyMethod::Int4,
        }
    }

    /// The bound of each number.
    fn bounds(self, float: Float, values: &[f64]) -> Vec<f64> {
        let finite = values.iter().copied().filter(|value| value.is_finite());
        match self {
            Self::Error(bound) => vec![bound; values.len()],
            Self::Relative(share) => {
                let range =
                    finite.clone().fold(f64::MIN, f64::max) - finite.fold(f64::MAX, f64::min);
                vec![share * range; values.len()]
            }
            Self::Pointwise(share) => values.iter().map(|value| share * value.abs()).collect(),
            Self::Row(share) => per_part(values, COLUMNS, |row| {
                let greatest = greatest(row);
                let finite: Vec<_> = row.iter().filter(|value| value.is_finite()).collect();
                if greatest == 0.0 {
                    return 0.0;
                }
                let squares = finite.iter().map(|value| (*value / greatest).powi(2));
                let mean = squares.sum::<f64>() / finite.len() as f64;
                // Sums may be added in any order.
                share * mean.sqrt() * greatest * (1.0 + 1e-12)
            }),
            Self::Groups(most, group) => {
                // Half a level, and as far as the type rounds the greatest.
                let rounding = f64::powi(2.0, -float.limits().0 - 1);
                per_part(values, group, |group| {
                    let scale = greatest(group);
                    scale * (0.5 / most * (1.0 + 1e-6) + rounding)
                        + float.values(&1u64.to_le_bytes()[..float.bytes()])[0]
                })
            }
        }
    }
}

/// One number for each part of so many in a row.
fn per_part(values: &[f64], part: usize, number: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let rows = values.chunks(COLUMNS);
    let parts = rows.flat_map(|row| row.chunks(part));
    parts
        .flat_map(|part| vec![number(part); part.len()])
        .collect()
}

fn greatest(values: &[f64]) -> f64 {
    let finite = values.iter().filter(|value| value.is_finite());
    finite.fold(0.0, |most, value| value.abs().max(most))
}

/// Compares what is read with what was promised; returns how many numbers have changed.
fn check(mode: Mode, float: Float, source: &[u8], served: &[u8], record: &TensorFidelity) -> usize {
    let (values, numbers) = (float.values(source), float.values(served));
    let bounds = mode.bounds(float, &values);
    let elements = source
        .chunks(float.bytes())
        .zip(served.chunks(float.bytes()));
    let (mut changed, mut most, mut sum) = (0, 0.0f64, 0.0);
    for (place, (before, after)) in elements.enumerate() {
        if before == after {
            continue;
        }
        let (value, number) = (values[place], numbers[place]);
        let error = (number - value).abs();
        assert!(
            value.is_finite() && number.is_finite() && error <= bounds[place],
            "{mode:?} {float:?}: {value:e} at {place} is served as {number:e}, bound {:e}",
            bounds[place]
        );
        changed += 1;
        most = most.max(error);
        sum += error;
    }
    assert_eq!(record.method, mode.method());
    assert_eq!(record.elements, values.len() as u64);
    assert_eq!(
        record.exact,
        (values.len() - changed) as u64,
        "{mode:?} {float:?}"
    );
    assert_eq!(record.greatest_error, most, "{mode:?} {float:?}");
    let mean = sum / values.len() as f64;
    assert!((record.mean_error - mean).abs() <= 1e-9 * mean);
    assert!(record.root_mean_square_error >= record.mean_error * (1.0 - 1e-9));
    changed
}

fn open(archive: &str) -> ArchiveReader {
    let bytes = fs::read(archive).unwrap();
    ArchiveReader::from_storage(Box::new(Memory(bytes)), Path::new(archive)).unwrap()
}

fn pack(file: &str, archive: &str, more: &[String]) {
    let mut args: Vec<_> = ["pack", file, "-o", archive, "--force"]
        .map(String::from)
        .into();
    args.extend_from_slice(more);
    ok(args);
}

#[test]
fn every_mode_keeps_its_bound_for_every_type_and_changes_nothing_else() {
    let dir = Dir::new();
    let (archive, back) = (dir.path("m.safetensors.wfz"), dir.path("back"));
    let mut unchanged = 0;
    for (float, seed) in FLOATS.into_iter().zip(1..) {
        let tensors = tensors(float, hostile(float, seed));
        let original = safetensors(&tensors);
        let file = dir.write("m.safetensors", &original);
        let matrix = place(&original, &tensors);
        for (mode, how) in MODES.into_iter().zip(0..) {
            let mut args = mode.args();
            // Short blocks: fewer of them are not worth a grid for what is odd in them.
            let size = ["4096", "65536"][how % 2];
            let level = ["fast", "default", "max"][how % 3];
            args.extend(["--block-size", size, "--level", level].map(String::from));
            pack(&file, &archive, &args);
            ok(["verify", &archive]);
            ok(["unpack", &archive, "-o", &back, "--force"]);
            let served = fs::read(&back).unwrap();
            assert_eq!(served.len(), original.len());
            assert!(
                served[..matrix.start] == original[..matrix.start],
                "{mode:?}"
            );
            assert!(served[matrix.end..] == original[matrix.end..], "{mode:?}");
            let reader = open(&archive);
            let records = reader.fidelity().unwrap();
            if records.is_empty() {
                assert!(served == original, "{mode:?} {float:?}");
                unchanged += 1;
                continue;
            }
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].start, matrix.start as u64);
            let (before, after) = (&original[matrix.clone()], &served[matrix.clone()]);
            let changed = check(mode, float, before, after, &records[0]);
            println!(
                "{mode:?} {float:?}: {changed} numbers of {} changed",
                ROWS * COLUMNS
            );
        }
    }
    // Types that are too coarse for a bound.
    assert!(unchanged <= 7, "{unchanged}");
}

/// Without the rows that make it so: most numbers of a model like any become others.
#[test]
fn ordinary_weights_become_levels() {
    let dir = Dir::new();
    for float in FLOATS {
        let mut random = fastrand::Rng::with_seed(9);
        let weight = |_| {
            let sum: f64 = (0..4).map(|_| random.f64() - 0.5).sum();
            float.bits(0.05 * sum).to_le_bytes()
        };
        let bytes = (0..ROWS * COLUMNS).map(weight);
        let matrix = bytes
            .flat_map(|bits| bits[..float.bytes()].to_vec())
            .collect();
        let tensors = tensors(float, matrix);
        let original = safetensors(&tensors);
        let file = dir.write("m.safetensors", &original);
        let matrix = place(&original, &tensors);
        let (archive, back) = (dir.path("m.wfz"), dir.path("back"));
        for mode in MODES {
            // Far coarser than these numbers are, or finer than short types.
            let is_odd = match mode {
                Mode::Error(bound) => bound != 1e-3,
                Mode::Relative(_) => float.bytes() == 2,
                Mode::Pointwise(bound) => bound < 0.01,
                Mode::Row(_) | Mode::Groups(..) => false,
            };
            if is_odd {
                continue;
            }
            pack(&file, &archive, &mode.args());
            ok(["unpack", &archive, "-o", &back, "--force"]);
            let served = fs::read(&back).unwrap();
            let record = open(&archive).fidelity().unwrap()[0];
            let (before, after) = (&original[matrix.clone()], &served[matrix.clone()]);
            let changed = check(mode, float, before, after, &record);
            assert!(
                changed > ROWS * COLUMNS / 2,
                "{mode:?} {float:?}: {changed}"
            );
            assert!(record.stored_bytes < matrix.len() as u64 / 2 + 6000);
        }
    }
}

#[test]
fn nothing_is_lossy_without_an_option() {
    let dir = Dir::new();
    let (archive, back) = (dir.path("m.wfz"), dir.path("back"));
    for float in FLOATS {
        let original = safetensors(&tensors(float, hostile(float, 7)));
        let file = dir.write("m.safetensors", &original);
        for level in ["fast", "default", "max"] {
            pack(&file, &archive, &["--level", level].map(String::from));
            ok(["unpack", &archive, "-o", &back, "--force"]);
            assert!(fs::read(&back).unwrap() == original, "{float:?} {level}");
            let reader = open(&archive);
            assert!(reader.superblock().lossy.is_none());
            assert!(reader.fidelity().unwrap().is_empty());
        }
    }
}

#[test]
fn a_mount_shows_what_unpack_gives() {
    let place = Place::new();
    let mut served = Vec::new();
    for (float, mode) in FLOATS
        .into_iter()
        .zip([MODES[0], MODES[4], MODES[7], MODES[9]])
    {
        let original = place.root.path().join("m.safetensors");
        fs::write(&original, safetensors(&tensors(float, hostile(float, 3)))).unwrap();
        let name = format!("{}.safetensors", float.name());
        let archive = place.source.join(format!("{name}.wfz"));
        let archive = archive.to_str().unwrap();
        let mut args = mode.args();
        args.extend(["--block-size", "4096"].map(String::from));
        pack(original.to_str().unwrap(), archive, &args);
        let back = place.root.path().join("back");
        let back = back.to_str().unwrap();
        ok(["unpack", archive, "-o", back, "--force"]);
        served.push((name, fs::read(back).unwrap()));
    }
    let mount = place.mount();
    for (name, expected) in &served {
        assert!(fs::read(mount.path(name)).unwrap() == *expected, "{name}");
    }
    mount.stop();
}

#[test]
fn every_shard_of_a_directory_becomes_lossy_and_nothing_else_does() {
    let dir = Dir::new();
    let mut shards = Vec::new();
    for (number, float) in FLOATS.into_iter().enumerate() {
        let tensors = tensors(float, hostile(float, number as u64));
        let original = safetensors(&tensors);
        let name = format!("model-{number}.safetensors");
        dir.write(&format!("model/{name}"), &original);
        shards.push((name, place(&original, &tensors), original, float));
    }
    dir.write("model/config.json", b"{}");
    let blob = noise(1, 30_000);
    dir.write("model/other.bin", &blob);
    let (from, to, back) = (dir.path("model"), dir.path("packed"), dir.path("back"));
    let mode = Mode::Error(1e-3);
    pack(&from, &to, &mode.args());
    ok(["verify", &to]);
    ok(["unpack", &to, "-o", &back]);
    for (name, matrix, original, float) in shards {
        let served = fs::read(dir.path(&format!("back/{name}"))).unwrap();
        let record = open(&dir.path(&format!("packed/{name}.wfz")))
            .fidelity()
            .unwrap();
        let (before, after) = (&original[matrix.clone()], &served[matrix]);
        let changed = check(mode, float, before, after, &record[0]);
        assert!(changed > 0, "{name}");
    }
    assert!(fs::read(dir.path("back/other.bin")).unwrap() == blob);
    assert_eq!(fs::read(dir.path("back/config.json")).unwrap(), b"{}");
}

/// Steps that are too small for a type, and tensors of one number: the bound of the first makes all levels 0.
#[test]
fn bounds_that_leave_no_room_keep_every_number() {
    let dir = Dir::new();
    let shape: &[u64] = &[64, 128];
    let sparse = (0..8192).flat_map(|i| (if i % 100 == 0 { 1f32 } else { 0.0 }).to_le_bytes());
    let constant = std::iter::repeat_n(1e-6f32.to_le_bytes(), 8192).flatten();
    let original = safetensors(&[
        ("sparse", "F32", shape, sparse.collect()),
        ("constant", "F32", shape, constant.collect()),
    ]);
    let file = dir.write("m.safetensors", &original);
    let (archive, back) = (dir.path("m.wfz"), dir.path("back"));
    for (option, bound) in [
        ("--error-bound", "1e-60"),
        ("--error-bound", "1e-45"),
        ("--error-bound", "5e-324"),
        ("--relative-bound", "1e-300"),
        // A share of a range that is nothing, of the second.
        ("--relative-bound", "1e-9"),
    ] {
        pack(&file, &archive, &[option, bound].map(String::from));
        ok(["verify", &archive]);
        // Nothing of it has changed, so it is not lossy.
        assert!(
            open(&archive).superblock().lossy.is_none(),
            "{option} {bound}"
        );
        ok(["unpack", &archive, "-o", &back, "--force"]);
        let served = fs::read(&back).unwrap();
        assert!(
            served[served.len() / 2..] == original[original.len() / 2..],
            "{option} {bound}"
        );
        let far = original
            .chunks(4)
            .zip(served.chunks(4))
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(far, 0, "{option} {bound}");
    }
}

/// One may be of a type that nothing is done to.
#[test]
fn tensors_that_overlap_stay_as_they_are() {
    let dir = Dir::new();
    let bytes = hostile(Float::F32, 2);
    let half = bytes.len() / 2;
    let header = format!(
        r#"{{"a":{{"dtype":"F32","shape":[{ROWS},{COLUMNS}],"data_offsets":[0,{}]}},
            "b":{{"dtype":"I32","shape":[10,10],"data_offsets":[{half},{}]}},
            "c":{{"dtype":"F32","shape":[{ROWS},{COLUMNS}],"data_offsets":[{},{}]}}}}"#,
        bytes.len(),
        half + 400,
        bytes.len(),
        2 * bytes.len()
    );
    let original = with_header(&header, &[&bytes[..], &bytes].concat());
    let file = dir.write("m.safetensors", &original);
    let (archive, back) = (dir.path("m.wfz"), dir.path("back"));
    pack(
        &file,
        &archive,
        &["--error-bound", "0.001"].map(String::from),
    );
    ok(["unpack", &archive, "-o", &back]);
    let served = fs::read(back).unwrap();
    let last = original.len() - bytes.len();
    assert!(served[..last] == original[..last]);
    assert!(served[last..] != original[last..]);
    let found = open(&archive).fidelity().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].start, last as u64);
}

#[test]
fn rules_decide_by_name() {
    let dir = Dir::new();
    let bf16 = hostile(Float::Bf16, 3);
    let shape: &[u64] = &[ROWS as u64, COLUMNS as u64];
    let names = ["a.weight", "b.weight", "c.weight", "a.norm"];
    let tensors = names.map(|name| (name, "BF16", shape, bf16.clone()));
    let original = safetensors(&tensors);
    let file = dir.write("m.safetensors", &original);
    let rules = "\"b.*\" = \"exact\"\n\"*.weight\" = \"row-bound=0.1\"\n\"c.*\" = \"exact\"\n";
    let rules = dir.write("rules.toml", rules.as_bytes());
    let archive = dir.path("m.wfz");
    pack(&file, &archive, &["--lossy", &rules].map(String::from));
    let found = open(&archive).fidelity().unwrap();
    let data = original.len() - 4 * bf16.len();
    let expected = [data, data + 2 * bf16.len()].map(|place| place as u64);
    assert_eq!(
        found.iter().map(|record| record.start).collect::<Vec<_>>(),
        expected
    );
    for (rules, expected) in [
        ("\"*\" = 3", "in quotes"),
        ("\"*\" = \"int5\"", "no lossy setting"),
        ("\"*\" = \"error-bound=-1\"", "must be above 0"),
        ("\"[\" = \"exact\"", "no pattern"),
        ("= 3", "rules.toml"),
    ] {
        let rules = dir.write("rules.toml", rules.as_bytes());
        let (status, _, stderr) =
            run(["pack", &file, "-o", &archive, "--force", "--lossy", &rules]);
        assert!(
            status == 2 && stderr.contains(expected),
            "{status} {stderr}"
        );
    }
}

/// A matrix of BF16 and a norm.
fn small_model() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(4);
    let mut weights = |count: usize| -> Vec<u8> {
        let weight = |_| {
            let sum: f64 = (0..4).map(|_| random.f64() - 0.5).sum();
            Float::Bf16.bits(0.05 * sum).to_le_bytes()
        };
        let bytes = (0..count).map(weight);
        bytes.flat_map(|bits| bits[..2].to_vec()).collect()
    };
    safetensors(&[
        ("w.weight", "BF16", &[512, 256], weights(512 * 256)),
        ("norm.weight", "BF16", &[8192], weights(8192)),
    ])
}

#[test]
fn rules_add_nothing_to_what_becomes_lossy() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &small_model());
    let rules = dir.write("rules.toml", b"\"*\" = \"int4\"");
    let archive = dir.path("m.wfz");
    pack(&file, &archive, &["--lossy", &rules].map(String::from));
    assert_eq!(open(&archive).fidelity().unwrap().len(), 1);
    let all = ["--lossy", &rules, "--include", "*"].map(String::from);
    pack(&file, &archive, &all);
    assert_eq!(open(&archive).fidelity().unwrap().len(), 2);
}

#[test]
fn names_that_nothing_has_are_told_before_anything_is_written() {
    let dir = Dir::new();
    let file = dir.write("models/m.safetensors", &small_model());
    let models = dir.path("models");
    for (option, source, name) in [
        ("--exclude", &file, "embedings*"),
        ("--include", &file, "w"),
        ("--include", &models, "w"),
    ] {
        let to = dir.path("to");
        let (status, _, stderr) = run([
            "pack",
            source,
            "-o",
            &to,
            "--row-bound",
            "0.1",
            option,
            name,
        ]);
        let is_told = ["no tensor", option, name, "w.weight"];
        assert!(
            status == 2 && is_told.iter().all(|part| stderr.contains(part)),
            "{stderr}"
        );
        assert!(!Path::new(&to).exists());
    }
    let replace = [
        "pack",
        "--replace",
        "--discard-original",
        "--quantize",
        "int4",
        &models,
    ];
    let (status, _, stderr) = run([&replace[..], &["--exclude", "heads.*"]].concat());
    assert!(status == 2 && stderr.contains("heads.*"), "{stderr}");
    assert_eq!(fs::read(&file).unwrap(), small_model());
    // Rules may be those of many models.
    let rules = dir.write(
        "rules.toml",
        b"\"w.*\" = \"int4:64:least-squares\"\n\"q.*\" = \"int8\"",
    );
    let archive = dir.path("m.wfz");
    let (status, _, stderr) = run(["pack", &file, "-o", &archive, "--lossy", &rules]);
    assert!(status == 0 && stderr.contains("q.*"), "{stderr}");
    assert_eq!(open(&archive).fidelity().unwrap()[0].group, 64);
}

#[test]
fn a_dry_run_tells_what_becomes_of_each_file_and_tensor() {
    let dir = Dir::new();
    let model = small_model();
    for name in ["a", "b"] {
        dir.write(&format!("models/{name}.safetensors"), &model);
    }
    let models = dir.path("models");
    let dry = |more: &[&str]| -> serde_json::Value {
        let command = [&["pack", "--dry-run", "--json", &models][..], more].concat();
        serde_json::from_str(&ok(command)).unwrap()
    };
    for (options, lossy) in [
        (&[][..], 0),
        (&["--row-bound", "0.1"][..], 1),
        (&["--row-bound", "0.1", "--replace"][..], 1),
    ] {
        let told = dry(options);
        let files = told["files"].as_array().unwrap();
        assert_eq!(files.len(), 2);
        for file in files {
            assert_eq!(file["original_bytes"], model.len());
            assert_eq!(file["lossy"].as_array().unwrap().len(), lossy);
        }
        let archives = dir.path("archives");
        ok([
            &["pack", &models, "-o", &archives, "--force"][..],
            &options[..2.min(options.len())],
        ]
        .concat());
        let made = fs::metadata(dir.path("archives/a.safetensors.wfz"))
            .unwrap()
            .len() as f64;
        let expected = files[0]["expected_bytes"].as_f64().unwrap();
        assert!((made / expected - 1.0).abs() < 0.02, "{made} {expected}");
    }
    assert_eq!(fs::read_dir(&models).unwrap().count(), 2);
}

#[test]
fn what_lossy_archives_replace_is_given_up_explicitly_and_never_for_another_one() {
    let dir = Dir::new();
    let original = small_model();
    let file = dir.write("m.safetensors", &original);
    let lossy = ["pack", "--replace", "--error-bound", "1e-4", &file];
    let (status, _, stderr) = run(lossy);
    assert!(
        status == 2 && stderr.contains("--discard-original"),
        "{stderr}"
    );
    // An archive that is far coarser than what is asked for.
    ok(["pack", &file, "--quantize", "int4"]);
    let (status, _, stderr) = run([&lossy[..], &["--discard-original"]].concat());
    assert!(
        status == 2 && stderr.contains("is there already"),
        "{stderr}"
    );
    assert_eq!(fs::read(&file).unwrap(), original);
    fs::remove_file(dir.path("m.safetensors.wfz")).unwrap();
    ok([&lossy[..], &["--discard-original"]].concat());
    assert!(!Path::new(&file).exists());
    let record = open(&dir.path("m.safetensors.wfz")).fidelity().unwrap()[0];
    assert!(record.greatest_error <= 1e-4);
}

#[test]
fn sizes_and_bits_that_are_asked_for_are_reached() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &small_model());
    let archive = dir.path("m.wfz");
    for grid in ["absolute", "row"] {
        for bits in [3.0, 5.0] {
            let more = ["--bits", &format!("{bits}"), "--grid", grid].map(String::from);
            pack(&file, &archive, &more);
            let record = open(&archive).fidelity().unwrap()[0];
            let found = record.stored_bytes as f64 * 8.0 / record.elements as f64;
            assert!((found - bits).abs() < 0.05, "{grid} {bits}: {found}");
        }
        for size in [60_000u64, 100_000] {
            let more = ["--target-size", &size.to_string(), "--grid", grid].map(String::from);
            pack(&file, &archive, &more);
            let found = fs::metadata(&archive).unwrap().len();
            assert!(
                found <= size && found > size * 9 / 10,
                "{grid} {size}: {found}"
            );
        }
    }
    // Nothing but zeros: any bound will do, and none changes anything.
    let zeros = safetensors(&[("w", "F32", &[128, 128], vec![0; 1 << 16])]);
    let file = dir.write("zeros.safetensors", &zeros);
    pack(&file, &archive, &["--bits", "64"].map(String::from));
    assert!(open(&archive).superblock().lossy.is_none());
    let (status, _, stderr) = run(["pack", &file, "-o", &archive, "--grid", "row"]);
    assert!(status == 2 && stderr.contains("--bits"), "{stderr}");
}

/// Golden archives of lossy models: every grid for every type it is for, levels of every width, exceptions, and
/// blocks that start within a row.
#[test]
fn golden_archives_have_every_grid() {
    let path = |name: &str| format!("{}/tests/golden/{name}.wfz", env!("CARGO_MANIFEST_DIR"));
    for (name, source, tensors) in [
        (
            "v1-lossy.safetensors",
            "329fe37e28ed686c260a6f9263851b7d1465724fa9f356761d630e9413258e1e",
            20,
        ),
        (
            "v1-spread.safetensors",
            "3adeccc17e49945533a7dcb7b1ca28cb7cd805d00d3084c12b6f544e2ac18604",
            6,
        ),
    ] {
        let reader = open(&path(name));
        let lossy = reader.superblock().lossy.unwrap();
        let sum: String = lossy
            .source_sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(sum, source);
        let records = reader.fidelity().unwrap();
        assert_eq!(records.len(), tensors);
        assert!(records.iter().all(|record| record.greatest_error > 0.0));
    }
    let reader = open(&path("v1-lossy.safetensors"));
    let mut grids = BTreeSet::new();
    let mut widths = BTreeSet::new();
    let (mut exceptions, mut cut_rows) = (0, 0);
    for block in 0..reader.geometry().block_count() {
        let header = reader.block_header(block).unwrap();
        let Some(grid) = header.grid else {
            continue;
        };
        grids.insert((grid.kind.code(), grid.element.code()));
        widths.extend(
            header
                .planes()
                .last()
                .map(|plane| plane.shift + plane.width),
        );
        exceptions += grid.exceptions;
        cut_rows += u32::from(grid.parts.first_column > 0);
    }
    let (short, long) = (
        [ElementType::F16, ElementType::Bf16],
        [ElementType::F32, ElementType::F64],
    );
    let kinds = [
        (GridKind::Uniform, &long[..]),
        (GridKind::Cover, &short),
        (GridKind::PointwiseCover, &short),
        (GridKind::Logarithmic, &long),
        (GridKind::Groups, &short),
        (GridKind::Groups, &long),
        (GridKind::UniformRows, &long),
        (GridKind::CoverRows, &short),
    ];
    let all = kinds
        .iter()
        .flat_map(|(kind, elements)| elements.iter().map(|element| (kind.code(), element.code())));
    assert_eq!(grids, all.collect());
    assert_eq!(widths, BTreeSet::from([8, 16, 24]));
    assert!(exceptions > 100 && cut_rows > 10, "{exceptions} {cut_rows}");
}
