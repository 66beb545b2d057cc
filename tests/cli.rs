//! The command line: what each command writes, prints and answers.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use support::gguf::quantized;
use support::{Dir, json, model, noise, ok, run, safetensors, weightfs, weights, with_header};
use weightfs::codec::Method;
use weightfs::format::CodecId;

/// All the kinds of files that must come back byte for byte.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let dtypes = [
        ("BOOL", 1),
        ("U8", 1),
        ("I8", 1),
        ("U16", 2),
        ("I16", 2),
        ("U32", 4),
        ("I32", 4),
        ("U64", 8),
        ("I64", 8),
        ("F8_E4M3", 1),
        ("F8_E5M2", 1),
        ("F8_E8M0", 1),
        ("F16", 2),
        ("BF16", 2),
        ("F32", 4),
        ("F64", 8),
        ("C64", 8),
    ];
    let every_dtype: Vec<support::Tensor<'_>> = dtypes
        .iter()
        .map(|&(dtype, bytes)| (dtype, dtype, &[70_001][..], noise(3, 70_001 * bytes)))
        .chain([
            ("F4", "F4", &[8][..], noise(4, 4)),
            ("F6", "F6_E2M3", &[8], noise(5, 6)),
            ("future", "X128_NEW", &[2], noise(6, 32)),
        ])
        .collect();
    let tiny: Vec<(String, usize)> = (0..10_000).map(|i| (format!("t{i}"), i % 7)).collect();
    let tiny: Vec<support::Tensor<'_>> = tiny
        .iter()
        .map(|(name, n)| {
            (
                name.as_str(),
                if n % 2 == 0 { "F32" } else { "I64" },
                &[1][..],
                noise(*n as u64, 8 * n),
            )
        })
        .collect();
    let gaps = r#"{"b":{"dtype":"F32","shape":[25],"data_offsets":[300,400]},"a":{"dtype":"BF16","shape":[50],"data_offsets":[7,107]}}"#;
    let overlap = r#"{"b":{"dtype":"F32","shape":[25],"data_offsets":[50,150]},"a":{"dtype":"BF16","shape":[50],"data_offsets":[0,100]}}"#;
    let mut odd_start = 3u64.to_le_bytes().to_vec();
    odd_start.extend(b"{ }");
    vec![
        ("model", model(1, 3)),
        ("every dtype", safetensors(&every_dtype)),
        ("10,000 tiny tensors", safetensors(&tiny)),
        (
            "zero-sized tensors",
            safetensors(&[("a", "F32", &[0], vec![]), ("b", "BF16", &[2, 0], vec![])]),
        ),
        ("no tensors", with_header("{}", &[])),
        ("header that is not padded", odd_start),
        (
            "gaps and trailing bytes",
            with_header(gaps, &noise(1, 1000)),
        ),
        ("overlapping tensors", with_header(overlap, &noise(1, 1000))),
        ("tensor outside the file", with_header(gaps, &noise(1, 200))),
        ("broken header", with_header("{\"a\":", &noise(1, 500))),
        (
            "header length of 2^63",
            [&(1u64 << 63).to_le_bytes()[..], &noise(1, 100)].concat(),
        ),
        ("empty", vec![]),
        ("one byte", vec![42]),
        ("seven bytes", vec![0; 7]),
        ("text", b"not a model at all\n".repeat(1000)),
        ("zeros", vec![0; 3_000_000]),
        ("noise", noise(9, 2_000_003)),
    ]
}

#[test]
fn every_kind_of_file_comes_back_byte_for_byte() {
    let dir = Dir::new();
    for (kind, original) in kinds() {
        for level in ["fast", "default", "max"] {
            if level == "max" && original.len() > 500_000 {
                continue;
            }
            let file = dir.write("file", &original);
            let packed = json(&ok(["pack", &file, "--level", level, "--force", "--json"]));
            let archive = dir.path("file.wfz");
            assert_eq!(packed["original_bytes"], original.len(), "{kind}");
            assert_eq!(
                packed["stored_bytes"],
                fs::metadata(&archive).unwrap().len(),
                "{kind}"
            );
            ok(["verify", &archive]);
            let back = dir.path("back");
            ok(["unpack", &archive, "-o", &back, "--force"]);
            assert!(fs::read(&back).unwrap() == original, "{kind} at {level}");
            ok(["inspect", &archive]);
        }
    }
}

#[test]
fn noise_hardly_grows_and_small_tensors_cost_no_blocks() {
    let dir = Dir::new();
    let stored = |bytes: &[u8]| {
        let file = dir.write("file", bytes);
        json(&ok(["pack", &file, "--force", "--json"]))["stored_bytes"]
            .as_u64()
            .unwrap()
    };
    assert!(stored(&noise(1, 10_000_000)) <= 10_010_000);
    assert!(stored(&vec![0; 10_000_000]) < 10_000);
    let (_, tiny) = kinds().swap_remove(2);
    assert!(stored(&tiny) < tiny.len() as u64 / 2);
    assert!(stored(b"") < 1000);
}

