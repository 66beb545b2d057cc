//! `mount --metrics`: the statistics of a mount as Prometheus asks for them.
//!
//! What the server makes of strange clients is tested beside it; here is what it means for a mount.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Mount, Place, Watched, is_mounted, json, model, ok, signal, umount, weightfs};

/// Nothing here takes that long.
const LIMIT: Duration = Duration::from_secs(60);

/// A mount with metrics on a port that the system chose, and where they are.
fn mount(place: &Place) -> (Mount, SocketAddr) {
    let mut command = weightfs();
    command
        .args(["mount", "--metrics", "0", "--threads", "1"])
        .args([&place.source, &place.mountpoint])
        .stderr(Stdio::piped());
    let mut mount = Mount::spawn(command, &place.mountpoint, LIMIT * 4);
    let stderr = mount.take_stderr();
    let address = address_in(BufReader::new(stderr));
    (mount, address)
}

/// The address that is logged.
fn address_in(log: impl BufRead) -> SocketAddr {
    log.lines()
        .map(|line| line.unwrap())
        .find_map(|line| {
            let (_, url) = line.split_once("metrics: http://")?;
            url.strip_suffix("/metrics")?.parse().ok()
        })
        .expect("the address is logged")
}

/// An address that was free a moment ago, of an interface from which nobody else takes ports.
fn free_address(host: u8) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    listener.local_addr().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// The values of all samples, by name and labels.
fn scrape(address: SocketAddr) -> HashMap<String, f64> {
    let mut stream = connect(address);
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{head}"
    );
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn stats(mountpoint: &Path) -> Value {
    json(&ok(["stats", mountpoint.to_str().unwrap(), "--json"]))
}

#[test]
fn the_metrics_are_what_stats_tells() {
    let place = Place::new();
    let original = model(31, 2);
    place.pack("m", &original);
    place.write("plain", b"plain");
    let (mount, address) = mount(&place);
    assert_eq!(address.ip().to_string(), "127.0.0.1");
    let before = scrape(address);
    assert_eq!(before["weightfs_served_bytes_total"], 0.0);
    assert!(fs::read(mount.path("m")).unwrap() == original);
    assert_eq!(fs::read(mount.path("plain")).unwrap(), b"plain");

    // The kernel closes files, and blocks are decoded ahead, when nobody waits for it.
    let start = Instant::now();
    let without_time = |mut stats: Value| {
        stats["seconds"] = Value::Null;
        stats["memory_bytes"] = Value::Null;
        stats
    };
    let (found, stats) = loop {
        let earlier = without_time(stats(&mount.mountpoint));
        let found = scrape(address);
        let later = stats(&mount.mountpoint);
        if earlier == without_time(later.clone()) {
            break (found, later);
        }
        assert!(start.elapsed() < LIMIT, "{earlier} {later}");
    };
    for (name, pointer) in [
        ("open_files", "/open_files"),
        ("served_bytes_total", "/reads/bytes"),
        ("read_size_bytes_sum", "/reads/bytes"),
        ("failed_reads_total", "/reads/failed"),
        ("blocks_decoded_total", "/cache/decodes"),
        ("cache_hits_total", "/cache/hits"),
        ("cache_waits_total", "/cache/waits"),
        ("cache_bytes", "/cache/cached_bytes"),
        ("cache_budget_bytes", "/cache/budget_bytes"),
    ] {
        let expected = stats.pointer(pointer).unwrap().as_f64().unwrap();
        assert_eq!(found[&format!("weightfs_{name}")], expected, "{name}");
    }
    let served = found["weightfs_served_bytes_total"];
    assert!(served >= (original.len() + 5) as f64, "{served}");
    let nanoseconds = stats["cache"]["decode_nanoseconds"].as_f64().unwrap();
    let seconds = found["weightfs_decode_seconds_total"];
    assert!(seconds > 0.0 && (seconds * 1e9 - nanoseconds).abs() < 1000.0);
    let uptime = found["weightfs_uptime_seconds"];
    assert!(before["weightfs_uptime_seconds"] < uptime);
    assert!(uptime <= stats["seconds"].as_f64().unwrap());
    assert!(found["weightfs_memory_bytes"] > 100_000.0);
    let version = env!("CARGO_PKG_VERSION");
    let info = format!("weightfs_build_info{{version=\"{version}\"}}");
    assert_eq!(found[&info], 1.0);

    let mut reads = 0.0;
    for (at, le) in ["4096", "16384", "65536", "131072", "524288", "+Inf"]
        .iter()
        .enumerate()
    {
        reads += stats["reads"]["by_size"][at].as_f64().unwrap();
        let bucket = format!("weightfs_read_size_bytes_bucket{{le=\"{le}\"}}");
        assert_eq!(found[&bucket], reads, "{le}");
    }
    assert_eq!(found["weightfs_read_size_bytes_count"], reads);
    mount.stop();
}

