//! Every command where source and destination are on a file system that refuses shared maps.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_arguments,
    missing_docs,
    reason = "test code"
)]

#[path = "../support/mod.rs"]
mod support;

mod pageless;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pageless::{serve_on, stop};
use support::{Mount, Place, json, model, noise, ok, run, weightfs};
use weightfs::storage::MappedFile;

struct Pageless {
    place: Place,
    served: Mount,
    original: Vec<u8>,
}

impl Pageless {
    fn new() -> Self {
        let place = Place::new();
        let at = |name: &str| place.root.path().canonicalize().unwrap().join(name);
        Self {
            served: serve_on(&at("directory"), &at("pageless")),
            original: model(11, 2),
            place,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.served.path(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), bytes).unwrap();
        self.at(name)
    }

    fn is_original(&self, path: &Path) -> bool {
        fs::read(path).unwrap() == self.original
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_command_works_without_shared_maps() {
    let there = Pageless::new();
    let file = there.write("file.safetensors", &there.original);
    let error = MappedFile::new(&File::open(&file).unwrap()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    // A file, read back from there, and back again.
    let archive = there.at("file.safetensors.wfz");
    ok(["pack", text(&file)]);
    assert!(ok(["verify", text(&archive)]).contains("ok"));
    ok(["verify", "--deep", text(&archive)]);
    let copy = there.at("copy");
    ok(["unpack", text(&archive), "-o", text(&copy)]);
    assert!(there.is_original(&copy));
    let found = json(&ok(["inspect", "--json", text(&archive)]));
    assert_eq!(found["tensors"].as_array().unwrap().len(), 5);
    ok(["analyze", text(&file)]);
    // Directories, and all levels.
    there.write("dir/m.safetensors", &there.original);
    there.write("dir/sub/other", &noise(1, 1000));
    std::os::unix::fs::symlink("m.safetensors", there.at("dir/link.safetensors")).unwrap();
    for level in ["fast", "default", "max"] {
        let packed = there.at(&format!("packed-{level}"));
        ok([
            "pack",
            "--level",
            level,
            text(&there.at("dir")),
            "-o",
            text(&packed),
        ]);
        ok(["verify", text(&packed)]);
        let unpacked = there.at(&format!("unpacked-{level}"));
        ok(["unpack", text(&packed), "-o", text(&unpacked)]);
        assert!(there.is_original(&unpacked.join("link.safetensors")));
        assert_eq!(
            fs::read(unpacked.join("sub/other")).unwrap(),
            noise(1, 1000)
        );
    }
    // In place, also where a run was stopped when both were there.
    for _ in 0..2 {
        ok(["pack", "--replace", text(&there.at("dir"))]);
        assert!(there.at("dir/m.safetensors.wfz").exists());
        assert!(!there.at("dir/m.safetensors").exists());
        ok(["unpack", "--replace", text(&there.at("dir"))]);
        assert!(there.is_original(&there.at("dir/m.safetensors")));
        ok(["pack", text(&there.at("dir/m.safetensors"))]);
    }
    stop(there.served);
}

#[test]
fn a_mount_of_such_a_source_serves_also_with_a_guard_and_over_itself() {
    let there = Pageless::new();
    there.write("dir/plain", b"plain");
    let file = there.write("dir/m.safetensors", &there.original);
    ok(["pack", "--replace", text(&file)]);
    for (mountpoint, options) in [
        (there.place.mountpoint.clone(), &["--push", "always"][..]),
        (there.at("dir"), &[]),
        (there.place.mountpoint.clone(), &["--cache-size", "0"]),
    ] {
        let mut command = weightfs();
        command
            .arg("mount")
            .args(options)
            .args([&there.at("dir"), &mountpoint]);
        let mount = Mount::spawn(command, &mountpoint, std::time::Duration::from_secs(240));
        assert!(there.is_original(&mount.path("m.safetensors")));
        assert_eq!(fs::read(mount.path("plain")).unwrap(), b"plain");
        mount.stop();
    }
    stop(there.served);
}

#[test]
fn what_cannot_be_read_names_file_and_place_and_is_no_damage() {
    let there = Pageless::new();
    let file = there.write("m", &noise(3, 2 << 20));
    // Its name is bad only once it is written.
    let good = there.at("good.wfz");
    ok(["pack", text(&file), "-o", text(&good)]);
    let bad = there.at("bad.wfz");
    fs::rename(&good, &bad).unwrap();
    let place = "block 1 (bytes 262144..524288): cannot read stored bytes";
    for arguments in [
        &["verify", text(&bad)][..],
        &["unpack", text(&bad), "-o", text(&there.at("out"))],
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!(status, 2, "{stdout}{stderr}");
        for what in [text(&bad), place, "Input/output error"] {
            let said = format!("{stdout}{stderr}");
            assert!(said.contains(what), "{what}: {said}");
        }
        if arguments[0] == "verify" {
            let sum = "1 archives, 0 damaged, 1 not verified";
            assert!(stdout.contains(sum), "{stdout}");
        }
    }
    // A source that cannot be read.
    let source = there.at("bad");
    fs::rename(&file, &source).unwrap();
    for arguments in [
        &["pack", text(&source), "-o", text(&there.at("out"))][..],
        &["analyze", text(&source)],
    ] {
        let (status, _, stderr) = run(arguments);
        assert_eq!(status, 2, "{stderr}");
        assert!(
            stderr.contains(text(&source)) && stderr.contains("Input/output error"),
            "{stderr}"
        );
    }
    let mut command = weightfs();
    command
        .arg("mount")
        .args([&bad, &there.place.mountpoint])
        .stderr(Stdio::piped());
    let mut mount = Mount::spawn(
        command,
        &there.place.mountpoint,
        std::time::Duration::from_secs(240),
    );
    let mut messages = mount.take_stderr();
    let error = fs::read(mount.path("bad")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    mount.stop();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut messages, &mut said).unwrap();
    assert!(said.contains(place) && said.contains(text(&bad)), "{said}");
    stop(there.served);
}
