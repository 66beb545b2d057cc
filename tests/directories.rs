//! Packing and unpacking of whole directories: links, files of several names, hub caches, files that
//! are not what they should be, and what becomes of the rest when something fails.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use support::{Dir, Mount, json, model, noise, ok, run, safetensors, signal, weightfs, weights};

const COMMIT: &str = "1111111111111111111111111111111111111111";

/// Bytes on the disk of all files below a directory, each counted once.
fn disk_bytes(root: &Path) -> u64 {
    fn add(directory: &Path, found: &mut BTreeMap<u64, u64>) {
        for entry in fs::read_dir(directory).unwrap() {
            let meta = entry.as_ref().unwrap().metadata().unwrap();
            if meta.is_dir() {
                add(&entry.unwrap().path(), found);
            } else if meta.is_file() {
                found.insert(meta.ino(), meta.len());
            }
        }
    }
    let mut found = BTreeMap::new();
    add(root, &mut found);
    found.values().sum()
}

/// A cache of the Hugging Face hub with one model in two snapshots; the blob is a file, or a link into a
/// store that all models share.
fn hub(dir: &Dir, is_shared: bool) -> Vec<u8> {
    let bytes = model(1, 1);
    if is_shared {
        dir.write("hub/blobs/ab/abcd", &bytes);
        fs::create_dir_all(dir.path("hub/models--o--n/blobs")).unwrap();
        symlink(
            "../../blobs/ab/abcd",
            dir.path("hub/models--o--n/blobs/etag"),
        )
        .unwrap();
    } else {
        dir.write("hub/models--o--n/blobs/etag", &bytes);
    }
    for commit in [COMMIT, &COMMIT.replace('1', "2")] {
        let snapshot = format!("hub/models--o--n/snapshots/{commit}");
        dir.write(&format!("{snapshot}/config.json"), b"{}");
        let link = dir.path(&format!("{snapshot}/model.safetensors"));
        symlink("../../blobs/etag", link).unwrap();
    }
    bytes
}

#[test]
fn each_file_of_a_hub_is_packed_once_whatever_its_layout() {
    for is_shared in [false, true] {
        let dir = Dir::new();
        let bytes = hub(&dir, is_shared);
        for (from, below) in [("hub", "models--o--n/"), ("hub/models--o--n", "")] {
            let (packed, back) = (dir.path("packed"), dir.path("back"));
            let report = json(&ok(["pack", &dir.path(from), "-o", &packed, "--json"]));
            assert_eq!(report["archives"], 1, "{from}, shared: {is_shared}");
            let stored = disk_bytes(packed.as_ref());
            assert!(stored < bytes.len() as u64, "{stored}");
            ok(["verify", &packed]);
            let of_snapshot = format!("{below}snapshots/{COMMIT}/model.safetensors");
            let (source, mountpoint) = (Path::new(&packed), dir.path("mnt"));
            fs::create_dir(&mountpoint).unwrap();
            let mount = Mount::start(source, mountpoint.as_ref());
            assert!(fs::read(mount.path(&of_snapshot)).unwrap() == bytes);
            mount.stop();
            ok(["unpack", &packed, "-o", &back]);
            assert!(fs::read(dir.path(&format!("back/{of_snapshot}"))).unwrap() == bytes);
            let unpacked = disk_bytes(back.as_ref());
            assert!(unpacked < 2 * bytes.len() as u64, "{unpacked}");
            for made in [packed, back] {
                fs::remove_dir_all(made).unwrap();
            }
            fs::remove_dir(mountpoint).unwrap();
        }
    }
}

