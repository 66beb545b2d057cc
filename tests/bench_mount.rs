//! `bench-mount`: the figures are there for people and programs, and no mount, process or directory is
//! left behind, however it ends.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Dir, json, model, ok, weightfs};

/// An archive, what it was made from, and a directory for what a run leaves behind.
struct Bench {
    dir: Dir,
    original: String,
    archive: String,
}

impl Bench {
    fn new() -> Self {
        let dir = Dir::new();
        let original = dir.write("m.safetensors", &model(31, 8));
        ok(["pack", &original]);
        fs::create_dir(dir.path("tmp")).unwrap();
        Self {
            archive: format!("{original}.wfz"),
            original,
            dir,
        }
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = weightfs();
        command
            .env("TMPDIR", self.dir.path("tmp"))
            .args(["bench-mount", &self.archive, "--seconds", "0.2"])
            .args(options);
        command
    }

    fn run(&self, options: &[&str]) -> (i32, String, String) {
        let mut command = self.command(options);
        if !options.contains(&"--rounds") {
            command.args(["--rounds", "1"]);
        }
        let output = command.output().unwrap();
        self.nothing_is_left();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap_or(-1),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn ok(&self, options: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(options);
        assert_eq!(status, 0, "{stdout}{stderr}");
        stdout
    }

    /// The message of a run that must fail.
    fn refused(&self, options: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(options);
        assert_eq!((status, stdout.as_str()), (2, ""), "{stderr}");
        stderr
    }

    fn nothing_is_left(&self) {
        let tmp = self.dir.path("tmp");
        assert!(self.dir.names("tmp").is_empty());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&tmp), "{mounts}");
        assert_eq!(processes(&tmp), Vec::<u32>::new());
    }
}

/// Processes with this in their arguments.
fn processes(argument: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&arguments)
            .contains(argument)
            .then_some(pid)
    })
    .collect()
}

fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect()
}

/// A run that has begun to measure: both its mounts answer.
fn measuring(bench: &mut Child, tmp: &str) -> Vec<(u32, PathBuf)> {
    loop {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points = mounts.lines().filter(|line| line.contains(tmp)).count();
        let children = children(bench.id());
        if points == 2 && children.len() == 2 {
            return children
                .into_iter()
                .map(|pid| (pid, Path::new("/proc").join(pid.to_string())))
                .collect();
        }
        let ended = bench.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {ended:?}");
        std::thread::yield_now();
    }
}

const EVERY_WORKLOAD: [&str; 13] = [
    "read",
    "mmap",
    "mmap-willneed",
    "rand-4k",
    "rand-64k",
    "rand-4k-mmap",
    "shared-2",
    "shared-4",
    "shared-16",
    "own-2",
    "own-4",
    "own-16",
    "processes-4",
];

fn result<'a>(found: &'a Value, workload: &str, cache: &str) -> &'a Value {
    let results = found["results"].as_array().unwrap();
    results
        .iter()
        .find(|one| one["workload"] == workload && one["cache"] == cache)
        .unwrap_or_else(|| panic!("no {workload}, {cache}: {found}"))
}

fn is_positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|value| value > 0.0)
}

