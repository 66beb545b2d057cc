//! `pack --replace` and `unpack --replace`, and what is left when they are stopped at any moment.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::fs::{XattrFlags, getxattr, setxattr};
use serde_json::Value;
use support::ordinary_user::{NOBODY, OrdinaryUser, copy_program};
use support::{model, ok, run, weightfs};

/// A directory like that of a model, and the bytes of each file in it.
fn models(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (name, bytes) in [
        ("model-00001-of-00002.safetensors", model(1, 1)),
        ("model-00002-of-00002.safetensors", model(2, 1)),
        ("sub/adapter.safetensors", model(3, 1)),
        ("sub/blob", model(4, 1)),
        ("config.json", b"{}".to_vec()),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &bytes).unwrap();
        files.insert(path, bytes);
    }
    files
}

/// All regular files below a directory.
fn files_in(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_in(&path));
        } else if entry.file_type().unwrap().is_file() {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn archive(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.wfz", text(path)))
}

/// As where root has copied a file into somebody's directory.
#[test]
fn a_file_of_a_group_of_others_is_left_as_it_is_and_said_why() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can give it to a group of others.
        return;
    }
    let user = OrdinaryUser::new();
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("weightfs");
    copy_program(&program);
    let bytes = model(1, 2);
    let path = dir.path().join("m.safetensors");
    fs::write(&path, &bytes).unwrap();
    user.give(&[dir.path(), &path]);
    let pack = || {
        let mut command = user.command(&program);
        let output = command.args(["pack", "--replace"]).arg(&path).output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    };
    std::os::unix::fs::chown(&path, None, Some(0)).unwrap();
    let (has_packed, said) = pack();
    let why = format!("to user {NOBODY} and group 0, whose file it stands in for");
    assert!(!has_packed && said.contains(&why), "{said}");
    assert!(fs::read(&path).unwrap() == bytes && !archive(&path).exists());
    user.give(&[&path]);
    let (has_packed, said) = pack();
    assert!(has_packed && archive(&path).exists(), "{said}");
}

#[test]
fn archives_take_the_place_of_models_and_give_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("models");
    let before = models(&root);
    let first = root.join("model-00001-of-00002.safetensors");
    symlink("model-00001-of-00002.safetensors", root.join("link")).unwrap();
    let outside = dir.path().join("outside.safetensors");
    fs::write(&outside, model(9, 1)).unwrap();
    symlink(&outside, root.join("leads-out.safetensors")).unwrap();
    fs::set_permissions(&first, fs::Permissions::from_mode(0o640)).unwrap();
    setxattr(&first, "user.note", b"kept", XattrFlags::empty()).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_600_000_000_123_456_789);
    let file = File::options().write(true).open(&first).unwrap();
    let times = fs::FileTimes::new().set_modified(time).set_accessed(time);
    file.set_times(times).unwrap();
    drop(file);
    std::os::unix::fs::chown(&first, Some(1234), Some(2345)).unwrap();

    let plan = ok(["pack", "--replace", "--dry-run", text(&root), "--json"]);
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["files"].as_array().unwrap().len(), 4);
    assert_eq!(files_in(&root), before, "a dry run writes nothing");

    let (status, _, stderr) = run(["pack", "--replace", text(&root)]);
    assert_eq!(status, 0, "{stderr}");
    assert!(
        stderr.contains("leads-out.safetensors leads out"),
        "{stderr}"
    );
    assert!(outside.exists(), "what links lead to is not touched");
    for path in before.keys().filter(|path| !path.ends_with("config.json")) {
        assert!(!path.exists() && archive(path).exists(), "{path:?}");
    }
    let check = |path: &Path| {
        let meta = fs::metadata(path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1234, 2345));
        assert_eq!(meta.permissions().mode() & 0o7777, 0o640);
        assert_eq!(meta.modified().unwrap(), time);
        let mut note = [0; 16];
        let len = getxattr(path, "user.note", &mut note[..]).unwrap();
        assert_eq!(&note[..len], b"kept");
    };
    check(&archive(&first));
    ok(["verify", "--deep", text(&root)]);

    ok(["unpack", "--replace", text(&root)]);
    assert_eq!(files_in(&root), before);
    check(&first);
    // Nothing left to do is no mistake.
    ok(["unpack", "--replace", text(&root)]);
}