#[test]
fn every_command_follows_links_as_a_mount_does() {
    let dir = Dir::new();
    let bytes = hub(&dir, false);
    ok(["pack", "--replace", &dir.path("hub")]);
    let snapshot = dir.path(&format!("hub/models--o--n/snapshots/{COMMIT}"));
    let link = format!("{snapshot}/model.safetensors");
    // The link has kept its text, and leads nowhere on the disk.
    assert!(!Path::new(&link).exists());
    for (command, out) in [("unpack", "unpacked"), ("pack", "packed")] {
        ok([command, &snapshot, "-o", &dir.path(out)]);
    }
    assert!(fs::read(dir.path("unpacked/model.safetensors")).unwrap() == bytes);
    assert_eq!(
        dir.names("packed"),
        ["config.json", "model.safetensors.wfz"]
    );
    let report = json(&ok(["verify", &snapshot, "--json"]));
    assert_eq!(report["archives"].as_array().unwrap().len(), 1);
    ok(["verify", &link]);
    let report = json(&ok(["inspect", &link, "--json"]));
    assert_eq!(report["original_bytes"], bytes.len());
    ok(["unpack", &link, "-o", &dir.path("one")]);
    assert!(fs::read(dir.path("one")).unwrap() == bytes);
    // In place there is nothing that is not elsewhere.
    let (status, _, stderr) = run(["unpack", "--replace", &snapshot]);
    assert!(status == 2 && stderr.contains("only links"), "{stderr}");
    // Who deletes the hub has lost the model, and is told.
    fs::remove_dir_all(dir.path("hub/models--o--n/blobs")).unwrap();
    for (arguments, is_made) in [
        (vec!["unpack", &snapshot, "-o", &dir.path("gone")], true),
        (vec!["pack", &snapshot, "-o", &dir.path("gone too")], true),
        (vec!["verify", &dir.path("hub")], false),
        (vec!["inspect", &link], false),
    ] {
        let (status, _, stderr) = run(&arguments);
        assert_eq!(status, 2, "{arguments:?}: {stderr}");
        if is_made {
            assert!(stderr.contains("leads nowhere"), "{stderr}");
        }
    }
}

#[test]
fn a_hub_can_be_analyzed() {
    let dir = Dir::new();
    hub(&dir, true);
    for below in [
        "",
        "/models--o--n",
        &format!("/models--o--n/snapshots/{COMMIT}"),
    ] {
        let found = json(&ok([
            "analyze",
            &dir.path(&format!("hub{below}")),
            "--json",
        ]));
        assert_eq!(found["files"].as_array().unwrap().len(), 1, "{below}");
    }
}

#[test]
fn files_of_several_names_and_links_into_the_source_are_packed_once() {
    let dir = Dir::new();
    let file = dir.write("m/a.safetensors", &model(2, 1));
    dir.write("m/sub/config.json", b"{}");
    dir.write("elsewhere.safetensors", &model(3, 1));
    for name in ["b.safetensors", "sub/c.safetensors"] {
        fs::hard_link(&file, dir.path(&format!("m/{name}"))).unwrap();
    }
    for (target, link) in [
        (file.clone(), "absolute.safetensors"),
        (dir.path("m"), "sub/all"),
        (dir.path("elsewhere.safetensors"), "out1.safetensors"),
        (dir.path("elsewhere.safetensors"), "sub/out2.safetensors"),
        ("sub/../a.safetensors".into(), "winding.safetensors"),
    ] {
        symlink(target, dir.path(&format!("m/{link}"))).unwrap();
    }
    let report = json(&ok([
        "pack",
        &dir.path("m"),
        "-o",
        &dir.path("packed"),
        "--json",
    ]));
    assert_eq!(
        (&report["archives"], &report["linked"]),
        (&2.into(), &2.into())
    );
    let inode = |name: &str| fs::metadata(dir.path(name)).unwrap().ino();
    for name in ["b.safetensors.wfz", "sub/c.safetensors.wfz"] {
        let name = format!("packed/{name}");
        assert_eq!(inode("packed/a.safetensors.wfz"), inode(&name), "{name}");
    }
    for (link, target) in [
        ("absolute.safetensors.wfz", "a.safetensors.wfz"),
        ("winding.safetensors.wfz", "a.safetensors.wfz"),
        ("sub/out2.safetensors.wfz", "../out1.safetensors.wfz"),
        ("sub/all", ".."),
    ] {
        let link = dir.path(&format!("packed/{link}"));
        assert_eq!(fs::read_link(&link).unwrap(), Path::new(target), "{link}");
    }
    ok(["unpack", &dir.path("packed"), "-o", &dir.path("back")]);
    assert_eq!(dir.names("back"), dir.names("m"));
    assert_eq!(dir.names("back/sub"), dir.names("m/sub"));
    for name in dir
        .names("m")
        .iter()
        .filter(|name| name.ends_with("safetensors"))
    {
        let read = |root: &str| fs::read(dir.path(&format!("{root}/{name}"))).unwrap();
        assert!(read("m") == read("back"), "{name}");
    }
    assert_eq!(inode("back/a.safetensors"), inode("back/sub/c.safetensors"));
    // Over what is there.
    ok(["pack", &dir.path("m"), "-o", &dir.path("packed"), "--force"]);
    let left = dir.names("packed");
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
}

