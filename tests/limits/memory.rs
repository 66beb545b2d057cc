//! Mounts and jobs in control groups with little memory: nobody is killed, and every byte is right.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::group::Group;
use crate::support::{Mount, Place, json, model, ok};

const LIMIT: Duration = Duration::from_secs(600);
const PROGRAM: &str = env!("CARGO_BIN_EXE_weightfs");
const MODEL_MIB: usize = 12;
/// Together they decode to more than the cache holds where memory is not limited.
const ARCHIVES: usize = 24;
const PAGE: usize = 4096;

/// A source with the same model many times, each a file of its own.
struct Many {
    place: Place,
    original: Vec<u8>,
}

impl Many {
    fn new() -> Self {
        Self::packed(&[])
    }

    fn packed(options: &[&str]) -> Self {
        let place = Place::new();
        let original = model(5, MODEL_MIB);
        let file = place.root.path().join("original");
        fs::write(&file, &original).unwrap();
        let first = place.source.join("0.wfz");
        let mut arguments = vec![
            "pack",
            file.to_str().unwrap(),
            "-o",
            first.to_str().unwrap(),
        ];
        arguments.extend(options);
        ok(arguments);
        for number in 1..ARCHIVES {
            fs::copy(&first, place.source.join(format!("{number}.wfz"))).unwrap();
        }
        Self { place, original }
    }

    /// Mounts in a group, with metrics; their address is returned as well.
    fn mount(&self, group: &Group, options: &[&str]) -> (Mount, String, Vec<String>) {
        let mut command = group.command(PROGRAM.as_ref());
        command
            .args(["mount", "--metrics", "127.0.0.1:0"])
            .args(options)
            .args([&self.place.source, &self.place.mountpoint])
            .stderr(Stdio::piped());
        let mut mount = Mount::spawn(command, &self.place.mountpoint, LIMIT);
        let mut said = Vec::new();
        let mut address = None;
        let mut lines = BufReader::new(mount.take_stderr()).lines();
        while address.is_none() {
            let line = lines.next().expect("metrics are announced").unwrap();
            let found = line
                .split_once("http://")
                .and_then(|(_, url)| url.split_once('/'));
            address = found.map(|(address, _)| address.to_owned());
            said.push(line);
        }
        // Who writes to a pipe that nobody reads would wait.
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| eprintln!("{line}"))
        });
        (mount, address.unwrap(), said)
    }

    /// Reads pages anywhere, past the page cache.
    fn read_anywhere(&self, mount: &Mount, seed: u64, reads: usize) {
        let mut random = fastrand::Rng::with_seed(seed);
        let files: Vec<File> = (0..ARCHIVES)
            .map(|number| {
                let mut options = File::options();
                options.read(true).custom_flags(libc::O_DIRECT);
                options.open(mount.path(number.to_string())).unwrap()
            })
            .collect();
        let mut room = vec![0; 2 * PAGE];
        let start = room.as_ptr().align_offset(PAGE);
        let buffer = &mut room[start..start + PAGE];
        for _ in 0..reads {
            let file = &files[random.usize(..ARCHIVES)];
            let at = random.usize(..self.original.len() / PAGE) * PAGE;
            file.read_exact_at(buffer, at as u64).unwrap();
            assert!(*buffer == self.original[at..at + PAGE], "{at}");
        }
    }

    fn read_all(&self, mount: &Mount, number: usize) {
        let read = fs::read(mount.path(number.to_string())).unwrap();
        assert!(read == self.original, "{number}");
    }
}

/// A metric of a mount, by its name.
fn metric(address: &str, name: &str) -> u64 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let number: f64 = line
        .unwrap_or_else(|| panic!("no {name}: {page}"))
        .parse()
        .unwrap();
    number as u64
}

fn serves_in(mib: u64, options: &[&str]) {
    serves_well(&Many::new(), mib, options);
}