#[test]
fn whoever_connects_and_says_nothing_keeps_no_reader_waiting() {
    let place = Place::new();
    let original = model(32, 2);
    place.pack("m", &original);
    let (mount, address) = mount(&place);
    let silent: Vec<_> = (0..20).map(|_| connect(address)).collect();
    // Each keeps the server for a second; all of this takes less than they do together.
    let start = Instant::now();
    assert!(fs::read(mount.path("m")).unwrap() == original);
    let mut byte = [0];
    let file = File::open(mount.path("m")).unwrap();
    file.read_exact_at(&mut byte, original.len() as u64 - 1)
        .unwrap();
    stats(&mount.mountpoint);
    assert!(start.elapsed() < Duration::from_secs(10));
    drop((silent, file));
    assert!(scrape(address)["weightfs_served_bytes_total"] > 0.0);
    mount.stop();
}

#[test]
fn nothing_is_mounted_where_the_address_is_in_use() {
    let place = Place::new();
    let _watched = Watched::new(&place.mountpoint);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let paths = [&place.source, &place.mountpoint];
    let output = weightfs()
        .args(["mount", "--metrics", &address])
        .args(paths)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let expected = format!("weightfs: cannot listen on {address}: address in use; ");
    assert!(stderr.starts_with(&expected), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(!is_mounted(&place.mountpoint));

    // An address of the range for documentation, which no machine has.
    let (status, _, stderr) = support::run([
        "mount",
        "--metrics=192.0.2.1:9200",
        paths[0].to_str().unwrap(),
        paths[1].to_str().unwrap(),
    ]);
    assert_eq!(status, 2);
    assert!(
        stderr.contains("cannot listen on 192.0.2.1:9200: "),
        "{stderr}"
    );
    assert!(!is_mounted(&place.mountpoint));
}

#[test]
fn the_port_is_free_after_unmounting_even_while_files_are_open() {
    let place = Place::new();
    let original = model(33, 2);
    place.pack("m", &original);
    let address = free_address(33);
    let with_metrics = || {
        let option = format!("--metrics={address}");
        Mount::with(&place.source, &place.mountpoint, &[&option], LIMIT * 4)
    };
    let first = with_metrics();
    scrape(address);
    first.stop();
    assert!(TcpStream::connect(address).is_err());

    let detached = with_metrics();
    let mut byte = [0];
    let file = File::open(detached.path("m")).unwrap();
    file.read_exact_at(&mut byte, 0).unwrap();
    signal(detached.pid(), "TERM");
    let start = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(start.elapsed() < LIMIT, "the port stays taken");
        std::thread::yield_now();
    }
    let next = with_metrics();
    assert!(scrape(address).contains_key("weightfs_open_files"));
    file.read_exact_at(&mut byte, original.len() as u64 - 1)
        .unwrap();
    assert_eq!(byte[0], original[original.len() - 1]);
    drop(file);
    assert!(detached.wait().success());
    next.stop();
}

#[test]
fn a_mount_in_the_background_keeps_serving() {
    let place = Place::new();
    place.pack("m", b"decoded");
    let _watched = Watched::new(&place.mountpoint);
    let (link, log) = (
        place.root.path().join("mount.weightfs"),
        place.root.path().join("log"),
    );
    symlink(weightfs().get_program(), &link).unwrap();
    let options = format!("metrics=127.0.0.34:0,logfile={}", log.display());
    let output = Command::new(link)
        .args([&place.source, &place.mountpoint])
        .args(["-o", &options])
        .output()
        .unwrap();
    assert!(output.status.success());
    // What is logged is written when the log's thread comes to it.
    let start = Instant::now();
    let logged = loop {
        let logged = fs::read_to_string(&log).unwrap();
        if logged.ends_with("/metrics\n") {
            break logged;
        }
        assert!(start.elapsed() < LIMIT, "{logged}");
        std::thread::yield_now();
    };
    let address = address_in(logged.as_bytes());
    assert_eq!(fs::read(place.mountpoint.join("m")).unwrap(), b"decoded");
    assert_eq!(scrape(address)["weightfs_served_bytes_total"], 7.0);
    umount(&place.mountpoint);
    let start = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(start.elapsed() < LIMIT, "the daemon stays");
        std::thread::yield_now();
    }
}

#[test]
fn without_the_option_nothing_listens() {
    let place = Place::new();
    let mount = place.mount();
    let table = ["tcp", "tcp6"]
        .map(|name| fs::read_to_string(format!("/proc/{}/net/{name}", mount.pid())).unwrap());
    let fields = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let listening: Vec<_> = table
        .iter()
        .flat_map(|table| table.lines().skip(1).map(fields))
        .filter(|fields| fields[3] == "0A")
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    for entry in fs::read_dir(format!("/proc/{}/fd", mount.pid())).unwrap() {
        let open = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        assert!(!listening.iter().any(|socket| open == Path::new(socket)));
    }
    mount.stop();
}