#[test]
fn one_bad_file_stops_nothing() {
    let dir = Dir::new();
    for name in ["a", "b", "c"] {
        dir.write(&format!("m/{name}.safetensors"), &model(4, 1));
    }
    ok(["pack", &dir.path("m"), "-o", &dir.path("packed")]);
    let archive = dir.path("packed/b.safetensors.wfz");
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    dir.write("packed/d.safetensors", b"plain");
    ok(["pack", &dir.path("packed/d.safetensors")]);
    let failed = |arguments: &[&str]| {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!(status, 2, "{stderr}");
        assert!(stderr.contains("b.safetensors.wfz: block"), "{stderr}");
        assert!(
            stderr.contains("keep one of them") || stderr.contains("damaged"),
            "{stderr}"
        );
        json(&stdout)["failed"].as_array().unwrap().len()
    };
    let (packed, back) = (dir.path("packed"), dir.path("back"));
    assert_eq!(failed(&["unpack", &packed, "-o", &back, "--json"]), 2);
    assert_eq!(
        dir.names("back"),
        ["a.safetensors", "c.safetensors", "d.safetensors"]
    );
    assert_eq!(failed(&["unpack", &packed, "--replace", "--json"]), 1);
    assert_eq!(
        dir.names("packed"),
        [
            "a.safetensors",
            "b.safetensors.wfz",
            "c.safetensors",
            "d.safetensors"
        ]
    );
    // Where two things would become one, and where the directory for something cannot be made.
    dir.write("clash/x.safetensors", &model(5, 1));
    dir.write("clash/y.safetensors", &model(5, 1));
    symlink("y.safetensors", dir.path("clash/x.safetensors.wfz")).unwrap();
    dir.write("clash/sub/f", b"new");
    dir.write("victim/f", b"keep");
    fs::create_dir(dir.path("out")).unwrap();
    symlink("../victim", dir.path("out/sub")).unwrap();
    let (status, _, stderr) = run([
        "pack",
        &dir.path("clash"),
        "-o",
        &dir.path("out"),
        "--force",
    ]);
    assert_eq!(status, 2);
    for reason in [
        "something else becomes",
        "is not a directory",
        "for it could not be made",
    ] {
        assert!(stderr.contains(reason), "{stderr}");
    }
    assert_eq!(
        dir.names("out"),
        ["sub", "x.safetensors.wfz", "y.safetensors.wfz"]
    );
    assert_eq!(fs::read(dir.path("victim/f")).unwrap(), b"keep");
}

