//! Too few threads or processes, too little address space: fewer threads, or an error that says what to
//! raise.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::group::Group;
use crate::limited::{NOBODY, limit_address_space, limit_processes};
use crate::support::{Place, Watched, is_mounted, model, signal, weightfs};

const PROGRAM: &str = env!("CARGO_BIN_EXE_weightfs");

/// A file and an archive of it.
struct Files {
    place: Place,
    original: Vec<u8>,
}

impl Files {
    fn new() -> Self {
        let place = Place::new();
        let original = model(7, 2);
        place.write("file", &original);
        place.pack("m", &original);
        Self { place, original }
    }

    /// Runs each job as a command that `limited` makes; returns how many of them were done.
    fn run_jobs(&self, limited: impl Fn() -> Command) -> usize {
        let source = &self.place.source;
        let (file, archive) = (source.join("file"), source.join("m.wfz"));
        let out = self.place.root.path().join("out");
        let mut done = 0;
        for arguments in [
            &["pack".as_ref(), file.as_path(), "-o".as_ref(), &out][..],
            &["unpack".as_ref(), &archive, "-o".as_ref(), &out],
            &["verify".as_ref(), &archive],
            &["inspect".as_ref(), &archive],
            &["analyze".as_ref(), &file],
        ] {
            let mut command = limited();
            command.args(arguments).env("RUST_BACKTRACE", "1");
            if !["inspect", "analyze"]
                .map(Path::new)
                .contains(&arguments[0])
            {
                command.args(["--threads", "8"]);
            }
            if !is_done(&command.output().unwrap(), arguments) {
                continue;
            }
            done += 1;
            if arguments[0] == Path::new("unpack") {
                assert!(fs::read(&out).unwrap() == self.original);
            }
            let _ = fs::remove_file(&out);
        }
        done
    }

    /// Mounts as a command that `limited` makes; true if that is done, and all was read right.
    fn mount(&self, mut command: Command) -> bool {
        let mountpoint = &self.place.mountpoint;
        let _watched = Watched::new(mountpoint);
        let mut child = command
            .args(["mount", "--threads", "8", "--metrics", "127.0.0.1:0"])
            .args([&self.place.source, mountpoint])
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut first).unwrap();
        let is_ready = first.starts_with("ready: ");
        if is_ready {
            assert!(fs::read(mountpoint.join("m")).unwrap() == self.original);
            signal(child.id(), "TERM");
        }
        let output = child.wait_with_output().unwrap();
        let is_done = is_done(&output, &["mount".as_ref()]);
        assert_eq!(is_done, is_ready);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!is_mounted(mountpoint), "left behind: {stderr}");
        let later = "cannot check that the mount answers";
        let is_known_before = !stderr.contains(later);
        assert!(is_known_before, "known before it is mounted: {stderr}");
        is_done
    }
}

/// True if it is done; else it must have said what is missing.
fn is_done(output: &Output, arguments: &[&Path]) -> bool {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !stderr.contains("panicked") && !stderr.contains("backtrace"),
        "{arguments:?}: {stderr}"
    );
    match output.status.code() {
        Some(0) => true,
        Some(2) => {
            let says = ["raise the limit", "Cannot allocate memory"];
            let said = says.iter().any(|what| stderr.contains(what));
            assert!(said, "{arguments:?}: {stderr}");
            false
        }
        _ => panic!("{arguments:?}: {} {stderr}", output.status),
    }
}

#[test]
fn jobs_with_too_few_threads_are_done_with_fewer_or_say_what_to_raise() {
    let files = Files::new();
    for count in [1, 2, 3, 5, 9, 20] {
        let group = Group::of_threads(count);
        let done = files.run_jobs(|| group.command(PROGRAM.as_ref()));
        assert_eq!(done, if count == 1 { 4 } else { 5 }, "packing needs two");
    }
    // The same of a limit for a user.
    for path in [files.place.root.path(), &files.place.source] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("run as root");
    }
    for count in [1, 2, 3, 1000] {
        let done = files.run_jobs(|| {
            let mut command = weightfs();
            limit_processes(&mut command, count);
            command
        });
        assert!(done >= 4, "{count}");
    }
}

#[test]
fn a_mount_with_too_few_threads_answers_with_fewer_or_says_what_to_raise() {
    let files = Files::new();
    let mut is_enough = false;
    for count in 1..=24 {
        let group = Group::of_threads(count);
        let is_done = files.mount(group.command(PROGRAM.as_ref()));
        assert!(is_done || !is_enough, "fewer than {count} were enough");
        is_enough = is_done;
    }
    assert!(is_enough);
}

#[test]
fn too_little_address_space_is_an_error_or_enough() {
    let files = Files::new();
    let mut done = (0, false);
    for mib in [
        32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 320, 400, 512, 768, 1024, 2048,
    ] {
        let limited = || {
            let mut command = weightfs();
            limit_address_space(&mut command, mib << 20);
            command
        };
        println!("{mib} MiB");
        done = (files.run_jobs(limited), files.mount(limited()));
    }
    assert_eq!(done, (5, true), "with 2 GiB all is done");
}