#[test]
fn every_workload_is_measured_on_every_target() {
    let bench = Bench::new();
    let beside = format!("copy={}", bench.original);
    let found = json(&bench.ok(&["--raw", &bench.original, "--beside", &beside, "--json"]));
    let bytes = fs::metadata(&bench.original).unwrap().len();
    assert_eq!(found["original_bytes"], bytes);
    assert_eq!(
        found["stored_bytes"],
        fs::metadata(&bench.archive).unwrap().len()
    );
    assert_eq!(found["settings"]["rounds"], 1);
    for field in ["cpu", "cores", "kernel", "root"] {
        assert!(!found["machine"][field].is_null(), "{field}");
    }
    let targets = found["targets"].as_array().unwrap();
    let names: Vec<_> = targets.iter().map(|target| &target["name"]).collect();
    assert_eq!(names, ["weightfs", "null", "raw", "copy"]);
    assert!(targets.iter().all(|target| target["bytes"] == bytes));
    for served in &targets[..2] {
        assert!(is_positive(&served["readahead_bytes"]), "{served}");
        assert!(is_positive(&served["server_peak_bytes"]), "{served}");
    }
    for workload in EVERY_WORKLOAD {
        let cold = &result(&found, workload, "cold")["targets"];
        assert!(cold["raw"].is_null() || cold["raw"]["gb_per_s"].is_null());
        for target in ["weightfs", "null", "copy"] {
            let field = if workload.starts_with("rand") {
                "p99_us"
            } else {
                "gb_per_s"
            };
            assert!(is_positive(&cold[target][field]), "{workload} {target}");
        }
        if !workload.starts_with("rand") {
            let warm = result(&found, workload, "warm");
            for target in ["weightfs", "null", "copy", "raw"] {
                assert!(is_positive(&warm["targets"][target]["gb_per_s"]));
            }
            assert!(is_positive(&warm["of_null"]), "{workload}");
            assert!(is_positive(&warm["of_raw"]), "{workload}");
        }
    }
    // 10 cold and warm, 3 cold, on three; 10 warm on the raw file.
    let measurements = found["measurements"].as_array().unwrap();
    assert_eq!(measurements.len(), 3 * 23 + 10);
    for one in measurements.iter().filter(|one| one["cache"] == "cold") {
        let cached = one["cached_bytes_before"].as_u64().unwrap();
        assert!(cached < bytes / 10, "{one}");
    }
    for one in measurements.iter().filter(|one| one["cache"] == "warm") {
        let cached = one["cached_bytes_before"].as_u64().unwrap();
        assert!(cached > bytes / 10 * 9, "{one}");
    }
}

#[test]
fn storage_means_that_the_raw_file_is_read_from_the_disk_as_well() {
    let bench = Bench::new();
    let options = ["--raw", &bench.original, "--storage"];
    let workloads = ["--workloads", "read,rand-64k", "--threads", "3"];
    let found = json(&bench.ok(&[&options, &workloads[..], &["--json"]].concat()));
    assert_eq!(found["settings"]["storage"], true);
    assert_eq!(found["settings"]["threads"], 3);
    assert_eq!(found["results"].as_array().unwrap().len(), 2);
    // A temporary directory in memory cannot be read from anywhere else, and says so.
    let notes = found["notes"].as_array().unwrap();
    if notes.is_empty() {
        let read = result(&found, "read", "cold");
        assert!(is_positive(&read["of_raw"]), "{found}");
        let random = result(&found, "rand-64k", "cold");
        assert!(is_positive(&random["targets"]["raw"]["p50_us"]), "{found}");
    }
    let text = bench.ok(&[&options, &workloads[..]].concat());
    assert!(text.contains("GB/s, cold"), "{text}");
    assert!(!text.contains("GB/s, warm"), "{text}");
}

#[test]
fn a_file_that_somebody_has_mapped_gets_no_cold_figures() {
    let bench = Bench::new();
    let beside = bench.dir.write("mapped", &model(32, 2));
    let mapped = weightfs::storage::MappedFile::new(&fs::File::open(&beside).unwrap()).unwrap();
    let sum: u64 = mapped.as_slice().iter().map(|&byte| u64::from(byte)).sum();
    assert!(sum > 0);
    let beside = format!("mapped={beside}");
    let found = json(&bench.ok(&["--beside", &beside, "--workloads", "read", "--json"]));
    let notes = found["notes"].to_string();
    assert!(
        notes.contains("mapped: ") && notes.contains("cold"),
        "{notes}"
    );
    let figure = |cache| &result(&found, "read", cache)["targets"]["mapped"]["gb_per_s"];
    assert!(figure("cold").is_null());
    assert!(is_positive(figure("warm")));
}