#[test]
fn what_is_not_what_it_should_be_is_told_and_not_replaced() {
    let dir = Dir::new();
    let whole = model(6, 1);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let index = br#"{"weight_map":{"a":"short.safetensors","b":"model-2.safetensors"}}"#;
    for (name, bytes, reason) in [
        (
            "short.safetensors",
            &whole[..whole.len() / 2],
            "is not complete",
        ),
        ("pointer.safetensors", &pointer[..], "Git LFS"),
        (
            "page.safetensors",
            b"\n<!DOCTYPE html><html></html>",
            "HTML page",
        ),
        ("nothing.safetensors", b"12345678 no header", "no header"),
        ("page.gguf", b"<html>", "HTML page"),
        ("blob.incomplete", &whole, "still being downloaded"),
        (
            "m.safetensors.index.json",
            index,
            "names model-2.safetensors, which is not there",
        ),
        ("empty.safetensors", b"", ""),
        ("whole.safetensors", &whole, ""),
        ("foreign.wfz", b"foreign", "no weightfs archive"),
    ] {
        dir.write(&format!("m/{name}"), bytes);
        let out = dir.path("out");
        let (status, _, stderr) = run(["pack", &dir.path("m"), "-o", &out]);
        assert_eq!(status, 0, "{stderr}");
        assert!(stderr.contains(reason), "{name}: {stderr}");
        ok(["unpack", &out, "-o", &dir.path("back")]);
        assert_eq!(dir.names("back"), dir.names("m"));
        fs::remove_dir_all(dir.path("back")).unwrap();
        fs::remove_dir_all(&out).unwrap();
    }
    // What is there of the short one is coded as what it is.
    ok([
        "pack",
        &dir.path("m/short.safetensors"),
        "-o",
        &dir.path("s.wfz"),
    ]);
    assert!(ok(["inspect", &dir.path("s.wfz")]).contains("BF16"));

    let before = dir.names("m");
    let (status, _, stderr) = run(["pack", "--replace", &dir.path("m")]);
    assert_eq!(status, 2);
    assert_eq!(
        stderr.matches("--force packs it all the same").count(),
        6,
        "{stderr}"
    );
    let after: Vec<_> = before
        .iter()
        .map(|name| match name.as_str() {
            "whole.safetensors" => "whole.safetensors.wfz".to_owned(),
            _ => name.clone(),
        })
        .collect();
    assert_eq!(dir.names("m"), after);
    ok(["pack", "--replace", "--force", &dir.path("m")]);
    let names = dir.names("m");
    assert!(names.contains(&"short.safetensors.wfz".into()), "{names:?}");
    assert!(
        names.contains(&"pointer.safetensors".into()),
        "it does not shrink: {names:?}"
    );
}

#[test]
fn a_source_is_never_written_over() {
    let dir = Dir::new();
    let bytes = model(7, 1);
    let file = dir.write("m.safetensors", &bytes);
    fs::hard_link(&file, dir.path("second")).unwrap();
    symlink("m.safetensors", dir.path("link")).unwrap();
    for to in ["m.safetensors", "second", "link"] {
        let (status, _, stderr) = run(["pack", "--force", &file, "-o", &dir.path(to)]);
        assert!(
            status == 2 && stderr.contains("the file that is read"),
            "{stderr}"
        );
    }
    ok(["pack", &file]);
    let archive = dir.path("m.safetensors.wfz");
    let (status, _, stderr) = run(["unpack", "--force", &archive, "-o", &archive]);
    assert!(
        status == 2 && stderr.contains("the file that is read"),
        "{stderr}"
    );
    assert!(fs::read(&file).unwrap() == bytes);
    ok(["verify", &archive]);
    // What says that it is empty and is not.
    let (status, _, stderr) = run(["pack", "/proc/cpuinfo", "-o", &dir.path("c.wfz")]);
    assert!(
        status == 2 && stderr.contains("says that it is empty"),
        "{stderr}"
    );
}

#[test]
fn names_too_long_for_the_suffix_stay() {
    let dir = Dir::new();
    let long = format!("{}.safetensors", "n".repeat(240));
    dir.write(&format!("m/{long}"), &model(8, 1));
    let (status, _, stderr) = run(["pack", &dir.path("m"), "-o", &dir.path("out")]);
    assert!(status == 0 && stderr.contains("too long"), "{stderr}");
    assert_eq!(dir.names("out"), std::slice::from_ref(&long));
    let (status, _, stderr) = run(["pack", "--replace", &dir.path("m")]);
    assert!(status == 0 && stderr.contains("too long"), "{stderr}");
    assert_eq!(dir.names("m"), [long]);
}