#[test]
fn json_objects_have_what_scripts_rely_on() {
    let dir = Dir::new();
    let original = model(5, 2);
    let file = dir.write("m.safetensors", &original);
    let archive = dir.path("m.safetensors.wfz");
    for command in [
        &["pack", &file][..],
        &["inspect", &archive],
        &["verify", &archive, "--threads", "1"],
        &["unpack", &archive, "-o", &dir.path("out"), "--threads", "3"],
    ] {
        let found = json(&ok(command.iter().chain(&["--json"])));
        assert_eq!(found["original_bytes"], original.len(), "{command:?}");
        let stored = found["stored_bytes"].as_u64().unwrap();
        assert_eq!(stored, fs::metadata(&archive).unwrap().len());
        let ratio = original.len() as f64 / stored as f64;
        assert!((found["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9);
        assert!(found["seconds"].as_f64().unwrap() > 0.0);
    }
    let found = json(&ok(["inspect", &archive, "--json"]));
    let tensors = found["tensors"].as_array().unwrap();
    let names: Vec<_> = tensors
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["embed", "norm", "steps", "head", "mask"]);
    assert_eq!(tensors[0]["dtype"], "BF16");
    assert_eq!(tensors[0]["shape"], serde_json::json!([1024, 512]));
    assert_eq!(tensors[0]["original_bytes"], 1 << 20);
    let total: u64 = tensors
        .iter()
        .map(|t| t["stored_bytes"].as_u64().unwrap())
        .sum();
    let stored = found["stored_bytes"].as_u64().unwrap();
    assert!(
        total < stored && total > stored * 95 / 100,
        "{total} of {stored}"
    );
}

#[test]
fn a_model_directory_becomes_a_complete_directory_and_comes_back() {
    let dir = Dir::new();
    let original = model(6, 1);
    dir.write("hub/model/a.safetensors", &original);
    dir.write("hub/model/sub/blob", &original);
    dir.write("hub/model/not-a-model.safetensors", b"broken");
    dir.write("hub/model/config.json", b"{}");
    dir.write("hub/model/empty", b"");
    dir.write("hub/shared.json", b"shared");
    symlink("a.safetensors", dir.path("hub/model/link")).unwrap();
    symlink("../shared.json", dir.path("hub/model/out.json")).unwrap();
    fs::set_permissions(
        dir.path("hub/model/config.json"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();

    let packed = json(&ok([
        "pack",
        &dir.path("hub/model"),
        "-o",
        &dir.path("packed"),
        "--json",
    ]));
    assert_eq!(
        (&packed["archives"], &packed["copied"]),
        (&2.into(), &4.into())
    );
    // It is no model, and would not become smaller.
    assert_eq!(packed["unshrunk"], 1);
    assert_eq!(
        dir.names("packed"),
        [
            "a.safetensors.wfz",
            "config.json",
            "empty",
            "link",
            "not-a-model.safetensors",
            "out.json",
            "sub"
        ]
    );
    assert_eq!(dir.names("packed/sub"), ["blob.wfz"]);
    assert_eq!(
        fs::read_link(dir.path("packed/link")).unwrap(),
        Path::new("a.safetensors")
    );
    assert_eq!(fs::read(dir.path("packed/out.json")).unwrap(), b"shared");
    assert_eq!(
        fs::metadata(dir.path("packed/config.json")).unwrap().mode() & 0o777,
        0o640
    );
    ok(["verify", &dir.path("packed")]);

    ok(["unpack", &dir.path("packed"), "-o", &dir.path("back")]);
    assert_eq!(
        dir.names("back"),
        [
            "a.safetensors",
            "config.json",
            "empty",
            "link",
            "not-a-model.safetensors",
            "out.json",
            "sub"
        ]
    );
    for file in ["a.safetensors", "sub/blob", "link"] {
        assert!(fs::read(dir.path("back").as_str().to_owned() + "/" + file).unwrap() == original);
    }
    // A second time: refused, then in place.
    let (status, _, stderr) = run(["pack", &dir.path("hub/model"), "-o", &dir.path("packed")]);
    assert_eq!(status, 2);
    assert!(stderr.contains("--force"), "{stderr}");
    ok([
        "pack",
        &dir.path("hub/model"),
        "-o",
        &dir.path("packed"),
        "--force",
    ]);
    assert_eq!(dir.names(""), ["back", "hub", "packed"]);
}

#[test]
fn links_to_archives_and_links_out_of_links_are_understood() {
    let dir = Dir::new();
    let original = model(9, 1);
    dir.write("hub/blobs/sha1", &original);
    dir.write("hub/blobs/sha2", b"{}");
    fs::create_dir_all(dir.path("hub/snapshots/c")).unwrap();
    symlink(
        "../../blobs/sha1",
        dir.path("hub/snapshots/c/model.safetensors"),
    )
    .unwrap();
    symlink("../../blobs/sha2", dir.path("hub/snapshots/c/config.json")).unwrap();
    // A farm of links to snapshots.
    fs::create_dir_all(dir.path("models/org")).unwrap();
    symlink("../../hub/snapshots/c", dir.path("models/org/name")).unwrap();
    ok(["pack", &dir.path("models"), "-o", &dir.path("packed")]);
    assert_eq!(
        dir.names("packed/org/name"),
        ["config.json", "model.safetensors.wfz"]
    );

    // Links made to the archive, inside and out of what is unpacked.
    ok(["pack", &dir.path("hub"), "-o", &dir.path("packed-hub")]);
    let link = dir.path("packed-hub/snapshots/c/model.safetensors");
    fs::remove_file(&link).unwrap();
    symlink("../../blobs/sha1.wfz", &link).unwrap();
    symlink("sha1.wfz", dir.path("packed-hub/blobs/alias.wfz")).unwrap();
    ok([
        "unpack",
        &dir.path("packed-hub/snapshots/c"),
        "-o",
        &dir.path("one"),
    ]);
    assert!(fs::read(dir.path("one/model.safetensors")).unwrap() == original);
    ok(["unpack", &dir.path("packed-hub"), "-o", &dir.path("all")]);
    assert_eq!(dir.names("all/blobs"), ["alias", "sha1", "sha2"]);
    for file in ["all/snapshots/c/model.safetensors", "all/blobs/alias"] {
        assert!(fs::read(dir.path(file)).unwrap() == original, "{file}");
    }
    ok([
        "pack",
        &dir.path("packed-hub/snapshots/c"),
        "-o",
        &dir.path("again"),
    ]);
    assert_eq!(dir.names("again"), ["config.json", "model.safetensors.wfz"]);
    ok(["verify", &dir.path("again")]);
}

#[test]
fn a_directory_is_checked_before_anything_is_written() {
    let dir = Dir::new();
    let original = model(10, 1);
    dir.write("m/x.safetensors", &original);
    dir.write("stale/x.safetensors", b"older");
    dir.write("outside/victim/f", b"keep");
    dir.write("m2/sub/f", b"new");
    fs::create_dir(dir.path("linked")).unwrap();
    symlink("../outside/victim", dir.path("linked/sub")).unwrap();
    let before = dir.names("");
    for (args, expected) in [
        (["m", "m"], "lies inside"),
        (["m", "m/packed"], "lies inside"),
        (["m", "stale"], "would stand beside"),
        (["m2", "linked"], "is not a directory"),
    ] {
        let [from, to] = args.map(|name| dir.path(name));
        let (status, _, stderr) = run(["pack", &from, "-o", &to, "--force"]);
        assert_eq!(status, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
    assert_eq!(dir.names(""), before);
    dir.write("w/m/m/config.json", b"inner");
    dir.write("w/m/config.json", b"keep");
    let (status, _, stderr) = run(["unpack", &dir.path("w/m"), "-o", &dir.path("w"), "--force"]);
    assert!(status == 2 && stderr.contains("lies inside"), "{stderr}");
    assert_eq!(fs::read(dir.path("w/m/config.json")).unwrap(), b"keep");
    assert_eq!(dir.names("m"), ["x.safetensors"]);
    assert_eq!(fs::read(dir.path("outside/victim/f")).unwrap(), b"keep");
    // A device is not replaced, not even by root.
    let (status, _, stderr) = run([
        "pack",
        &dir.path("m/x.safetensors"),
        "-o",
        "/dev/null",
        "--force",
    ]);
    assert!(
        status == 2 && stderr.contains("not a regular file"),
        "{stderr}"
    );
}

#[test]
fn a_directory_that_is_there_and_empty_is_filled() {
    let dir = Dir::new();
    dir.write("m/x.safetensors", &model(11, 1));
    dir.write("m/sub/config.json", b"{}");
    fs::set_permissions(dir.path("m/sub"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::create_dir(dir.path("empty")).unwrap();
    symlink("empty", dir.path("link")).unwrap();
    ok(["pack", &dir.path("m"), "-o", &dir.path("link")]);
    assert_eq!(dir.names("empty"), ["sub", "x.safetensors.wfz"]);
    assert_eq!(
        fs::metadata(dir.path("empty/sub")).unwrap().mode() & 0o777,
        0o555
    );

    let mut bytes = fs::read(dir.path("empty/x.safetensors.wfz")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(dir.path("empty/x.safetensors.wfz"), bytes).unwrap();
    fs::create_dir(dir.path("other")).unwrap();
    let (status, _, _) = run(["unpack", &dir.path("empty"), "-o", &dir.path("other")]);
    assert_eq!(status, 2);
    assert_eq!(dir.names("other"), ["sub"]);
    for made in ["m/sub", "empty/sub", "other/sub"] {
        fs::set_permissions(dir.path(made), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn unpacking_makes_no_program_that_runs_as_somebody_else() {
    let dir = Dir::new();
    let file = dir.write("m/f.safetensors", b"x");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o6755)).unwrap();
    ok(["pack", &dir.path("m"), "-o", &dir.path("packed")]);
    ok(["unpack", &dir.path("packed"), "-o", &dir.path("back")]);
    assert_eq!(
        fs::metadata(dir.path("back/f.safetensors")).unwrap().mode() & 0o7777,
        0o755
    );
}

#[test]
fn verify_goes_on_behind_an_archive_of_a_newer_version() {
    let dir = Dir::new();
    for name in ["a", "b"] {
        ok(["pack", &dir.write(name, &noise(1, 1000))]);
    }
    let mut bytes = fs::read(dir.path("a.wfz")).unwrap();
    let end = bytes.len() - 256;
    bytes[8] = 9;
    bytes[end + 8] = 9;
    fs::write(dir.path("a.wfz"), bytes).unwrap();
    let mut bytes = fs::read(dir.path("b.wfz")).unwrap();
    bytes[700] ^= 1;
    fs::write(dir.path("b.wfz"), bytes).unwrap();
    let (status, stdout, stderr) = run(["verify", &dir.path("")]);
    assert_eq!(status, 2, "{stderr}");
    assert!(
        stdout.contains("a.wfz: archive format version 9") && stdout.contains("b.wfz: block 0"),
        "{stdout}"
    );
}

#[test]
fn unpacked_files_have_the_mode_and_time_of_the_original() {
    let dir = Dir::new();
    let file = dir.write("f", b"weights");
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    fs::File::open(&file).unwrap().set_modified(time).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    ok(["pack", &file]);
    assert_eq!(
        fs::metadata(dir.path("f.wfz")).unwrap().mode() & 0o777,
        0o600
    );
    ok(["unpack", &dir.path("f.wfz"), "-o", &dir.path("g")]);
    let meta = fs::metadata(dir.path("g")).unwrap();
    assert_eq!(meta.modified().unwrap(), time);
    assert_eq!(meta.mode() & 0o777, 0o600);
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_left_behind() {
    let dir = Dir::new();
    let file = dir.write("in/f", &weights(1, 1000));
    ok(["pack", &file]);
    let archive = dir.path("in/f.wfz");
    dir.write("in/d/x", b"");
    fs::create_dir(dir.path("in/taken")).unwrap();
    let before = fs::read(&archive).unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["pack", &file], "--force"),
        (&["pack", &archive], "archive already"),
        (&["pack", &dir.path("in/gone")], "in/gone"),
        (
            &["pack", "/dev/null", "-o", &dir.path("in/null")],
            "not a regular file",
        ),
        (&["pack", &dir.path("in")], "-o DST"),
        (
            &["pack", &file, "-o", &dir.path("nowhere/f.wfz")],
            "nowhere",
        ),
        (
            &["pack", &file, "-o", &dir.path("in/taken"), "--force"],
            "is a directory",
        ),
        (
            &["pack", &file, "--block-size", "5K", "-o", &dir.path("in/g")],
            "power of two",
        ),
        (&["unpack", &file], "does not end in .wfz"),
        (
            &["unpack", &file, "-o", &dir.path("in/g")],
            "not a weightfs archive",
        ),
        (&["unpack", &archive], "--force"),
        (&["inspect", &file], "not a weightfs archive"),
        (&["inspect", &dir.path("in")], "is a directory"),
        (&["verify", &dir.path("in/d")], "no .wfz archive"),
        (&["verify", &dir.path("in/gone")], "in/gone"),
        (
            &["mount", &file, &dir.path("in/taken")],
            "neither a directory nor a .wfz archive",
        ),
        (
            &["mount", &dir.path("in"), &dir.path("in/taken")],
            "inside the source",
        ),
        (
            &["mount", &dir.path("in"), &dir.path("nowhere/mnt")],
            "nowhere",
        ),
        (&["mount", &dir.path("in"), &file], "f"),
        (&["umount", &dir.path("in/taken")], "not a weightfs mount"),
    ];
    for (args, expected) in cases {
        let (status, stdout, stderr) = run(*args);
        assert_eq!(status, 2, "{args:?}: {stderr}");
        assert_eq!(stdout, "", "{args:?}");
        assert!(
            stderr.starts_with("weightfs: ") && stderr.contains(expected),
            "{args:?}: {stderr}"
        );
    }
    assert_eq!(fs::read(&archive).unwrap(), before);
    assert_eq!(dir.names(""), ["in"]);
    assert_eq!(dir.names("in"), ["d", "f", "f.wfz", "taken"]);
}

#[test]
fn a_damaged_archive_is_found_named_and_not_unpacked() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &model(7, 2));
    ok(["pack", &file]);
    let archive = dir.path("m.safetensors.wfz");
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&archive, &bytes).unwrap();

    let (status, stdout, _) = run(["verify", &archive]);
    assert_eq!(status, 1);
    assert!(
        stdout.contains("m.safetensors.wfz: block ") && stdout.contains("tensor "),
        "{stdout}"
    );
    let (status, stdout, _) = run(["verify", &archive, "--json"]);
    assert_eq!(status, 1);
    let found = json(&stdout);
    assert_eq!(found["problems"], 1);
    let problem = &found["archives"][0]["problems"][0];
    assert!(
        problem["block"].is_u64() && problem["offset"].is_u64(),
        "{problem}"
    );
    assert!(problem["tensor"].is_string(), "{problem}");

    let out = dir.path("out");
    let (status, _, stderr) = run(["unpack", &archive, "-o", &out]);
    assert_eq!(status, 2);
    assert!(stderr.contains("damaged"), "{stderr}");
    assert_eq!(dir.names(""), ["m.safetensors", "m.safetensors.wfz"]);

    // Something that is no archive at all, among good ones.
    dir.write("bad.wfz", b"garbage");
    let (status, stdout, _) = run(["verify", &dir.path("")]);
    assert_eq!(status, 1);
    assert!(
        stdout.contains("bad.wfz: not a weightfs archive"),
        "{stdout}"
    );
}

#[test]
fn a_source_that_changes_while_it_is_packed_is_refused() {
    let dir = Dir::new();
    let file = dir.write("m", &noise(1, 64 << 20));
    let child = weightfs()
        .args(["pack", &file, "--level", "max", "--threads", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // As soon as something is written, so that the source was opened.
    while dir.names("").len() < 2 {
        std::thread::yield_now();
    }
    fs::OpenOptions::new().append(true).open(&file).unwrap();
    fs::write(&file, noise(2, 64 << 20)).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("changed while it was read"), "{stderr}");
    assert_eq!(dir.names(""), ["m"]);
}

#[test]
fn interrupting_a_pack_leaves_nothing() {
    for signal in ["INT", "TERM"] {
        let dir = Dir::new();
        let file = dir.write("m", &noise(1, 64 << 20));
        let child = weightfs()
            .args(["pack", &file, "--level", "max", "--threads", "1"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while dir.names("").len() < 2 {
            std::thread::yield_now();
        }
        support::signal(child.id(), signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
        assert_eq!(dir.names(""), ["m"]);
    }
}

#[test]
fn help_names_every_command_and_a_closed_pipe_is_no_error() {
    let help = ok(["--help"]);
    for command in [
        "pack", "unpack", "verify", "inspect", "mount", "umount", "demo",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        assert!(ok([command, "--help"]).contains("Usage: weightfs"));
    }
    assert_eq!(run(["no-such-command"]).0, 2);

    let dir = Dir::new();
    let file = dir.write("f", b"x");
    ok(["pack", &file]);
    let mut child = weightfs()
        .args(["inspect", &dir.path("f.wfz")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn packing_twice_gives_the_same_archive_whatever_the_threads() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &model(8, 4));
    for threads in ["1", "2", "5"] {
        ok([
            "pack",
            &file,
            "-o",
            &dir.path(threads),
            "--threads",
            threads,
        ]);
    }
    let archive = fs::read(dir.path("1")).unwrap();
    assert!(
        fs::read(dir.path("2")).unwrap() == archive && fs::read(dir.path("5")).unwrap() == archive
    );
}

/// Golden archives, the sum of what each holds, and the codecs in it. See docs/FORMAT.md; they are never
/// written anew. One of them rests on another; `tests/hostile_families/golden.rs` says how these were made.
const GOLDEN: [(&str, &str, &[&str]); 12] = [
    (
        "v1.safetensors",
        "588f237cbc9ba53c89a3a8b518da81eba1a1981015d4bd7ca957331d2a5fc0f1",
        &["constant", "raw", "zstd"],
    ),
    (
        "v1-codecs.safetensors",
        "e33ac187fb795e3f65e46ea2e39e4f920510244d49c2027b636c9f49a0d2371a",
        &["ans", "huffman", "scaled", "trimmed", "zstd"],
    ),
    ("v1-lz4.safetensors", GENERAL, &["lz4"]),
    ("v1-deflate.safetensors", GENERAL, &["deflate"]),
    ("v1-lzma.safetensors", GENERAL, &["lzma"]),
    (
        "v1-arithmetic.safetensors",
        GENERAL,
        &["arithmetic", "raw", "run-length"],
    ),
    (
        "v1-records.gguf",
        "a23a461fa6b6fe8c6457a76073783b63cf2c9d15b0c4eb89f7c088f7f953ac98",
        OF_RECORDS,
    ),
    (
        "v1-grouped.gguf",
        "1e4c12ae1dad396f4c27a668a58efcfefee62f37cbda0d5974024f16e7ee2199",
        OF_RECORDS,
    ),
    (
        "v1-lossy.safetensors",
        "fc4919902bc683f836444c6be303a20d17928604de6c80261e38dde16e7eb641",
        &["constant", "huffman", "raw", "zstd"],
    ),
    (
        "v1-spread.safetensors",
        "0ba4271e2263710cf01d989ccc9a7c1520fa811caac0806d03853f9d9e31ce1a",
        &["huffman", "raw", "spread", "zstd"],
    ),
    (
        "v1-bases-base.safetensors",
        "fb9c4069fa2d093d43f09f565ce075cdf829cc069241052ad338cbbbdc3cbc5b",
        &["ans", "constant", "huffman", "raw", "zstd"],
    ),
    (
        "v1-bases.safetensors",
        "252c2dd5f03e746dbcb3d57ac967f4fca4becc1db8bc795cf22b30930654d174",
        &["constant", "difference", "huffman", "zstd"],
    ),
];
/// Codecs of quantized weights.
const OF_RECORDS: &[&str] = &[
    "ans",
    "constant",
    "dictionary",
    "grouped",
    "huffman",
    "raw",
    "zstd",
];
/// What all archives of general codecs hold.
const GENERAL: &str = "69ceff0527bcea25b4a93ad811554f52b6afef2291a949d2a4559b97e5807ca2";

#[test]
fn the_golden_archives_of_format_1_read_for_ever() {
    for (name, sha256, codecs) in GOLDEN {
        golden(name, sha256, codecs);
    }
}

#[test]
fn every_codec_is_in_a_golden_archive() {
    for codec in CodecId::ALL {
        let has = |(_, _, codecs): &(_, _, &[&str])| codecs.contains(&codec.name());
        assert!(GOLDEN.iter().any(has), "none has {}", codec.name());
    }
}

#[test]
fn every_codec_and_level_gives_back_every_kind_of_file() {
    let dir = Dir::new();
    for (name, bytes) in kinds() {
        let file = dir.write(&format!("{name}.safetensors"), &bytes);
        for codec in Method::ALL.map(Method::name) {
            for level in ["fast", "balanced", "max"] {
                let (packed, back) = (dir.path("packed.wfz"), dir.path("back"));
                let how = ["--codec", codec, "--level", level, "--force"];
                ok([&["pack", &file, "-o", &packed], &how[..]].concat());
                ok(["unpack", &packed, "-o", &back, "--force"]);
                assert!(fs::read(&back).unwrap() == bytes, "{name} {codec} {level}");
            }
        }
    }
}

/// Reads a golden archive; the sum is of what it holds.
fn golden(name: &str, sha256: &str, codecs: &[&str]) {
    let golden = format!("{}/tests/golden/{name}.wfz", env!("CARGO_MANIFEST_DIR"));
    ok(["verify", &golden]);
    let found = json(&ok(["inspect", &golden, "--json"]));
    assert_eq!(found["sha256"], sha256);
    let used: std::collections::BTreeSet<_> = found["planes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plane| plane["codec"].as_str().unwrap())
        .collect();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), codecs);
    let dir = Dir::new();
    let out = dir.path("out");
    for simd in ["portable", "avx2", "avx512"] {
        let unpacked = std::process::Command::new(env!("CARGO_BIN_EXE_weightfs"))
            .args(["unpack", &golden, "-o", &out, "--force"])
            .env("WEIGHTFS_SIMD", simd)
            .status()
            .unwrap();
        assert!(unpacked.success(), "{simd}");
        let sum = std::process::Command::new("sha256sum")
            .arg(&out)
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&sum.stdout).starts_with(sha256));
    }
}

#[test]
fn analyze_expects_what_pack_gives_and_tells_what_is_in_a_model() {
    let dir = Dir::new();
    let file = dir.write("model.safetensors", &model(5, 3));
    let html = dir.path("report.html");
    let found = json(&ok(["analyze", &file, "--json", "--html", &html]));
    for level in ["fast", "default", "max"] {
        let packed = dir.path(level);
        let real = json(&ok([
            "pack", &file, "-o", &packed, "--level", level, "--json",
        ]));
        // The file is smaller than the sample: nothing is left to chance.
        let expected = &found["expected"][level];
        let bytes = |value: &Value| value["stored_bytes"].as_f64().unwrap();
        assert!(
            (bytes(expected) / bytes(&real) - 1.0).abs() < 1e-4,
            "{level}"
        );
    }
    assert_eq!(found["original_bytes"], fs::metadata(&file).unwrap().len());
    let bf16 = &found["dtypes"][0];
    assert_eq!(bf16["dtype"], "BF16");
    let entropy = &bf16["statistics"]["entropy"];
    assert_eq!(entropy["planes"].as_array().unwrap().len(), 2);
    assert!(entropy["exponent"].as_f64().unwrap() < 8.0);
    assert!(bf16["statistics"]["values"]["nan"].is_number());
    let report = fs::read_to_string(html).unwrap();
    assert!(report.starts_with("<!DOCTYPE html>") && report.ends_with("</html>"));
    assert!(!report.contains("http") && report.len() < 1_000_000);
}

#[test]
fn analyze_counts_the_fields_of_quantized_tensors() {
    let dir = Dir::new();
    let file = dir.write("model.gguf", &quantized(5, 1));
    let html = dir.path("report.html");
    let found = json(&ok(["analyze", &file, "--json", "--html", &html]));
    for level in ["fast", "default", "max"] {
        let packed = dir.path(level);
        let real = json(&ok([
            "pack", &file, "-o", &packed, "--level", level, "--json",
        ]));
        let expected = found["expected"][level]["ratio"].as_f64().unwrap();
        let real = real["ratio"].as_f64().unwrap();
        assert!(
            (expected / real - 1.0).abs() < 0.003,
            "{level} {expected} {real}"
        );
    }
    let of = |dtype: &str| {
        let dtypes = found["dtypes"].as_array().unwrap();
        let found = dtypes.iter().find(|found| found["dtype"] == dtype).unwrap();
        found["statistics"].clone()
    };
    let fields = |dtype: &str| -> Vec<(String, u64, u64)> {
        let statistics = of(dtype);
        let fields = statistics["fields"].as_array().unwrap().iter();
        fields
            .map(|field| {
                let name = field["name"].as_str().unwrap().to_owned();
                let number = |key: &str| field[key].as_u64().unwrap();
                (name, number("bits"), number("in_record"))
            })
            .collect()
    };
    let named = |fields: &[(&str, u64, u64)]| -> Vec<(String, u64, u64)> {
        fields
            .iter()
            .map(|&(name, bits, count)| (name.to_owned(), bits, count))
            .collect()
    };
    assert_eq!(
        fields("Q8_0"),
        named(&[("scale", 16, 1), ("levels", 8, 32)])
    );
    assert_eq!(
        fields("Q6_K"),
        named(&[
            ("scale of scales", 16, 1),
            ("scales", 8, 16),
            ("levels", 6, 256)
        ])
    );
    let mut of_q4 = fields("Q4_K");
    of_q4.sort();
    assert_eq!(
        of_q4,
        named(&[
            ("levels", 4, 256),
            ("minima", 6, 8),
            ("scale of minima", 16, 1),
            ("scale of scales", 16, 1),
            ("scales", 6, 8),
        ])
    );
    let entropy = |dtype: &str, name: &str| {
        let statistics = of(dtype);
        let fields = statistics["fields"].as_array().unwrap();
        let found = fields.iter().find(|field| field["name"] == name).unwrap();
        found["entropy"].as_f64().unwrap()
    };
    // The sum of four of 0 to 3, two of them in a byte: what one alone is worth.
    let ways = [
        1.0, 4.0, 10.0, 20.0, 31.0, 40.0, 44.0, 40.0, 31.0, 20.0, 10.0, 4.0, 1.0,
    ];
    let levels: f64 = ways
        .map(|n: f64| n / 256.0 * (256.0 / n).log2())
        .iter()
        .sum();
    assert!((entropy("Q4_K", "levels") - levels).abs() < 0.01);
    // 128 floats, equally often.
    assert!((entropy("Q8_0", "scale") - 7.0).abs() < 0.05);
    // Nothing is told of bytes that are no fields.
    for dtype in ["Q8_0", "Q4_K", "Q6_K"] {
        assert!(of(dtype)["entropy"].is_null() && of(dtype)["byte_marginal"].is_null());
    }
    assert!(of("F32")["entropy"]["joint"].is_number());
    // Real coders cannot be far above; those of blocks may be below.
    let whole = found["by_field_whole"].as_f64().unwrap();
    let real = found["expected"]["default"]["ratio"].as_f64().unwrap();
    assert!(
        whole > 1.0 && (whole / real - 1.0).abs() < 0.05,
        "{whole} {real}"
    );
    assert!(found["by_field"]["mean"].is_number());
    let tensor = &found["tensors"][0]["statistics"];
    assert_eq!(tensor["sampled"], 512 * 32);
    assert_eq!(tensor["fields"][1]["name"], "levels");

    let text = ok(["analyze", &file]);
    assert!(
        text.contains("corr. neighbour") && text.contains("minima"),
        "{text}"
    );
    assert!(text.contains("ceiling of coding each field"), "{text}");
    assert!(!text.contains("over all float tensors"), "{text}");
    let report = fs::read_to_string(html).unwrap();
    assert!(report.starts_with("<!DOCTYPE html>") && report.ends_with("</html>"));
    for expected in [
        "minima",
        "levels</b>: 3.",
        "fields of records coded, at best",
    ] {
        assert!(report.contains(expected), "{expected}");
    }
    // Of a small sample as well.
    let sampled = json(&ok(["analyze", &file, "--json", "--sample", "256K"]));
    let found = sampled["by_field_whole"].as_f64().unwrap();
    assert!((found / whole - 1.0).abs() < 0.005, "{found} {whole}");
    assert!(sampled["sampled_bytes"].as_u64().unwrap() < 600 << 10);
    let expected = sampled["expected"]["default"]["ratio"].as_f64().unwrap();
    assert!((expected / real - 1.0).abs() < 0.01, "{expected} {real}");
}

#[test]
fn general_methods_code_the_fields_of_quantized_tensors_and_nothing_else_does() {
    let dir = Dir::new();
    let original = quantized(7, 1);
    let file = dir.write("model.gguf", &original);
    let archive = dir.path("model.gguf.wfz");
    for (method, codecs) in [
        ("lz4", &["lz4"][..]),
        ("deflate", &["deflate"]),
        ("zstd", &["zstd"]),
        ("lzma", &["lzma"]),
        ("split-huffman", &["huffman"]),
        ("split-arithmetic", &["arithmetic", "run-length"]),
    ] {
        ok(["pack", &file, "--codec", method, "--force"]);
        let found = json(&ok(["inspect", &archive, "--json"]));
        for plane in found["planes"].as_array().unwrap() {
            let codec = plane["codec"].as_str().unwrap();
            assert!(
                codecs.contains(&codec) || ["raw", "constant"].contains(&codec),
                "{plane}"
            );
        }
        assert!(found["ratio"].as_f64().unwrap() > 0.98, "{method}");
        let back = dir.path("back");
        ok(["unpack", &archive, "-o", &back, "--force"]);
        assert!(fs::read(back).unwrap() == original, "{method}");
    }
}

#[test]
fn inspect_names_the_streams_of_quantized_tensors() {
    let dir = Dir::new();
    let file = dir.write("model.gguf", &quantized(6, 1));
    let archive = dir.path("model.gguf.wfz");
    ok(["pack", &file]);
    let found = json(&ok(["inspect", &archive, "--json"]));
    let tensors = found["tensors"].as_array().unwrap();
    let dtypes: Vec<_> = tensors
        .iter()
        .map(|tensor| tensor["dtype"].as_str().unwrap())
        .collect();
    assert_eq!(dtypes, ["Q8_0", "F32", "Q4_K", "Q6_K"]);
    for tensor in tensors {
        let bytes = |key: &str| tensor[key].as_u64().unwrap();
        assert!(
            (1..=bytes("original_bytes") + 16).contains(&bytes("stored_bytes")),
            "{tensor}"
        );
    }
    let planes = found["planes"].as_array().unwrap();
    let streams = |element: &str| -> Vec<&str> {
        let of = planes.iter().filter(|plane| plane["element"] == element);
        let mut names: Vec<_> = of.map(|plane| plane["bits"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    assert_eq!(streams("Q8_0"), ["levels", "scale"]);
    assert_eq!(streams("Q6_K"), ["levels", "scale of scales", "scales"]);
    assert_eq!(
        streams("Q4_K"),
        [
            "levels",
            "minima",
            "scale of minima",
            "scale of scales",
            "scales"
        ]
    );
    let text = ok(["inspect", &archive]);
    assert!(
        text.contains("scale of minima") && text.contains("blk.0.attn_q.weight"),
        "{text}"
    );
    // What is not packed is not an archive.
    let (status, _, stderr) = run(["inspect", &file]);
    assert_eq!(status, 2);
    assert!(stderr.contains("not a weightfs archive"), "{stderr}");
}

#[test]
fn analyze_takes_any_file_and_says_what_it_cannot_take() {
    let dir = Dir::new();
    let odd = [
        ("empty", Vec::new()),
        ("noise", noise(1, 100_000)),
        ("no tensors", safetensors(&[])),
        (
            "no elements",
            safetensors(&[("a", "F32", &[0], Vec::new())]),
        ),
    ];
    for (name, bytes) in odd.into_iter().chain(kinds()) {
        let file = dir.write(&format!("{name}.safetensors"), &bytes);
        let found = json(&ok(["analyze", &file, "--json", "--sample", "64K"]));
        assert_eq!(found["original_bytes"], bytes.len(), "{name}");
        ok(["analyze", &file]);
    }
    let whole = json(&ok(["analyze", &dir.path(""), "--json"]));
    let files = whole["files"].as_array().unwrap().len();
    assert_eq!(files, dir.names("").len());

    let archive = dir.path("archive.wfz");
    ok(["pack", &dir.path("noise.safetensors"), "-o", &archive]);
    let empty = dir.path("nothing");
    fs::create_dir(&empty).unwrap();
    for (path, reason) in [
        (archive, "is an archive"),
        (empty, "no model in this directory"),
        (dir.path("missing"), "cannot"),
    ] {
        let (status, _, stderr) = run(["analyze", &path]);
        assert_eq!(status, 2);
        assert!(stderr.contains(reason), "{stderr}");
    }
}
