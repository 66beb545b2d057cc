//! Faults while packing: a disk that is full at any moment, a source that cannot be read, and the order
//! in which things become durable.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;
use std::process::Command;

use support::{Dir, Mount, model, noise, ok, run};

#[test]
fn a_disk_that_is_full_at_any_moment_is_said_and_leaves_nothing() {
    let dir = Dir::new();
    let (file, small) = (dir.write("m", &noise(1, 3 << 20)), dir.path("small"));
    fs::create_dir(&small).unwrap();
    // In a mount namespace of its own, which an ordinary user may make as well. The archive has
    // some 3077 KiB; a page less than it needs is the last that is too small.
    let script = r#"
        for size in 4 8 12 16 20 64 256 1024 1500 2048 2560 3000 3060 3064 3068 3072 3076 3080 3084 3088 4096; do
            mount -t tmpfs -o size=${size}k tmpfs "$2" || exit 99
            "$0" pack "$1" -o "$2/m.wfz" > /dev/null 2> "$3"
            echo "$size $? $(ls -A "$2" | tr '\n' ' ')$(grep -c 'No space left on device' "$3")"
            umount "$2"
        done"#;
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .args([env!("CARGO_BIN_EXE_weightfs"), &file, &small])
        .arg(dir.path("stderr"))
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 21, "{stdout}");
    let full = lines.iter().filter(|line| line.ends_with(" 2 1")).count();
    let done = lines.iter().filter(|line| line.ends_with(" 0 m.wfz 0"));
    assert!(full >= 12 && full + done.count() == 21, "{stdout}");
}

#[test]
fn a_source_that_cannot_be_read_is_said_and_leaves_nothing() {
    let dir = Dir::new();
    // A file that answers EIO in its middle: a damaged archive, mounted.
    let (source, mountpoint) = (dir.path("source"), dir.path("mount"));
    fs::create_dir(&mountpoint).unwrap();
    let file = dir.write("source/m", &noise(1, 4 << 20));
    ok(["pack", &file]);
    fs::remove_file(&file).unwrap();
    let archive = dir.path("source/m.wfz");
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let mount = Mount::start(source.as_ref(), mountpoint.as_ref());
    for command in ["pack", "analyze"] {
        let out = dir.path("out");
        let bad = dir.path("mount/m");
        let mut arguments = vec![command, &bad];
        if command == "pack" {
            arguments.extend(["-o", &out]);
        }
        let (status, _, stderr) = run(arguments);
        assert_eq!(status, 2, "{stderr}");
        assert!(stderr.contains("Input/output error"), "{stderr}");
        assert!(stderr.contains("mount/m"), "{stderr}");
    }
    mount.stop();
    assert_eq!(dir.names(""), ["mount", "source"]);
}

/// Position of the first line that has all of the words.
fn find(lines: &[&str], words: &[&str]) -> usize {
    let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
    let found = lines.iter().position(has_all);
    found.unwrap_or_else(|| panic!("no {words:?} in {lines:#?}"))
}

#[test]
fn what_was_written_is_durable_before_it_has_a_name_and_the_name_before_the_source_goes() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &model(1, 2));
    let trace = dir.path("trace");
    let calls = "trace=pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat";
    let status = Command::new("strace")
        .args(["-f", "-y", "-e", calls, "-o", &trace])
        .args([env!("CARGO_BIN_EXE_weightfs"), "pack", "--replace", &file])
        .status()
        .expect("strace is installed (Debian: apt install strace)");
    assert!(status.success());
    let trace = fs::read_to_string(trace).unwrap();
    let lines: Vec<_> = trace.lines().collect();
    let directory = format!("{}>)", dir.path("").trim_end_matches('/'));
    let last_write = lines.iter().rposition(|line| line.contains("pwrite64("));
    let synced = find(&lines, &["fsync(", "wfz-tmp>"]);
    let named = find(&lines, &["rename", "m.safetensors.wfz"]);
    let name_synced = named + find(&lines[named..], &["fsync(", &directory]);
    let aside = find(&lines, &["rename", "m.safetensors\", "]);
    let removed = aside + find(&lines[aside..], &["unlink", "wfz-tmp\""]);
    let removal_synced = removed + find(&lines[removed..], &["fsync(", &directory]);
    let order = [
        last_write.unwrap(),
        synced,
        named,
        name_synced,
        aside,
        removed,
        removal_synced,
    ];
    assert!(order.is_sorted(), "{order:?} in {lines:#?}");
}