#[test]
fn what_a_killed_run_has_left_goes_with_the_next_one() {
    let dir = Dir::new();
    for i in 0..6 {
        dir.write(&format!("m/{i}.safetensors"), &model(i, 2));
    }
    for name in ["KILL", "HUP", "TERM"] {
        let mut child = weightfs()
            .args([
                "pack",
                &dir.path("m"),
                "-o",
                &dir.path("out"),
                "--threads",
                "1",
            ])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while dir.names("").len() < 2 && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        signal(child.id(), name);
        child.wait().unwrap();
        let mut left = dir.names("");
        left.retain(|name| name != "m" && name != "out");
        assert!(
            left.len() <= usize::from(name == "KILL"),
            "{name}: {left:?}"
        );
        let _ = fs::remove_dir_all(dir.path("out"));
        ok(["pack", &dir.path("m"), "-o", &dir.path("out")]);
        assert_eq!(dir.names(""), ["m", "out"]);
        fs::remove_dir_all(dir.path("out")).unwrap();
    }
    // A run beside it takes nothing away that is being made.
    let mut first = weightfs()
        .args(["pack", &dir.path("m"), "-o", &dir.path("first")])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    ok(["pack", &dir.path("m"), "-o", &dir.path("out")]);
    assert!(first.wait().unwrap().success());
    assert_eq!(dir.names(""), ["first", "m", "out"]);
}

#[test]
fn a_name_says_what_becomes_of_a_file() {
    let dir = Dir::new();
    let bytes = model(9, 1);
    // A second name of an archive, which is no archive by that name and comes first.
    let file = dir.write("s/b", &bytes);
    ok(["pack", &file]);
    fs::remove_file(&file).unwrap();
    fs::hard_link(dir.path("s/b.wfz"), dir.path("s/a")).unwrap();
    ok(["unpack", &dir.path("s"), "-o", &dir.path("u")]);
    assert!(fs::read(dir.path("u/b")).unwrap() == bytes);
    ok(["pack", &dir.path("s"), "-o", &dir.path("p")]);
    assert_eq!(dir.names("p"), ["a", "b.wfz"]);
    ok(["verify", &dir.path("s")]);
    // Links to what is no archive keep their names, whatever those are.
    fs::create_dir_all(dir.path("l/d.wfz")).unwrap();
    dir.write("l/readme", b"text");
    symlink(dir.path("l/d.wfz"), dir.path("l/k")).unwrap();
    symlink(dir.path("l/readme"), dir.path("l/foo.wfz")).unwrap();
    // A link to a second name, which comes later.
    dir.write("l/one", b"1");
    fs::hard_link(dir.path("l/one"), dir.path("l/two")).unwrap();
    symlink(dir.path("l/two"), dir.path("l/a-link")).unwrap();
    for command in ["pack", "unpack"] {
        let out = dir.path(command);
        ok([command, &dir.path("l"), "-o", &out]);
        assert_eq!(dir.names(command), dir.names("l"), "{command}");
        assert_eq!(fs::read(format!("{out}/a-link")).unwrap(), b"1");
    }
    // A link to the archive beside it would lead to itself.
    symlink("b.wfz", dir.path("s/b")).unwrap();
    let (status, _, _) = run(["unpack", &dir.path("s"), "-o", &dir.path("v")]);
    assert_eq!(status, 2);
    assert!(!Path::new(&dir.path("v/b")).is_symlink());
}

#[test]
fn nothing_stands_beside_an_older_form_of_itself() {
    let dir = Dir::new();
    dir.write("s/m.safetensors", &model(10, 1));
    let pack = ["pack", "--force", &dir.path("s"), "-o", &dir.path("dst")];
    ok(pack);
    for newer in [support::noise(1, 5000), b"text".to_vec()] {
        dir.write("s/m.safetensors", &newer);
        let (status, _, stderr) = run(pack);
        assert!(
            status == 2 && stderr.contains("would stand beside"),
            "{stderr}"
        );
        assert_eq!(dir.names("dst"), ["m.safetensors.wfz"]);
    }
}

#[test]
fn what_links_of_the_source_lead_to_is_not_written_into() {
    let dir = Dir::new();
    dir.write("src/c", b"mine");
    dir.write("out/c", b"orig");
    symlink("../out", dir.path("src/z")).unwrap();
    let (status, _, stderr) = run(["pack", "--force", &dir.path("src"), "-o", &dir.path("out")]);
    assert!(status == 2 && stderr.contains("leads to"), "{stderr}");
    assert_eq!(fs::read(dir.path("out/c")).unwrap(), b"orig");
}

