//! Archives that rest on others, from the command line and through a mount: they come back byte for byte, nobody loses a
//! base by accident, and what is missing is told.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod support;

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Dir, Mount, Place, Tensor, json, noise, ok, run, safetensors, weights};
use weightfs::archive::ArchiveReader;
use weightfs::format::pin_path;

/// Numbers of BF16 of which every third is a place or two from that of the base.
fn tuned(base: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let moved = base.as_chunks().0.iter().map(|&number| {
        let number = u16::from_le_bytes(number);
        let places = if rng.u8(..3) == 0 { rng.u16(..3) } else { 0 };
        number.wrapping_add(places).to_le_bytes()
    });
    moved.flatten().collect()
}

/// A model of matrices of 128 columns, by their names.
fn model(tensors: &[(&str, &[u8])]) -> Vec<u8> {
    let shapes: Vec<_> = tensors
        .iter()
        .map(|(_, bytes)| [bytes.len() as u64 / 256, 128])
        .collect();
    let tensors: Vec<_> = tensors
        .iter()
        .zip(&shapes)
        .map(|((name, bytes), shape)| -> Tensor<'_> { (name, "BF16", shape, bytes.to_vec()) })
        .collect();
    safetensors(&tensors)
}

/// A base of three matrices.
fn matrices() -> [Vec<u8>; 3] {
    [1, 2, 3].map(|seed| weights(seed, 300_000 / 128 * 128))
}

fn base_and_tuned() -> (Vec<u8>, Vec<u8>) {
    let base = matrices();
    let own = [tuned(&base[0], 10), base[1].clone(), tuned(&base[2], 11)];
    let names = ["a.weight", "b.weight", "c.weight"];
    let named = |bytes: &[Vec<u8>; 3]| -> Vec<u8> {
        model(&[
            (names[0], &bytes[0]),
            (names[1], &bytes[1]),
            (names[2], &bytes[2]),
        ])
    };
    (named(&base), named(&own))
}

/// The same in files of a directory: bytes and paths of both.
fn family_in(dir: &Dir, below: &str) -> ([Vec<u8>; 2], [String; 2]) {
    let (base, own) = base_and_tuned();
    let paths = [("base", &base), ("own", &own)]
        .map(|(name, bytes)| dir.write(&format!("{below}{name}.safetensors"), bytes));
    ([base, own], paths)
}

/// Has the archive of a model beside that of its base, which is there, take the model's place. The archives of both.
fn pack_beside(base: &Path, own: &Path) -> [String; 2] {
    let archives = [base, own].map(|path| format!("{}.wfz", path.display()));
    let own = own.to_str().unwrap();
    ok(["pack", "--replace", own, "--base", &archives[0]]);
    archives
}

/// Blocks of an archive that rest on something.
fn resting(archive: &Path) -> u64 {
    let reader = ArchiveReader::open(archive).unwrap();
    let blocks = 0..reader.geometry().block_count();
    let rests = |&block: &u64| reader.reference(block).unwrap().is_some();
    blocks.filter(rests).count() as u64
}

#[test]
fn a_fine_tune_comes_back_byte_for_byte_at_every_level() {
    let dir = Dir::new();
    let ([_, own], [base_path, own_path]) = family_in(&dir, "");
    ok(["pack", &base_path]);
    for level in ["fast", "default", "max"] {
        let archive = dir.path(&format!("{level}.wfz"));
        let base_archive = format!("{base_path}.wfz");
        let options = ["--level", level, "--json", "-o", &archive];
        let told = ok(["pack", &own_path, "--base", &base_archive]
            .iter()
            .chain(&options));
        let stored = json(&told)["stored_bytes"].as_u64().unwrap();
        assert!(stored * 5 < own.len() as u64, "{level}: {stored}");
        assert!(resting(Path::new(&archive)) > 0);
        ok(["verify", "--deep", &archive]);
        let back = dir.path(&format!("{level}.back"));
        ok(["unpack", &archive, "-o", &back]);
        assert!(fs::read(back).unwrap() == own, "{level}");
    }
}

#[test]
fn tensors_are_found_whatever_became_of_names_order_and_rows() {
    let [a, b, c] = matrices();
    let rows = |bytes: &[u8], count: usize| bytes[..count * 256].to_vec();
    let base = model(&[("x.a", &a), ("x.b", &b), ("x.c", &c)]);
    let (head, more) = (weights(9, 128 * 500), weights(8, 128 * 100));
    let longer = [tuned(&a, 4), more].concat();
    let cases: [(&str, Vec<u8>); 6] = [
        (
            "renamed",
            model(&[("y.z.a", &tuned(&a, 1)), ("y.z.b", &tuned(&b, 2))]),
        ),
        (
            "another order",
            model(&[("x.c", &tuned(&c, 1)), ("x.a", &a), ("x.b", &b)]),
        ),
        (
            "a head",
            model(&[
                ("head", &head),
                ("x.a", &tuned(&a, 1)),
                ("x.b", &b),
                ("x.c", &c),
            ]),
        ),
        (
            "fewer rows",
            model(&[("x.a", &rows(&a, 2000)), ("x.b", &tuned(&b, 3))]),
        ),
        ("more rows", model(&[("x.a", &longer), ("x.b", &b)])),
        ("some only", model(&[("x.c", &c)])),
    ];
    let dir = Dir::new();
    let base_path = dir.write("base.safetensors", &base);
    for (what, own) in cases {
        let own_path = dir.write("own.safetensors", &own);
        let archive = dir.path("own.wfz");
        ok([
            "pack", &own_path, "--base", &base_path, "--force", "-o", &archive,
        ]);
        let stored = fs::metadata(&archive).unwrap().len();
        let alone = dir.path("alone.wfz");
        ok(["pack", &own_path, "--force", "-o", &alone]);
        let alone = fs::metadata(&alone).unwrap().len();
        assert!(stored * 2 < alone, "{what}: {stored} of {alone}");
        ok(["unpack", &archive, "--force", "-o", &dir.path("back")]);
        assert!(fs::read(dir.path("back")).unwrap() == own, "{what}");
    }
}

#[test]
fn numbers_may_rest_on_longer_ones_that_are_rounded() {
    let mut rng = fastrand::Rng::with_seed(1);
    let values: Vec<f32> = (0..256 * 2000).map(|_| (rng.f32() - 0.5) * 0.1).collect();
    let wide: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let bf16 = |value: &f32| half::bf16::from_f32(*value).to_le_bytes();
    let f16 = |value: &f32| half::f16::from_f32(*value).to_le_bytes();
    let of = |dtype: &str, bytes: &[u8]| safetensors(&[("a", dtype, &[2000, 256], bytes.to_vec())]);
    let dir = Dir::new();
    let base = dir.write("base.safetensors", &of("F32", &wide));
    for (dtype, own) in [
        ("BF16", values.iter().flat_map(bf16).collect::<Vec<_>>()),
        ("F16", values.iter().flat_map(f16).collect()),
    ] {
        let own = of(dtype, &own);
        let own_path = dir.write("own.safetensors", &own);
        let archive = dir.path("own.wfz");
        ok([
            "pack", &own_path, "--base", &base, "--force", "-o", &archive,
        ]);
        let stored = fs::metadata(&archive).unwrap().len();
        assert!(stored * 50 < own.len() as u64, "{dtype}: {stored}");
        ok(["unpack", &archive, "--force", "-o", &dir.path("back")]);
        assert!(fs::read(dir.path("back")).unwrap() == own, "{dtype}");
    }
}

#[test]
fn what_is_not_like_the_base_stands_for_itself() {
    let dir = Dir::new();
    let (base, _) = base_and_tuned();
    let other = model(&[("a.weight", &weights(77, 300_032))]);
    let base_path = dir.write("base.safetensors", &base);
    let other_path = dir.write("other.safetensors", &other);
    let (_, _, told) = run(["pack", &other_path, "--base", &base_path]);
    assert!(told.contains("stand for itself"), "{told}");
    let reader = ArchiveReader::open(Path::new(&format!("{other_path}.wfz"))).unwrap();
    assert!(reader.superblock().bases.is_none());
    let text = dir.write("text.txt", &noise(1, 5000));
    let (status, _, told) = run(["pack", &other_path, "--force", "--base", &text]);
    assert_eq!(status, 2);
    assert!(told.contains("no model"), "{told}");
}

#[test]
fn a_base_is_kept_whatever_becomes_of_its_name() {
    let dir = Dir::new();
    let ([_, own], [base_path, own_path]) = family_in(&dir, "");
    let base_archive = format!("{base_path}.wfz");
    ok(["pack", &base_path]);
    ok(["pack", &own_path, "--base", &base_archive]);
    let archive = format!("{own_path}.wfz");
    let sha256 = ArchiveReader::open(Path::new(&base_archive))
        .unwrap()
        .superblock()
        .sha256;
    assert!(Path::new(&dir.path("")).join(pin_path(&sha256)).exists());
    // Replaced by another model, then gone.
    ok(["pack", &own_path, "--force", "-o", &base_archive]);
    ok(["verify", &archive]);
    fs::remove_file(&base_archive).unwrap();
    fs::remove_file(&base_path).unwrap();
    ok(["verify", "--deep", &archive]);
    // One that is packed against a dependent rests on its base.
    let third = dir.write("third.safetensors", &own);
    ok(["pack", &third, "--base", &archive]);
    let records = ArchiveReader::open(Path::new(&format!("{third}.wfz")))
        .unwrap()
        .base_records();
    assert_eq!(records.unwrap()[0].sha256, sha256);
    // Unpacked in place, the pin stays as it is.
    ok(["unpack", "--replace", &dir.path("")]);
    assert!(fs::read(&third).unwrap() == own);
    assert!(Path::new(&dir.path("")).join(pin_path(&sha256)).exists());
}

#[test]
fn without_its_base_only_what_rests_on_it_is_missing() {
    let place = Place::new();
    let (base, _) = base_and_tuned();
    let [a, ..] = matrices();
    let head = weights(99, 128 * 9000);
    let own = model(&[("a.weight", &tuned(&a, 1)), ("head", &head)]);
    let base_path = place.root.path().join("bases/base.safetensors");
    fs::create_dir(base_path.parent().unwrap()).unwrap();
    fs::write(&base_path, &base).unwrap();
    let own_path = place.write("own.safetensors", &own);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    ok(["pack", &text(&base_path)]);
    let [base_archive, archive] = pack_beside(&base_path, &own_path);
    let sha256 = ArchiveReader::open(Path::new(&base_archive))
        .unwrap()
        .superblock()
        .sha256;
    let pin = own_path.with_file_name("").join(pin_path(&sha256));
    let kept = own_path.with_file_name("kept");
    fs::rename(&pin, &kept).unwrap();
    let (status, _, told) = run(["verify", &archive]);
    assert_eq!(status, 2, "{told}");
    let problem = || {
        let (_, out, _) = run(["verify", &archive, "--json"]);
        json(&out)["archives"][0]["problems"][0]["what"].to_string()
    };
    let missing = problem();
    assert!(
        missing.contains("base.safetensors") && missing.contains("--bases DIR"),
        "{missing}"
    );
    // One that is there and cannot be opened is told as well.
    symlink(&pin, &pin).unwrap();
    let (pin_name, unreadable) = (text(&pin), problem());
    assert!(unreadable.contains(&pin_name), "{unreadable}");
    fs::remove_file(&pin).unwrap();
    let bases = base_path.with_file_name("");
    ok(["verify", &archive, "--bases", &text(&bases)]);
    let (status, _, told) = run([
        "unpack",
        &archive,
        "-o",
        &text(&place.root.path().join("x")),
    ]);
    assert_eq!(status, 2, "{told}");
    assert!(!place.root.path().join("x").exists());

    let mounted = place.mount();
    let read = || fs::read(mounted.path("own.safetensors"));
    assert_eq!(read().unwrap_err().raw_os_error(), Some(5));
    // The head stands for itself.
    let file = fs::File::open(mounted.path("own.safetensors")).unwrap();
    let (mut part, at) = ([0; 100], own.len() - (1 << 20));
    file.read_exact_at(&mut part, at as u64).unwrap();
    assert!(part == own[at..at + 100]);
    // It comes back.
    fs::rename(&kept, &pin).unwrap();
    assert!(read().unwrap() == own);
    assert!(!mounted.path(".weightfs").exists());
    assert!(
        fs::read_dir(mounted.path(""))
            .unwrap()
            .all(|entry| entry.unwrap().file_name() != ".weightfs")
    );
    drop(file);
    mounted.stop();
    fs::remove_file(&pin).unwrap();
    let bases = ["--bases", &text(&bases)];
    let limit = Duration::from_secs(60);
    let mounted = Mount::with(&place.source, &place.mountpoint, &bases, limit);
    assert!(fs::read(mounted.path("own.safetensors")).unwrap() == own);
    mounted.stop();
}

#[test]
fn of_a_directory_each_model_rests_on_what_is_like_it() {
    let dir = Dir::new();
    let [a, b, c] = matrices();
    let other = model(&[
        ("a.weight", &weights(50, 300_032)),
        ("q", &weights(51, 300_032)),
    ]);
    dir.write(
        "in/1/base.safetensors",
        &model(&[("a", &a), ("b", &b), ("c", &c)]),
    );
    dir.write(
        "in/2/tuned.safetensors",
        &model(&[("a", &tuned(&a, 1)), ("b", &b), ("c", &c)]),
    );
    dir.write("in/3/other.safetensors", &other);
    dir.write("in/3/copy.safetensors", &other);
    let (from, to) = (dir.path("in"), dir.path("out"));
    let told = json(&ok(["pack", &from, "--base", "auto", "-o", &to, "--json"]));
    let stored = told["stored_bytes"].as_u64().unwrap();
    let original = told["original_bytes"].as_u64().unwrap();
    assert!(stored * 5 < original * 2, "{stored} of {original}");
    let bases = |name: &str| {
        let reader = ArchiveReader::open(Path::new(&dir.path(name))).unwrap();
        reader.base_records().unwrap()
    };
    assert!(bases("out/1/base.safetensors.wfz").is_empty());
    assert_eq!(
        bases("out/2/tuned.safetensors.wfz")[0].name,
        "../1/base.safetensors"
    );
    ok(["verify", "--deep", &to]);
    ok(["unpack", &to, "-o", &dir.path("back")]);
    for name in ["1/base", "2/tuned", "3/other", "3/copy"] {
        let read = |root: &str| fs::read(dir.path(&format!("{root}/{name}.safetensors"))).unwrap();
        assert!(read("in") == read("back"), "{name}");
    }
    assert!(!Path::new(&dir.path("back/.weightfs")).exists());
}

#[test]
fn relations_are_told_and_pins_go_when_nobody_needs_them() {
    let dir = Dir::new();
    let ([_, own], [base_path, own_path]) = family_in(&dir, "in/");
    let (base_archive, archive) = (dir.path("s/base.wfz"), dir.path("s/sub/own.wfz"));
    fs::create_dir_all(dir.path("s/sub")).unwrap();
    ok(["pack", &base_path, "-o", &base_archive]);
    ok(["pack", &own_path, "--base", &base_archive, "-o", &archive]);
    let store = dir.path("s");
    let told = json(&ok(["family", &store, "--json"]));
    let one = |name: &str| {
        let archives = told["archives"].as_array().unwrap();
        let found = archives
            .iter()
            .find(|one| one["path"].as_str().unwrap().ends_with(name));
        found.unwrap().clone()
    };
    assert!(one("own.wfz")["saved_bytes"].as_i64().unwrap() > 1_000_000);
    assert_eq!(
        one("own.wfz")["bases"][0]["sha256"],
        one("base.wfz")["sha256"]
    );
    assert_eq!(told["pins"].as_array().unwrap().len(), 1);
    assert!(ok(["family", &store]).contains("saves about"));
    // Needed.
    let removed = |told: &str| json(told)["removed"].as_array().unwrap().len();
    assert_eq!(removed(&ok(["gc", &store, "--json"])), 0);
    // The copy rests on nothing, and is the same.
    let out = dir.path("out.wfz");
    ok(["export", &archive, "-o", &out]);
    ok(["unpack", &out, "-o", &dir.path("back")]);
    assert!(fs::read(dir.path("back")).unwrap() == own);
    assert!(
        ArchiveReader::open(Path::new(&out))
            .unwrap()
            .superblock()
            .bases
            .is_none()
    );
    // Without a base there is nothing to detach from; with it there is.
    fs::rename(dir.path("s/sub/.weightfs"), dir.path("aside")).unwrap();
    let (status, out, _) = run(["family", &store]);
    assert!(status == 1 && out.contains("missing: "), "{out}");
    assert_eq!(run(["pack", "--detach", &archive]).0, 2);
    fs::rename(dir.path("aside"), dir.path("s/sub/.weightfs")).unwrap();
    ok(["pack", "--detach", &archive]);
    ok(["verify", "--deep", &archive]);
    assert_eq!(removed(&ok(["gc", &store, "--dry-run", "--json"])), 1);
    assert!(Path::new(&dir.path("s/sub/.weightfs")).exists());
    assert_eq!(removed(&ok(["gc", &store, "--json"])), 1);
    assert!(!Path::new(&dir.path("s/sub/.weightfs")).exists());
}

#[test]
fn what_cannot_be_read_may_rest_on_any_pin() {
    let dir = Dir::new();
    let (_, [base_path, own_path]) = family_in(&dir, "");
    ok(["pack", &own_path, "--base", &base_path]);
    let archive = format!("{own_path}.wfz");
    let mut bytes = fs::read(&archive).unwrap();
    let end = bytes.len() - 256;
    // Both superblocks are damaged.
    (bytes[30], bytes[end + 30]) = (0xFF, 0xFF);
    fs::write(&archive, bytes).unwrap();
    let (status, out, told) = run(["gc", &dir.path(""), "--json"]);
    assert!(status == 2 && told.contains("its pins stay"), "{told}");
    assert_eq!(json(&out)["removed"].as_array().unwrap().len(), 0);
}

#[test]
fn equal_tensors_are_stored_once() {
    let dir = Dir::new();
    let [a, b, c] = matrices();
    let shared = [a.clone(), b.clone()].concat();
    let models = [
        (
            "1",
            model(&[("encoder.a", &a), ("encoder.b", &b), ("own", &c)]),
        ),
        (
            "2",
            model(&[
                ("text.x", &a),
                ("text.y", &b),
                ("own", &weights(40, 300_032)),
            ]),
        ),
        ("3", model(&[("a", &a), ("b", &b)])),
        ("4", model(&[("alone", &weights(41, 300_032))])),
    ];
    let mut before = 0;
    for (name, bytes) in &models {
        let path = dir.write(&format!("{name}.safetensors"), bytes);
        ok(["pack", "--replace", &path]);
        before += fs::metadata(format!("{path}.wfz")).unwrap().len();
    }
    let root = dir.path("");
    let planned = json(&ok(["dedup", &root, "--dry-run", "--json"]));
    assert_eq!(planned["archives"].as_array().unwrap().len(), 2);
    assert_eq!(
        planned["shared_bytes"].as_u64().unwrap(),
        2 * shared.len() as u64
    );
    let done = json(&ok(["dedup", &root, "--json"]));
    assert!(
        done["stored_after"].as_u64().unwrap() * 3 < done["stored_before"].as_u64().unwrap() * 2
    );
    let after: u64 = models
        .iter()
        .map(|(name, _)| {
            fs::metadata(dir.path(&format!("{name}.safetensors.wfz")))
                .unwrap()
                .len()
        })
        .sum();
    assert!(after * 4 < before * 3, "{after} of {before}");
    ok(["verify", "--deep", &root]);
    // Nobody rests on what rests itself, and a second time nothing is left to do.
    let again = json(&ok(["dedup", &root, "--json"]));
    assert_eq!(again["archives"].as_array().unwrap().len(), 0);
    ok([
        "unpack",
        &root,
        "-o",
        &dir.path("../back-of-equal"),
        "--force",
    ]);
    for (name, bytes) in &models {
        let back = dir.path(&format!("../back-of-equal/{name}.safetensors"));
        assert!(fs::read(back).unwrap() == *bytes, "{name}");
    }
    fs::remove_dir_all(dir.path("../back-of-equal")).unwrap();
}

/// Whoever makes an archive learns by its checksums what lies in its base.
#[test]
fn nobody_reads_a_base_by_an_archive_of_his_own() {
    assert!(rustix::process::geteuid().is_root(), "needs root");
    let place = Place::new();
    let (base, own) = base_and_tuned();
    let base_path = place.root.path().join("base.safetensors");
    fs::write(&base_path, &base).unwrap();
    let own_path = place.write("own.safetensors", &own);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    ok([
        "pack",
        "--replace",
        &text(&own_path),
        "--base",
        &text(&base_path),
    ]);
    let archive = format!("{}.wfz", text(&own_path));
    let sha256 = ArchiveReader::open(Path::new(&archive))
        .unwrap()
        .base_records()
        .unwrap()[0]
        .sha256;
    let pin = place.source.join(pin_path(&sha256));
    let limit = Duration::from_secs(60);
    // Owner of the archive, mode of the base, and whether the archive is read.
    for (owner, mode, is_read) in [
        (0, 0o600, true),
        (12_345, 0o600, false),
        (12_345, 0o644, true),
    ] {
        chown(&archive, Some(owner), None).unwrap();
        fs::set_permissions(&pin, fs::Permissions::from_mode(mode)).unwrap();
        let mounted = Mount::with(&place.source, &place.mountpoint, &["--allow-other"], limit);
        let read = fs::read(mounted.path("own.safetensors"));
        assert_eq!(
            read.is_ok_and(|bytes| bytes == own),
            is_read,
            "{owner} {mode:o}"
        );
        mounted.stop();
    }
}

#[test]
fn what_is_kept_is_the_file_and_not_a_link_to_it() {
    let dir = Dir::new();
    let (_, [base_path, own_path]) = family_in(&dir, "");
    fs::create_dir_all(dir.path("s/blobs")).unwrap();
    let blob = dir.path("s/blobs/x.wfz");
    ok(["pack", &base_path, "-o", &blob]);
    symlink("blobs/x.wfz", dir.path("s/base.wfz")).unwrap();
    fs::create_dir(dir.path("s/t")).unwrap();
    let archive = dir.path("s/t/own.wfz");
    ok([
        "pack",
        &own_path,
        "-o",
        &archive,
        "--base",
        &dir.path("s/base.wfz"),
    ]);
    fs::remove_file(blob).unwrap();
    ok(["verify", "--deep", &archive]);
}

#[test]
fn a_pin_that_is_damaged_is_made_anew() {
    let dir = Dir::new();
    let (_, [base_path, own_path]) = family_in(&dir, "");
    // Of an archive, and of a plain file.
    for kind in ["archive", "plain"] {
        let base_archive = dir.path(&format!("{kind}.wfz"));
        ok(["pack", &base_path, "-o", &base_archive]);
        let named = if kind == "archive" {
            &base_archive
        } else {
            &base_path
        };
        fs::create_dir(dir.path(kind)).unwrap();
        let to = |name: &str| dir.path(&format!("{kind}/{name}.wfz"));
        ok(["pack", &own_path, "--base", named, "-o", &to("1")]);
        let sha256 = ArchiveReader::open(Path::new(&base_archive))
            .unwrap()
            .superblock()
            .sha256;
        let pin = Path::new(&dir.path(kind)).join(pin_path(&sha256));
        // A copy, so that the base itself stays whole.
        let mut bytes = fs::read(&pin).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(&pin).unwrap();
        fs::write(&pin, bytes).unwrap();
        assert_eq!(run(["verify", &to("1")]).0, 1);
        ok(["pack", &own_path, "--base", named, "-o", &to("2")]);
        fs::remove_file(&base_archive).unwrap();
        ok(["verify", "--deep", &to("1"), &to("2")]);
    }
}

#[test]
fn a_directory_is_unpacked_whichever_name_of_a_base_comes_first() {
    let dir = Dir::new();
    let ([base, own], [base_path, own_path]) = family_in(&dir, "");
    fs::create_dir_all(dir.path("s/a")).unwrap();
    fs::create_dir_all(dir.path("s/b")).unwrap();
    let base_archive = dir.path("s/b/base.wfz");
    ok(["pack", &base_path, "-o", &base_archive]);
    ok([
        "pack",
        &own_path,
        "-o",
        &dir.path("s/a/own.wfz"),
        "--base",
        &base_archive,
    ]);
    let told = json(&ok(["family", &dir.path("s"), "--json"]));
    assert_eq!(told["archives"].as_array().unwrap().len(), 2);
    ok(["unpack", &dir.path("s"), "-o", &dir.path("back")]);
    assert!(fs::read(dir.path("back/b/base")).unwrap() == base);
    assert!(fs::read(dir.path("back/a/own")).unwrap() == own);
}

#[test]
fn a_family_is_packed_in_place_beside_one_of_its_own() {
    let dir = Dir::new();
    let (base, own) = base_and_tuned();
    let base_path = dir.write("m/base/model.safetensors", &base);
    dir.write("m/own/model.safetensors", &own);
    let root = dir.path("m");
    ok(["pack", "--replace", &root, "--base", &base_path]);
    let bases = |name: &str| {
        let path = dir.path(&format!("m/{name}/model.safetensors.wfz"));
        ArchiveReader::open(Path::new(&path))
            .unwrap()
            .base_records()
            .unwrap()
            .len()
    };
    assert_eq!((bases("base"), bases("own")), (0, 1));
    ok(["verify", "--deep", &root]);
    ok(["unpack", "--replace", &root]);
    assert!(fs::read(&base_path).unwrap() == base);
    assert!(fs::read(dir.path("m/own/model.safetensors")).unwrap() == own);
}

#[test]
fn archives_of_several_names_are_not_packed_anew() {
    let dir = Dir::new();
    let [a, b, c] = matrices();
    for (name, own) in [("1", &b), ("2", &c)] {
        let path = dir.write(
            &format!("s/{name}.safetensors"),
            &model(&[("a", &a), ("own", own)]),
        );
        ok(["pack", "--replace", &path]);
    }
    let path = |name: &str| dir.path(&format!("s/{name}.wfz"));
    for name in ["1", "2"] {
        fs::hard_link(path(&format!("{name}.safetensors")), path(name)).unwrap();
    }
    let (status, out, told) = run(["dedup", &dir.path("s"), "--json"]);
    assert!(status == 0 && told.contains("has other names"), "{told}");
    assert_eq!(json(&out)["archives"].as_array().unwrap().len(), 0);
}

#[test]
fn what_a_base_would_give_is_told_beforehand() {
    let dir = Dir::new();
    let ([base, _], [base_path, own_path]) = family_in(&dir, "");
    let found = json(&ok(["analyze", &own_path, "--base", &base_path, "--json"]));
    let expected = found["beside_base"]["ratio"].as_f64().unwrap();
    let packed = json(&ok(["pack", &own_path, "--base", &base_path, "--json"]));
    let ratio = packed["ratio"].as_f64().unwrap();
    assert!(
        (0.8..1.25).contains(&(expected / ratio)),
        "{expected} of {ratio}"
    );
    assert!(ok(["analyze", &own_path, "--base", &base_path]).contains("beside "));
    // Nor is a base packed over.
    let (status, _, told) = run([
        "pack", &own_path, "--force", "--base", &base_path, "-o", &base_path,
    ]);
    assert!(
        status == 2 && told.contains("is the file that is read"),
        "{told}"
    );
    assert!(fs::read(&base_path).unwrap() == base);
}

/// Of a directory that a base is kept in, as a killed job or a damaged disk leaves it.
#[test]
fn damaged_pins_and_what_killed_jobs_left_go_when_nobody_needs_them() {
    let dir = Dir::new();
    let (_, [base_path, own_path]) = family_in(&dir, "in/");
    fs::create_dir(dir.path("s")).unwrap();
    let archive = dir.path("s/own.wfz");
    ok(["pack", &own_path, "--base", &base_path, "-o", &archive]);
    let pins = dir.path("s/.weightfs/bases");
    let pin = format!("{pins}/{}", dir.names("s/.weightfs/bases")[0]);
    let whole = fs::read(&pin).unwrap();
    let removed = || {
        let told = json(&ok(["gc", &dir.path("s"), "--json"]));
        told["removed"].as_array().unwrap().len()
    };
    let unfinished = format!("{pins}/.abcdef.wfz-tmp");
    for damaged in [Vec::new(), vec![0; 4096], whole[..whole.len() / 2].to_vec()] {
        // Needed, it stays: somebody may mend it.
        fs::write(&pin, &damaged).unwrap();
        fs::write(&unfinished, &whole).unwrap();
        assert_eq!(removed(), 0);
        assert!(fs::read(&pin).unwrap() == damaged && !Path::new(&unfinished).exists());
        fs::rename(&archive, dir.path("aside")).unwrap();
        assert_eq!(removed(), 1);
        assert!(!Path::new(&dir.path("s/.weightfs")).exists());
        // Nothing but what is unfinished, and not even that.
        for bytes in [Some(&whole), None] {
            fs::create_dir_all(&pins).unwrap();
            bytes.inspect(|bytes| fs::write(&unfinished, bytes).unwrap());
            assert_eq!(removed(), 0);
            assert!(!Path::new(&dir.path("s/.weightfs")).exists());
        }
        fs::create_dir_all(&pins).unwrap();
        fs::rename(dir.path("aside"), &archive).unwrap();
    }
}

#[test]
fn a_base_that_is_cut_off_stands_in_no_other_ones_way() {
    let place = Place::new();
    let (base, own) = base_and_tuned();
    let base_path = place.write("base.safetensors", &base);
    let own_path = place.write("own.safetensors", &own);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    ok(["pack", "--replace", &text(&base_path)]);
    let [base_archive, archive] = pack_beside(&base_path, &own_path);
    let record = ArchiveReader::open(Path::new(&archive))
        .unwrap()
        .base_records()
        .unwrap()[0]
        .clone();
    let pin = place.source.join(pin_path(&record.sha256));
    let bytes = fs::read(&pin).unwrap();
    fs::remove_file(&pin).unwrap();
    fs::write(&pin, &bytes[..bytes.len() / 2]).unwrap();
    // By its last name.
    ok(["verify", "--deep", &archive]);
    let mounted = place.mount();
    assert!(fs::read(mounted.path("own.safetensors")).unwrap() == own);
    mounted.stop();
    // And where somebody says that it is.
    let elsewhere = place.root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(&base_archive, elsewhere.join("x.wfz")).unwrap();
    let (status, _, told) = run(["verify", &archive]);
    assert!(status == 2 && told.contains("is not there"), "{told}");
    ok(["verify", "--deep", &archive, "--bases", &text(&elsewhere)]);
}

/// A directory that is packed into an empty one, and fails; meanwhile somebody has made a dependent there.
#[test]
fn what_fails_takes_no_pins_of_others_with_it() {
    let dir = Dir::new();
    let (base, own) = base_and_tuned();
    let base_path = dir.write("base.safetensors", &base);
    let own_path = dir.write("in/own.safetensors", &own);
    fs::create_dir(dir.path("s")).unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&own_path)
        .unwrap();
    let slow = Command::new("strace")
        .args([
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "inject=fsync:delay_enter=300000",
        ])
        .args([
            env!("CARGO_BIN_EXE_weightfs"),
            "pack",
            &dir.path("in"),
            "--base",
            &base_path,
        ])
        .args(["-o", &dir.path("s")])
        .stderr(Stdio::null())
        .spawn();
    let mut slow = slow.expect("strace is installed (Debian: apt install strace)");
    let pins = dir.path("s/.weightfs/bases");
    while !Path::new(&pins).exists() {
        assert!(slow.try_wait().unwrap().is_none(), "it is done already");
        std::thread::sleep(Duration::from_millis(1));
    }
    let archive = dir.path("s/mine.wfz");
    let copy = dir.write("own.safetensors", &own);
    ok(["pack", &copy, "--base", &base_path, "-o", &archive]);
    // Now the first one fails.
    file.write_all_at(b"x", 100).unwrap();
    assert!(!slow.wait().unwrap().success());
    ok(["verify", "--deep", &archive]);
}