fn serves_well(many: &Many, mib: u64, options: &[&str]) {
    let group = Group::of_memory(mib << 20);
    let (mount, address, said) = many.mount(&group, options);
    assert_eq!(said.len(), 1, "nothing to warn of: {said:?}");
    std::thread::scope(|scope| {
        for reader in 0..16 {
            let mount = &mount;
            scope.spawn(move || many.read_anywhere(mount, reader, 120));
        }
        for reader in 0..2 {
            let mount = &mount;
            scope
                .spawn(move || (0..4).for_each(|number| many.read_all(mount, 2 * number + reader)));
        }
        for _ in 0..20 {
            assert!(metric(&address, "weightfs_memory_bytes") < mib << 20);
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(metric(&address, "weightfs_blocks_decoded_total") > 1000);
    mount.stop();
    assert_eq!(group.killed(), 0);
}

#[test]
fn a_mount_serves_in_64_mib() {
    serves_in(64, &[]);
}

#[test]
fn a_mount_serves_long_blocks_in_64_mib_with_8_threads() {
    serves_well(
        &Many::packed(&["--block-size", "4M"]),
        64,
        &["--threads", "8"],
    );
}

#[test]
fn a_mount_serves_in_96_mib_with_16_threads() {
    serves_in(96, &["--threads", "16"]);
}

#[test]
fn a_mount_serves_in_128_mib_with_16_threads() {
    serves_in(128, &["--threads", "16"]);
}

#[test]
fn a_mount_serves_in_256_mib() {
    serves_in(256, &[]);
}

/// Memory in another process of a group, a piece more each time it is asked for.
struct Neighbour(Child);

impl Neighbour {
    const SCRIPT: &str = "
import sys
held = []
for line in sys.stdin:
    held.append(bytearray(b'x') * (8 << 20))
    print(flush=True)
";

    fn start(group: &Group) -> Self {
        let mut command = group.command("python3".as_ref());
        command.args(["-c", Self::SCRIPT]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(child.unwrap())
    }

    fn take_8_mib(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let told = self.0.stdout.as_mut().unwrap().read(&mut [0; 1]).unwrap();
        assert_eq!(told, 1, "it was killed");
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_cache_gives_back_what_others_need_and_says_at_the_start_that_it_is_large() {
    const GROUP: u64 = 256 << 20;
    let group = Group::of_memory(GROUP);
    let many = Many::new();
    let (mount, address, said) = many.mount(&group, &["--cache-size", "240M"]);
    let warned = said.iter().any(|line| line.contains("a cache of 240 MiB"));
    assert!(
        warned && said[0].contains("control group (256 MiB)"),
        "{said:?}"
    );
    std::thread::scope(|scope| {
        for reader in 0..4 {
            let (many, mount) = (&many, &mount);
            scope.spawn(move || many.read_anywhere(mount, reader, 600));
        }
    });
    let cached = || metric(&address, "weightfs_cache_bytes");
    let before = cached();
    assert!(before > 64 << 20, "{before}");
    let mut neighbour = Neighbour::start(&group);
    for _ in 0..18 {
        neighbour.take_8_mib();
        // What is kept free is a part of the group; the cache looks every second.
        let start = Instant::now();
        while GROUP - group.held_bytes() < 24 << 20 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "nothing is given back"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(cached() < before / 2, "{before} {}", cached());
    many.read_all(&mount, 0);
    drop(neighbour);
    mount.stop();
    assert_eq!(group.killed(), 0);
}

#[test]
fn jobs_use_as_many_threads_as_there_is_memory_for_and_say_so() {
    let group = Group::of_memory(64 << 20);
    let place = Place::new();
    let file = place.write("m", &model(6, 16));
    let at = |name: &str| place.root.path().join(name);
    let run = |command: &str, from: &Path, options: &[&str]| {
        let mut program = group.command(PROGRAM.as_ref());
        program.arg(command).arg(from).args(["--threads", "64"]);
        if command != "verify" {
            program.arg("-o").arg(at(&format!("{command}ed")));
        }
        let output = program.args(options).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command}: {stderr}");
        assert!(
            stderr.contains("of 64 threads: the memory limit"),
            "{command}: {stderr}"
        );
    };
    for options in [&[][..], &["--level", "max"], &["--block-size", "4M"]] {
        run("pack", &file, options);
        fs::rename(at("packed"), at("a.wfz")).unwrap();
        run("verify", &at("a.wfz"), &[]);
        run("unpack", &at("a.wfz"), &[]);
        assert!(fs::read(at("unpacked")).unwrap() == fs::read(&file).unwrap());
        fs::remove_file(at("unpacked")).unwrap();
    }
    assert_eq!(group.killed(), 0);
}

#[test]
fn doctor_tells_of_a_group_what_a_mount_makes_of_it_and_is_not_killed() {
    let place = Place::new();
    place.pack("m", &model(6, 4));
    let group = Group::of_memory(128 << 20);
    let mut command = group.command(PROGRAM.as_ref());
    command.args(["doctor", "--json"]).arg(&place.source);
    let output = command.output().unwrap();
    let found = json(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{found}");
    let memory = &found["facts"]["machine"]["memory"];
    assert_eq!(memory["limit_bytes"], 128 << 20);
    assert_eq!(memory["cache_bytes"], 32 << 20);
    let advice = found["advice"].to_string();
    assert!(advice.contains("control group is 128.00 MiB"), "{advice}");
    assert_eq!(group.killed(), 0);
}