#[test]
fn a_run_that_was_stopped_between_archive_and_removal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.safetensors");
    let bytes = model(1, 1);
    fs::write(&file, &bytes).unwrap();
    ok(["pack", text(&file)]);
    assert!(file.exists() && archive(&file).exists());
    ok(["pack", "--replace", text(&file)]);
    assert!(!file.exists());
    // The other way round as well.
    fs::write(&file, &bytes).unwrap();
    ok(["unpack", "--replace", text(&archive(&file))]);
    assert!(!archive(&file).exists());
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn two_that_differ_are_both_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.safetensors");
    fs::write(&file, model(1, 1)).unwrap();
    ok(["pack", text(&file)]);
    let mut other = fs::read(&file).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&file, &other).unwrap();
    let before = files_in(dir.path());
    for (command, path) in [("pack", file.clone()), ("unpack", archive(&file))] {
        let (status, _, stderr) = run([command, "--replace", text(&path)]);
        assert_eq!(status, 2);
        assert!(stderr.contains("holds something else"), "{stderr}");
        assert_eq!(files_in(dir.path()), before);
    }
}

#[test]
fn what_cannot_be_replaced_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("text"), b"text").unwrap();
    fs::write(path("m.safetensors"), model(1, 1)).unwrap();
    symlink("m.safetensors", path("link.safetensors")).unwrap();
    // An archive that is only a link to one.
    fs::write(path("n.safetensors"), model(2, 1)).unwrap();
    ok([
        "pack",
        text(&path("n.safetensors")),
        "-o",
        text(&path("elsewhere")),
    ]);
    symlink("elsewhere", path("n.safetensors.wfz")).unwrap();
    let before = files_in(dir.path());
    for (arguments, reason) in [
        (
            &["pack", "--replace", text(&path("n.safetensors"))][..],
            "not a regular file",
        ),
        (
            &["pack", "--replace", text(&path("text"))][..],
            "is no model",
        ),
        (
            &["pack", "--replace", text(&path("link.safetensors"))],
            "is a link",
        ),
        (
            &["unpack", "--replace", text(&path("text"))],
            "is no archive",
        ),
        (&["pack", "--replace", text(&path("none"))], "No such file"),
        (&["unpack", "--dry-run", text(&path("text"))], "--replace"),
        (
            &["pack", "--replace", "-o", "x", text(&path("text"))],
            "cannot be used with",
        ),
    ] {
        let (status, _, stderr) = run(arguments);
        assert_eq!(status, 2, "{arguments:?}");
        assert!(stderr.contains(reason), "{stderr}");
    }
    assert_eq!(files_in(dir.path()), before);
}

#[test]
fn names_of_one_file_are_replaced_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let bytes = model(1, 1);
    fs::create_dir(path("m")).unwrap();
    fs::write(path("m/a.safetensors"), &bytes).unwrap();
    for name in ["m/b.safetensors", "m/blob", "elsewhere"] {
        fs::hard_link(path("m/a.safetensors"), path(name)).unwrap();
    }
    let names = ["a.safetensors", "b.safetensors", "blob"];
    let links = |name: &str| fs::metadata(path(name)).unwrap().nlink();
    let root = path("m");
    let (status, _, stderr) = run(["pack", "--replace", text(&root)]);
    assert_eq!(status, 0, "{stderr}");
    assert!(stderr.contains("names elsewhere as well (1)"), "{stderr}");
    for name in names {
        assert!(!root.join(name).exists());
        assert_eq!(links(&format!("m/{name}.wfz")), 3);
    }
    // Stopped while the files were removed, and while archives were given their names.
    fs::write(path("m/blob"), &bytes).unwrap();
    fs::hard_link(path("m/blob"), path("m/b.safetensors")).unwrap();
    fs::remove_file(path("m/blob.wfz")).unwrap();
    ok(["pack", "--replace", text(&root)]);
    assert_eq!(files_in(&root).len(), 3);
    assert_eq!(links("m/blob.wfz"), 3);
    ok(["unpack", "--replace", text(&root)]);
    for name in names {
        assert_eq!(links(&format!("m/{name}")), 3);
        assert!(fs::read(root.join(name)).unwrap() == bytes);
    }
    assert_eq!(files_in(&root).len(), 3);
}

#[test]
fn what_somebody_writes_to_stays() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("m");
    let before = models(&root);
    let written = root.join("model-00001-of-00002.safetensors");
    let writer = File::options().append(true).open(&written).unwrap();
    let (status, _, stderr) = run(["pack", "--replace", text(&root)]);
    assert_eq!(status, 2);
    assert!(stderr.contains("open for writing"), "{stderr}");
    assert!(written.exists() && !archive(&written).exists());
    for path in before.keys().filter(|path| !path.ends_with("config.json")) {
        assert_eq!(path.exists(), *path == written, "{path:?}");
    }
    drop(writer);
    ok(["pack", "--replace", text(&root)]);
    assert!(!written.exists());
}

