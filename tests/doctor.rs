//! `doctor`: what it finds on a machine, a source and a mount, and its exit status.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::ordinary_user::{OrdinaryUser, copy_program};
use support::{Place, json, model, run, signal};

/// The object that it prints of a place, and its exit status.
fn doctor(path: &Path) -> (i32, Value) {
    let (status, stdout, stderr) = run(["doctor".as_ref(), "--json".as_ref(), path.as_os_str()]);
    assert!(!stdout.is_empty(), "{stderr}");
    (status, json(&stdout))
}

/// True if an advice has these words and this weight.
fn says(found: &Value, weight: &str, words: &str) -> bool {
    let all = found["advice"].as_array().unwrap();
    all.iter().any(|one| {
        let text = format!("{} {}", one["because"], one["advice"]);
        one["weight"] == weight && text.contains(words)
    })
}

#[test]
fn a_machine_that_can_mount_is_told_with_what_its_kernel_offers() {
    let (status, stdout, stderr) = run(["doctor", "--json"]);
    assert_eq!(status, 0, "{stdout}{stderr}");
    let found = json(&stdout);
    let machine = &found["facts"]["machine"];
    let mount = &machine["test_mount"];
    assert_eq!(mount["offer"]["protocol"][0], 7, "{mount}");
    for speed in [
        &mount["read"],
        &machine["processor"]["decode"][0]["one_thread"],
    ] {
        assert!(speed.as_u64().unwrap() > 0, "{machine}");
    }
    for number in ["cache_bytes", "threads", "most_bytes", "limit_bytes"] {
        assert!(machine["memory"][number].as_u64().unwrap() > 0, "{machine}");
    }
    let used = |set: &Value| set["is_used"] == true;
    let sets = machine["processor"]["decode"].as_array().unwrap();
    assert_eq!(sets.iter().filter(|set| used(set)).count(), 1);
    assert!(found["facts"]["source"].is_null() && found["facts"]["load"].is_null());
    let (status, stdout, _) = run(["doctor"]);
    assert_eq!(status, 0);
    for line in [
        "/dev/fuse ",
        "test mount",
        "FUSE protocol",
        "processor ",
        "what to do",
    ] {
        assert!(stdout.contains(line), "{line} in {stdout}");
    }
}

