//! A cache of the Hugging Face hub that is mounted over itself: huggingface_hub downloads into it, is killed, goes on, loads
//! and deletes, while what it has downloaded is packed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::environment::earlier_hub;
use super::store::{Store, entries, length, wait_for};
use super::support::Running;
use super::{Test, run};

/// What the library writes at a time, and where the hub stops: somewhere in the second of these.
const CHUNK_BYTES: u64 = 10 << 20;
const STOP_BYTES: u64 = 14 << 20;
const SHARDS: [&str; 3] = [
    "model-00001-of-00003.safetensors",
    "model-00002-of-00003.safetensors",
    "model-00003-of-00003.safetensors",
];
const BLOBS: &str = "models--org--model/blobs";

/// Downloads that are killed, or that the hub breaks off, go on; others load meanwhile what is being packed; nothing is
/// downloaded twice; the library finds in the cache what it finds in a plain one, and deletes it.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn a_hub_cache_is_downloaded_into_loaded_from_and_packed_at_once() {
    let test = Test::new();
    let model = test.directory("raw");
    test.script("hub_model.py", "make", &[&model]);
    let mut hub = Hub::serve(&test, &model);
    let plain = test.directory("plain");
    hub.get(&test, Release::Pinned, &plain, &[]);
    assert_eq!(hub.bodies().len(), 5);
    let cache = test.directory("cache");
    let store = Store::mount(&cache);

    download_by_an_earlier_release(&test, &mut hub, &model, &store);
    let begun = begin_the_last_shard(&test, &mut hub, &model, &store);
    let loader = Loader::start(&test, &model, &cache);
    hub.tell("break", SHARDS[2]);
    hub.get(&test, Release::Pinned, &cache, &[]);
    let index = ("model.safetensors.index.json", &[0][..]);
    let last = (SHARDS[2], &[0, CHUNK_BYTES][..]);
    assert_eq!(hub.bodies(), bodies(&[index, last]));
    // It is nobody's, and stays as it is.
    assert_eq!(length(&begun), Some(CHUNK_BYTES));
    let packing = store.wait_until_packed(3);
    println!("loaded {} times: {packing}", loader.finish());
    assert_shards_are_archives(&store, &model);

    assert_finds_as_in(&test, &plain, &store.path);
    assert_downloads_nothing(&test, &mut hub, &cache);
    let store = store.remounted();
    assert_finds_as_in(&test, &plain, &store.path);
    assert_downloads_nothing(&test, &mut hub, &cache);
    test.script("hub_model.py", "compare", &[&model, &cache]);

    let freed = [&plain, &cache].map(|cache| test.script("hub_model.py", "delete", &[cache]));
    assert_eq!(freed[0], freed[1]);
    assert_eq!(entries(&cache), entries(&plain));
    assert_eq!(entries(&store.below("")), entries(&plain));
    store.unmount();
    assert_eq!(entries(&cache), entries(&plain));
    println!("left: {:?}", entries(&cache));
}

/// The first shard in one go; the second is killed in between, and gone on with where it was.
fn download_by_an_earlier_release(test: &Test, hub: &mut Hub, model: &Path, store: &Store) {
    let (release, two) = (Release::Earlier, ["model-00001-*", "model-00002-*"]);
    hub.tell("hold", SHARDS[1]);
    let getting = Running::start(&mut hub.command(test, release, &store.path, &two));
    let begun = wait_for_incomplete(store, &model.join(SHARDS[1]));
    // What is there already is packed meanwhile.
    store.wait_until_packed(1);
    drop(getting);
    assert_eq!(
        hub.bodies(),
        bodies(&[(SHARDS[0], &[0]), (SHARDS[1], &[0])])
    );
    assert_eq!(length(&begun), Some(CHUNK_BYTES));
    hub.get(test, release, &store.path, &two);
    assert_eq!(hub.bodies(), bodies(&[(SHARDS[1], &[CHUNK_BYTES])]));
    assert_eq!(length(&begun), None);
}

/// Killed in between as well: the pinned release leaves what it has, and begins anew under another name.
fn begin_the_last_shard(test: &Test, hub: &mut Hub, model: &Path, store: &Store) -> PathBuf {
    hub.tell("hold", SHARDS[2]);
    let getting = Running::start(&mut hub.command(test, Release::Pinned, &store.path, &[]));
    let begun = wait_for_incomplete(store, &model.join(SHARDS[2]));
    drop(getting);
    let config = ("config.json", &[0][..]);
    assert_eq!(hub.bodies(), bodies(&[config, (SHARDS[2], &[0])]));
    begun
}

/// Waits for what is written of a file whose download the hub holds.
fn wait_for_incomplete(store: &Store, original: &Path) -> PathBuf {
    let digest = Sha256::digest(fs::read(original).unwrap());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_begun = name.starts_with(&digest) && name.ends_with(".incomplete");
        is_begun && length(path) == Some(CHUNK_BYTES)
    };
    wait_for("download that is held", || {
        let blobs = fs::read_dir(store.path.join(BLOBS)).ok()?;
        blobs.map(|entry| entry.unwrap().path()).find(is_it)
    })
}