#[test]
fn only_what_a_run_has_left_is_removed() {
    let dir = Dir::new();
    let file = dir.write("d/m.safetensors", &model(11, 1));
    dir.write("d/.mine.wfz-tmp/x", b"precious");
    dir.write("d/.abc.wfz-tmp", b"precious");
    dir.write("d/.Ab12Cd.wfz-tmp", b"left");
    dir.write("d/.Ef34Gh.wfz-tmp/x", b"left");
    // What is left is nothing of the directory's.
    ok(["pack", &dir.path("d"), "-o", &dir.path("copy")]);
    assert_eq!(
        dir.names("copy"),
        [".abc.wfz-tmp", ".mine.wfz-tmp", "m.safetensors.wfz"]
    );
    ok(["pack", &file]);
    assert_eq!(
        dir.names("d"),
        [
            ".abc.wfz-tmp",
            ".mine.wfz-tmp",
            "m.safetensors",
            "m.safetensors.wfz"
        ]
    );
}

#[test]
fn how_a_command_ends_does_not_depend_on_who_reads() {
    let dir = Dir::new();
    symlink("gone", dir.path("link")).unwrap();
    for arguments in [
        vec!["pack", &dir.path("") as &str, "-o", "/nowhere/there"],
        vec!["pack", "--replace", &dir.path("")],
    ] {
        let mut child = weightfs()
            .args(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(2), "{arguments:?}");
    }
}

/// The weights of a model in a container that nobody knows: text, weights at an odd place, some zeros.
fn strange_container(seed: u64) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04 something of some library".to_vec();
    bytes.extend(weights(seed, 1 << 20));
    bytes.extend(b" next: ");
    bytes.extend(weights(seed + 1, 1 << 19));
    bytes.extend([0; 3000]);
    bytes
}

#[test]
fn files_of_other_formats_are_packed_if_they_gain() {
    let dir = Dir::new();
    let strange = strange_container(5);
    let text = "some words of a large tokenizer 0123456789 ".repeat(50_000);
    let files = [
        ("in/pytorch_model.bin", &strange[..], true),
        ("in/sub/tokenizer.json", text.as_bytes(), true),
        ("in/images.zip", &noise(1, 3 << 20)[..], false),
        ("in/small.bin", &strange[..1 << 19], false),
        ("in/model.bin.incomplete", &strange[..], false),
    ];
    for (name, bytes, _) in files {
        dir.write(name, bytes);
    }
    let source = dir.path("in");
    let told = json(&ok(["pack", "--dry-run", "--json", &source]));
    let told: Vec<_> = told["files"].as_array().unwrap().iter().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for (options, packed) in [
        (
            &[][..],
            &["in/pytorch_model.bin", "in/sub/tokenizer.json"][..],
        ),
        (&["--only", "*.bin"], &["in/pytorch_model.bin"]),
        (&["--skip", "sub/*"], &["in/pytorch_model.bin"]),
        (&["--only", "*.bin", "--skip", "pytorch*"], &[]),
    ] {
        let to = dir.path("out");
        ok([&["pack", &source, "-o", &to][..], options].concat());
        for (name, bytes, _) in files {
            let made = dir.path(&name.replacen("in", "out", 1));
            if packed.contains(&name) {
                let archive = fs::metadata(format!("{made}.wfz")).unwrap();
                assert!(archive.len() < bytes.len() as u64 * 4 / 5, "{name}");
            } else {
                assert!(fs::read(&made).unwrap() == bytes, "{name}");
            }
        }
        ok(["unpack", &to, "-o", &dir.path("back")]);
        for (name, bytes, _) in files {
            let back = fs::read(dir.path(&name.replacen("in", "back", 1))).unwrap();
            assert!(back == bytes, "{name}");
        }
        fs::remove_dir_all(to).unwrap();
        fs::remove_dir_all(dir.path("back")).unwrap();
    }
    // As good as in a container that is known.
    let known = safetensors(&[
        ("a", "BF16", &[1 << 10, 1 << 10], weights(5, 1 << 20)),
        ("b", "BF16", &[1 << 10, 1 << 9], weights(6, 1 << 19)),
    ]);
    let packed = |name: &str, bytes: &[u8]| {
        let file = dir.write(name, bytes);
        ok(["pack", &file]);
        fs::metadata(format!("{file}.wfz")).unwrap().len()
    };
    let (as_known, as_strange) = (packed("known", &known), packed("strange", &strange));
    assert!(as_strange * 100 < as_known * 101, "{as_strange} {as_known}");
    let (status, _, stderr) = run(["pack", &dir.path("known"), "--only", "*"]);
    assert!(status == 2 && stderr.contains("of directories"), "{stderr}");
}