#[test]
fn a_source_is_told_with_its_disk_its_decoding_and_what_limits_a_load() {
    let place = Place::new();
    let archive = place.pack("m.safetensors", &model(1, 4));
    for path in [&place.source, &archive] {
        let (status, found) = doctor(path);
        assert_eq!(status, 0, "{found}");
        let source = &found["facts"]["source"];
        assert_eq!(source["archives"], 1, "{source}");
        let packed = &source["packed"];
        assert_eq!(
            packed["archive"].as_str().unwrap(),
            archive.to_str().unwrap()
        );
        assert_eq!(packed["element"], "BF16");
        let stored = &packed["as_stored"]["decode"];
        assert!(stored["all_threads"].as_u64().unwrap() > 0, "{packed}");
        assert!(
            packed["decode"]["all_threads"].as_u64().unwrap() > 0,
            "{packed}"
        );
        let levels = packed["levels"].as_array().unwrap().iter();
        let names: Vec<_> = levels
            .map(|level| level["level"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["fast", "default", "max"]);
        // Where tests run in memory, there is no disk to be measured, and it says so.
        let load = &found["facts"]["load"];
        assert_eq!(load["ceilings"].as_array().unwrap().len(), 3, "{load}");
        let is_known = source["disk"]["bytes_per_second"].is_u64();
        assert_eq!(load["limited_by"].is_string(), is_known, "{load}");
        assert_ne!(source["disk"]["unknown"].is_string(), is_known, "{source}");
        assert!(load["at_most"].as_u64().unwrap() > 0, "{load}");
    }
}

#[test]
fn places_that_are_not_as_they_should_be_are_told_by_exit_status_and_words() {
    let place = Place::new();
    // A directory without archives shows what it has.
    let plain = place.write("plain", &model(2, 1));
    let (status, found) = doctor(&place.source);
    assert!(status == 0 && says(&found, "note", "no archive"), "{found}");
    assert!(found["facts"]["source"]["packed"]["unknown"].is_string());
    // A file that is none.
    let (status, found) = doctor(&plain);
    assert!(
        status == 1 && says(&found, "blocks", "pack it first"),
        "{found}"
    );
    // An archive with another name.
    let archive = place.pack("m.safetensors", &model(3, 4));
    let renamed = place.source.join("renamed");
    fs::hard_link(&archive, &renamed).unwrap();
    let (status, found) = doctor(&renamed);
    assert!(
        status == 1 && says(&found, "blocks", "ends in .wfz"),
        "{found}"
    );
    // Damaged archives: no archive at all, one of another length, and one with a damaged block.
    let whole = fs::read(&archive).unwrap();
    let mut longer = whole.clone();
    longer.push(0);
    let mut flipped = whole.clone();
    let middle = whole.len() / 4..whole.len() * 3 / 4;
    flipped[middle].iter_mut().for_each(|byte| *byte ^= 1);
    for bytes in [&[], &[7; 10_000][..], &longer, &flipped] {
        fs::write(&archive, bytes).unwrap();
        for path in [&archive, &place.source] {
            let (status, found) = doctor(path);
            assert!(
                status == 1 && says(&found, "blocks", "weightfs verify"),
                "{found}"
            );
            assert!(!found["advice"].to_string().contains("pack it first"));
            let packed = &found["facts"]["source"]["packed"];
            assert_eq!(packed["ratio"].is_number(), bytes.len() == whole.len());
        }
    }
    fs::remove_file(&archive).unwrap();
    // What is empty.
    let empty = place.root.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let (status, found) = doctor(&empty);
    assert!(
        status == 0 && found["facts"]["source"]["disk"]["unknown"].is_string(),
        "{found}"
    );
    // What is not there.
    let (status, stdout, stderr) = run(["doctor".as_ref(), place.source.join("none").as_os_str()]);
    assert_eq!((status, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains("cannot read") && stderr.contains("none: No such file"),
        "{stderr}"
    );
    // What can be read without an end, or makes one wait for a writer.
    let fifo = place.source.join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    for path in [&fifo, Path::new("/dev/zero")] {
        let (status, stdout, stderr) = run(["doctor".as_ref(), path.as_os_str()]);
        assert_eq!((status, stdout.as_str()), (2, ""));
        assert!(stderr.contains("is not a regular file"), "{stderr}");
    }
}

#[test]
fn an_ordinary_user_is_told_what_is_refused() {
    let place = Place::new();
    let user = OrdinaryUser::new();
    let program = place.root.path().join("weightfs");
    copy_program(&program);
    fs::set_permissions(place.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    place.pack("m", &model(3, 1));
    let secret = place.root.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let run = |path: &Path| {
        user.command(&program)
            .args(["doctor", "--json"])
            .arg(path)
            .output()
            .unwrap()
    };
    let output = run(&secret);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("secret") && stderr.contains("Permission denied"),
        "{stderr}"
    );
    let output = run(&place.source);
    let found = json(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{found}");
    let machine = &found["facts"]["machine"];
    assert_eq!(machine["fuse"]["is_root"], false);
    // Only root may look at pages.
    assert!(
        machine["test_mount"]["large_folios"]["unknown"].is_string(),
        "{machine}"
    );
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_mount_is_told_with_what_its_readers_do_and_who_they_are() {
    let place = Place::new();
    place.pack("m.safetensors", &model(4, 4));
    let mount = place.mount();
    let file = fs::File::open(mount.path("m.safetensors")).unwrap();
    let mut buffer = vec![0; 1 << 20];
    std::os::unix::fs::FileExt::read_at(&file, &mut buffer, 0).unwrap();
    // The mount point, and a path in it.
    for path in [mount.mountpoint.clone(), mount.path("m.safetensors")] {
        let (status, found) = doctor(&path);
        assert_eq!(status, 0, "{found}");
        let told = &found["facts"]["mount"];
        assert_eq!(told["state"], "answers");
        assert!(
            told["stats"]["reads"]["bytes"].as_u64().unwrap() >= 1 << 20,
            "{told}"
        );
        let users = told["users"]["processes"].as_array().unwrap();
        let own = users
            .iter()
            .find(|user| user["process"] == std::process::id());
        assert_eq!(own.unwrap()["open_files"], 1, "{told}");
        assert_eq!(found["facts"]["source"]["archives"], 1, "{found}");
    }
    let (status, stdout, _) = run(["doctor".as_ref(), mount.mountpoint.as_os_str()]);
    assert!(status == 0 && stdout.contains("readers now"), "{stdout}");
    drop(file);
    mount.stop();
}

#[test]
fn a_mount_that_is_dead_or_does_not_answer_keeps_nobody_waiting() {
    let place = Place::new();
    place.pack("m", &model(5, 1));
    let mount = place.mount();
    signal(mount.pid(), "STOP");
    let start = Instant::now();
    // The mount point, and a path in it.
    for path in [mount.mountpoint.clone(), mount.path("m")] {
        let (status, found) = doctor(&path);
        assert!(
            status == 1 && says(&found, "blocks", "umount --abort"),
            "{found}"
        );
        assert_eq!(found["facts"]["mount"]["state"], "silent");
    }
    assert!(start.elapsed() < Duration::from_secs(100));
    signal(mount.pid(), "CONT");
    let mountpoint = mount.mountpoint.clone();
    mount.kill();
    let (status, found) = doctor(&mountpoint);
    assert!(
        status == 1 && says(&found, "blocks", "mount again"),
        "{found}"
    );
    support::umount(&mountpoint);
}

#[test]
fn without_the_device_it_says_so_and_measures_the_rest() {
    // In a namespace of its own, whose /dev is empty but for what programs want.
    let script = r#"
        mount -t tmpfs none /dev && mknod /dev/null c 1 3 && chmod 666 /dev/null || exit 99
        exec "$0" doctor --json"#;
    let output = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            env!("CARGO_BIN_EXE_weightfs"),
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let found = json(&String::from_utf8_lossy(&output.stdout));
    assert!(says(&found, "blocks", "modprobe fuse"), "{found}");
    let machine = &found["facts"]["machine"];
    assert!(machine["fuse"]["device_refused"].is_string(), "{machine}");
    assert!(machine["test_mount"]["unknown"].is_string(), "{machine}");
    assert!(machine["processor"]["decode"].is_array(), "{machine}");
}