/// On the disk each shard is an archive, smaller than it was, and what is small or incomplete is as it was.
fn assert_shards_are_archives(store: &Store, model: &Path) {
    let below = entries(&store.below(BLOBS));
    let is_archive = |(name, _): &(&PathBuf, _)| name.extension().is_some_and(|end| end == "wfz");
    let (archives, plain): (Vec<_>, Vec<_>) = below.iter().partition(is_archive);
    let sum =
        |files: &[(&PathBuf, &Option<u64>)]| -> u64 { files.iter().filter_map(|one| *one.1).sum() };
    let original: u64 = SHARDS
        .iter()
        .filter_map(|name| length(&model.join(name)))
        .sum();
    println!(
        "shards of {original} bytes are archives of {}: {below:?}",
        sum(&archives)
    );
    assert_eq!(archives.len(), SHARDS.len(), "{below:?}");
    assert!(sum(&archives) < original * 3 / 4);
    assert_eq!(plain.len(), 3, "{below:?}");
    assert!(sum(&plain) < CHUNK_BYTES + (1 << 20));
}

/// The library finds the same in both caches.
fn assert_finds_as_in(test: &Test, plain: &Path, cache: &Path) {
    let [expected, found] =
        [plain, cache].map(|cache| test.script("hub_model.py", "tell", &[cache]));
    let (incomplete, found): (Vec<_>, Vec<_>) = found
        .lines()
        .partition(|line| line.starts_with("incomplete"));
    assert_eq!(found, expected.lines().collect::<Vec<_>>());
    assert_eq!(incomplete.len(), 1);
}

fn assert_downloads_nothing(test: &Test, hub: &mut Hub, cache: &Path) {
    for release in [Release::Pinned, Release::Earlier] {
        hub.get(test, release, cache, &[]);
        assert_eq!(hub.bodies(), bodies(&[]));
    }
}

/// A release of huggingface_hub.
#[derive(Clone, Copy)]
enum Release {
    /// That of the other tests.
    Pinned,
    /// One that goes on with what another process has begun.
    Earlier,
}

/// Of each file, where downloads of its contents began.
type Bodies = BTreeMap<String, Vec<u64>>;

fn bodies(of: &[(&str, &[u64])]) -> Bodies {
    let entry = |(name, starts): &(&str, &[u64])| ((*name).to_owned(), starts.to_vec());
    of.iter().map(entry).collect()
}

/// A hub on loopback.
struct Hub {
    server: Running,
    answers: BufReader<ChildStdout>,
    port: String,
    requests: PathBuf,
    seen: usize,
}

impl Hub {
    fn serve(test: &Test, model: &Path) -> Self {
        let requests = test.place.root.path().join("requests");
        let mut command = test.command("hub_server.py");
        command
            .args([model, &requests])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = Running::start(&mut command);
        let mut answers = BufReader::new(server.0.stdout.take().unwrap());
        let port = line(&mut answers);
        Self {
            server,
            answers,
            port,
            requests,
            seen: 0,
        }
    }

    /// What is to be done with the next download of a file, after `STOP_BYTES`.
    fn tell(&mut self, what: &str, file: &str) {
        let stdin = self.server.0.stdin.as_mut().unwrap();
        writeln!(stdin, "{what} {file} {STOP_BYTES}").unwrap();
        assert_eq!(line(&mut self.answers), "ok");
    }

    /// What was downloaded since this was asked last.
    fn bodies(&mut self) -> Bodies {
        let lines = fs::read_to_string(&self.requests).unwrap();
        let requests: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut found = Bodies::new();
        for request in &requests[self.seen..] {
            if request["is"] == "body" {
                let name = request["name"].as_str().unwrap().to_owned();
                found
                    .entry(name)
                    .or_default()
                    .push(request["start"].as_u64().unwrap());
            }
        }
        self.seen = requests.len();
        found
    }

    /// What downloads the files of these names, or all, into a cache.
    fn command(&self, test: &Test, release: Release, cache: &Path, names: &[&str]) -> Command {
        let mut command = test.command("hub_model.py");
        command
            .arg("get")
            .arg(cache)
            .args(names)
            .env("HF_ENDPOINT", format!("http://127.0.0.1:{}", self.port))
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .env("HF_HUB_OFFLINE", "0")
            .env("HF_HUB_DISABLE_XET", "1")
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            // A download that is held is not given up.
            .env("HF_HUB_DOWNLOAD_TIMEOUT", "3600")
            .env("HF_HUB_ETAG_TIMEOUT", "3600");
        if let Release::Earlier = release {
            command.env("PYTHONPATH", earlier_hub());
        }
        command
    }

    fn get(&self, test: &Test, release: Release, cache: &Path, names: &[&str]) {
        print!("{}", run(&mut self.command(test, release, cache, names)));
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// A process that loads a model again and again and compares it, from when it is there.
struct Loader {
    process: Running,
    said: BufReader<ChildStdout>,
}

impl Loader {
    fn start(test: &Test, model: &Path, cache: &Path) -> Self {
        let mut command = test.command("hub_model.py");
        command
            .arg("load")
            .args([model, cache])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Running::start(&mut command);
        let mut said = BufReader::new(process.0.stdout.take().unwrap());
        assert_eq!(line(&mut said), "ready");
        Self { process, said }
    }

    /// Has it load the model once more and end; returns how often it did.
    fn finish(mut self) -> u32 {
        drop(self.process.0.stdin.take());
        let rounds = line(&mut self.said);
        assert!(self.process.0.wait().unwrap().success());
        rounds.parse().unwrap()
    }
}