/// Whoever opens a file at any moment to write to it finds what he wrote afterwards, or no file.
#[test]
fn nothing_is_lost_that_somebody_writes_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.safetensors");
    let bytes = model(1, 2);
    let mut met = 0;
    for round in 0..40u32 {
        fs::write(&file, &bytes).unwrap();
        let mut child = weightfs()
            .args(["pack", "--replace", text(&file)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round)));
        let writer = File::options().append(true).open(&file);
        let status = child.wait().unwrap();
        if let Ok(mut writer) = writer {
            met += 1;
            assert_eq!(status.code(), Some(2));
            writer.write_all(b"more").unwrap();
            let (written, now) = (writer.metadata().unwrap(), fs::metadata(&file).unwrap());
            assert_eq!(
                (now.ino(), now.len()),
                (written.ino(), bytes.len() as u64 + 4)
            );
        } else {
            assert!(status.success());
        }
        let _ = fs::remove_file(archive(&file));
    }
    assert!(met > 0);
}

/// Runs the program with system calls that take long, and something else meanwhile: once there is an
/// archive, for as long as it then waits.
fn slowed(
    delay: &str,
    arguments: &[&str],
    archive: &Path,
    meanwhile: impl FnOnce(),
) -> (i32, String) {
    let child = std::process::Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", &format!("inject={delay}")])
        .arg(env!("CARGO_BIN_EXE_weightfs"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace is installed (Debian: apt install strace)");
    while !archive.exists() {
        std::thread::yield_now();
    }
    meanwhile();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), stderr)
}

#[test]
fn what_takes_the_place_of_a_file_meanwhile_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.safetensors");
    fs::write(&file, model(1, 1)).unwrap();
    let newer = dir.path().join("newer");
    fs::write(&newer, model(2, 1)).unwrap();
    let pack = ["pack", "--replace", text(&file)];
    let (status, stderr) = slowed("fsync:delay_enter=700000", &pack, &archive(&file), || {
        fs::rename(&newer, &file).unwrap();
    });
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("is kept"), "{stderr}");
    assert!(fs::read(&file).unwrap() == model(2, 1));
}

#[test]
fn two_runs_against_each_other_leave_one_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.safetensors");
    fs::write(&file, model(1, 1)).unwrap();
    let pack = ["pack", "--replace", text(&file)];
    let mut other = (0, String::new());
    slowed("fsync:delay_enter=700000", &pack, &archive(&file), || {
        let (status, _, stderr) = run(["unpack", "--replace", text(&archive(&file))]);
        other = (status, stderr);
    });
    assert!(other.1.contains("another weightfs"), "{other:?}");
    assert!(file.exists() || archive(&file).exists());
    for archive in [archive(&file)].iter().filter(|archive| archive.exists()) {
        ok(["verify", "--deep", text(archive)]);
    }
}

/// Kills the program at moments spread over its run, and checks after each that nothing was lost;
/// `WEIGHTFS_TEST_ROUNDS` sets how often.
#[test]
fn killed_at_any_moment_it_loses_nothing() {
    let rounds = support::rounds(40);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("models");
    let before = models(&root);
    let mut longest = Duration::from_millis(30);
    let mut stopped = 0;
    for round in 0..rounds {
        let command = if round % 2 == 0 { "pack" } else { "unpack" };
        let started = std::time::Instant::now();
        let mut child = weightfs()
            .args([command, "--replace", text(&root)])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Golden ratio: moments that cover the run evenly.
        let moment = longest.mul_f64((f64::from(round) * 0.618_034).fract());
        std::thread::sleep(moment);
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            longest = started.elapsed().max(Duration::from_millis(5));
        } else {
            stopped += 1;
        }
        // Each file is there, as itself or as an archive that is whole, or as both.
        for (path, bytes) in &before {
            let archive = archive(path);
            if path.exists() {
                assert!(&fs::read(path).unwrap() == bytes, "{path:?}");
            } else {
                let back = dir.path().join("back");
                ok(["unpack", text(&archive), "-o", text(&back), "--force"]);
                assert!(&fs::read(&back).unwrap() == bytes, "{path:?}");
            }
            if archive.exists() {
                ok(["verify", "--deep", text(&archive)]);
            }
        }
        // The next run finishes what was begun.
        ok([command, "--replace", text(&root)]);
        for path in before.keys().filter(|path| !path.ends_with("config.json")) {
            assert_eq!(path.exists(), command == "unpack", "{path:?}");
            assert_eq!(archive(path).exists(), command == "pack", "{path:?}");
        }
        let left = files_in(&root);
        let left: Vec<_> = left.keys().filter(|p| text(p).ends_with("-tmp")).collect();
        assert!(left.is_empty(), "unfinished files are removed: {left:?}");
    }
    assert!(
        stopped > rounds / 8,
        "only {stopped} of {rounds} were in time"
    );
}