/// Programs, hidden files and what is no weights are for others than those who read models.
#[test]
fn in_place_only_weights_are_taken_of_what_nobody_has_named() {
    let dir = Dir::new();
    let strange = strange_container(7);
    let text = "some words of a large tokenizer 0123456789 ".repeat(50_000);
    let program = dir.write("in/bin/program", &strange);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let special = dir.write("in/special.bin", &strange);
    fs::set_permissions(&special, fs::Permissions::from_mode(0o2644)).unwrap();
    // Larger in an archive than what is there of it.
    let sparse = fs::File::create(dir.path("in/sparse.img")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(&noise(2, 1 << 16), 5 << 20).unwrap();
    for (name, bytes) in [
        ("in/model.bin", &strange[..]),
        ("in/.git/index", &strange[..]),
        ("in/tokenizer.json", text.as_bytes()),
    ] {
        dir.write(name, bytes);
    }
    let source = dir.path("in");
    let replaced = |options: &[&str]| -> Vec<String> {
        ok([&["pack", "--replace", &source][..], options].concat());
        let names = [
            "model.bin",
            "tokenizer.json",
            "bin/program",
            ".git/index",
            "special.bin",
            "sparse.img",
        ];
        let is_replaced = |name: &&&str| !fs::exists(dir.path(&format!("in/{name}"))).unwrap();
        let found = names.iter().filter(is_replaced).map(ToString::to_string);
        let found = found.collect();
        ok(["unpack", "--replace", &source]);
        found
    };
    let dry = |options: &[&str]| {
        let command = [
            &["pack", "--replace", "--dry-run", "--json", &source][..],
            options,
        ]
        .concat();
        json(&ok(command))["files"].as_array().unwrap().len()
    };
    assert_eq!(dry(&[]), 1);
    assert_eq!(replaced(&[]), ["model.bin"]);
    assert_eq!(dry(&["--only", "*"]), 4);
    assert_eq!(
        replaced(&["--only", "*"]),
        ["model.bin", "tokenizer.json", "bin/program", ".git/index"]
    );
    assert_eq!(fs::read(&program).unwrap(), strange);
    let (status, _, stderr) = run(["pack", "--replace", &special]);
    assert!(status == 2 && stderr.contains("is no model"), "{stderr}");
}

#[test]
fn files_of_a_hub_are_chosen_by_the_names_of_their_links() {
    let dir = Dir::new();
    hub(&dir, false);
    let source = dir.path("hub");
    for (options, archives) in [
        (["--only", "*.safetensors"], 1),
        (["--skip", "*.safetensors"], 0),
        (["--only", "etag"], 1),
    ] {
        let to = dir.path("out");
        let command = [&["pack", "--json", &source, "-o", &to][..], &options].concat();
        assert_eq!(json(&ok(command))["archives"], archives, "{options:?}");
        fs::remove_dir_all(to).unwrap();
    }
    for in_place in [&[][..], &["--replace"]] {
        let command = [
            &["pack", "--dry-run", &source, "--only", "typo*"][..],
            in_place,
        ]
        .concat();
        let (status, _, stderr) = run(command);
        assert!(status == 2 && stderr.contains("typo*"), "{stderr}");
    }
    let archive = dir.write("m.safetensors", &model(3, 1));
    ok(["pack", &archive]);
    let (status, _, stderr) = run(["pack", "--dry-run", &format!("{archive}.wfz")]);
    assert!(status == 2 && stderr.contains("already"), "{stderr}");
}