#[test]
fn wrong_arguments_are_told_before_anything_is_measured() {
    let bench = Bench::new();
    let other = bench.dir.write("other", &model(33, 8));
    let short = bench.dir.write("short", &model(31, 7));
    let said = bench.refused(&["--raw", &other]);
    assert!(said.contains(&other) && said.contains("differ"), "{said}");
    let said = bench.refused(&["--raw", &short]);
    assert!(
        said.contains(&short) && said.contains("instead of"),
        "{said}"
    );
    for (options, expected) in [
        (&["--raw", "/nowhere/at/all"][..], "/nowhere/at/all"),
        (&["--beside", "b=/nowhere/at/all"], "/nowhere/at/all"),
        (&["--beside", "b"], "LABEL=FILE"),
        (&["--beside", "null=/dev/null"], "null"),
        (&["--workloads", "read,swim"], "swim"),
        (&["--threads", "0"], "threads"),
        (&["--rounds", "0"], "rounds"),
        (&["--raw", "/"], "not a file"),
    ] {
        let said = bench.refused(options);
        assert!(said.contains(expected), "{options:?}: {said}");
    }
    for (name, contents) in [
        ("no-archive", &b"x"[..]),
        ("no-archive.wfz", b"not an archive"),
    ] {
        let path = bench.dir.write(name, contents);
        let (status, _, said) = support::run(["bench-mount", &path]);
        assert_eq!(status, 2, "{said}");
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn damage_ends_it_with_an_error_that_names_the_archive() {
    let bench = Bench::new();
    let mut bytes = fs::read(&bench.archive).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 10_000] {
        *byte ^= 0xff;
    }
    fs::write(&bench.archive, bytes).unwrap();
    for workload in ["read", "mmap", "mmap-willneed", "own-4", "processes-4"] {
        let said = bench.refused(&["--workloads", workload]);
        assert!(said.contains("m.safetensors.wfz"), "{workload}: {said}");
        assert!(said.contains("damaged: "), "{workload}: {said}");
    }
}

#[test]
fn a_run_that_is_interrupted_ends_its_mounts() {
    let bench = Bench::new();
    for name in ["INT", "TERM"] {
        let mut process = bench
            .command(&["--rounds", "1000"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let servers = measuring(&mut process, &bench.dir.path("tmp"));
        support::signal(process.id(), name);
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("interrupted"), "{said}");
        for (_, server) in servers {
            assert!(!server.exists());
        }
        bench.nothing_is_left();
    }
}

#[test]
fn mounts_end_with_a_run_that_is_killed() {
    let bench = Bench::new();
    let tmp = bench.dir.path("tmp");
    let mut process = bench.command(&["--rounds", "1000"]).spawn().unwrap();
    measuring(&mut process, &tmp);
    support::signal(process.id(), "KILL");
    process.wait().unwrap();
    let start = Instant::now();
    let is_mounted = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.contains(&tmp)
    };
    while is_mounted() || !processes(&tmp).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
}

#[test]
fn a_mount_that_stands_still_is_given_up() {
    let bench = Bench::new();
    let mut process = bench
        .command(&["--rounds", "1000", "--patience", "1"])
        .args(["--workloads", "read"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The mount of the archive or null: both hold the run up.
    let mut stopped = Vec::new();
    let stderr = BufReader::new(process.stderr.take().unwrap());
    while process.try_wait().unwrap().is_none() {
        for pid in children(process.id()) {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let serves = String::from_utf8_lossy(&arguments).contains("mount");
            if serves && is_mount_server(pid) && !stopped.contains(&pid) {
                support::signal(pid, "STOP");
                stopped.push(pid);
            }
        }
        std::thread::yield_now();
    }
    let said: String = stderr.lines().map_while(Result::ok).collect();
    assert_eq!(process.wait().unwrap().code(), Some(2), "{said}");
    assert!(said.contains("stood still for 1 s"), "{said}");
    bench.nothing_is_left();
}

/// True once the kernel hands it requests: it holds the device open and has said that it is ready.
fn is_mount_server(pid: u32) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors.flatten().any(|entry| {
        fs::read_link(entry.path()).is_ok_and(|target| target == Path::new("/dev/fuse"))
    })
}