#[test]
fn what_was_found_and_is_damaged_is_no_base() {
    let dir = Dir::new();
    let (_, [base_path, own_path]) = family_in(&dir, "");
    let base_archive = dir.path("s/base.wfz");
    fs::create_dir(dir.path("s")).unwrap();
    ok(["pack", &base_path, "-o", &base_archive]);
    let whole = fs::read(&base_archive).unwrap();
    let archive = dir.path("s/own.wfz");
    // In each of its parts: headers, tables, blocks.
    for part in 0..8 {
        let mut bytes = whole.clone();
        let at = whole.len() * part / 8 + 20;
        bytes[at..at + 100].fill(0x55);
        fs::write(&base_archive, bytes).unwrap();
        ok([
            "pack", &own_path, "--base", "auto", "--force", "-o", &archive,
        ]);
        fs::write(&base_archive, &whole).unwrap();
        ok(["verify", "--deep", &archive]);
    }
    let damaged = &dir.path("s/base.wfz");
    let mut bytes = whole.clone();
    bytes.truncate(whole.len() / 2);
    fs::write(damaged, bytes).unwrap();
    // Somebody who names it wants that one.
    let (status, _, told) = run([
        "pack", &own_path, "--base", damaged, "--force", "-o", &archive,
    ]);
    assert!(status == 2 && told.contains("base.wfz"), "{told}");
}
