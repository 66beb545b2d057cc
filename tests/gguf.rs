//! GGUF files in a mount: laid out as the programs that load them lay them out, and read at random.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use support::gguf::{TYPES, Type, gguf, quantized};
use support::{Dir, Mount, Place, json, noise, ok};
use weightfs::format::ElementType;

/// Bytes of which each bit is more often 0 than 1: whatever fields they are taken apart into, each is worth
/// coding.
fn skewed(seed: u64, len: usize) -> Vec<u8> {
    let pairs = noise(seed, len).into_iter().zip(noise(seed + 1, len));
    pairs.map(|(a, b)| a & b).collect()
}

/// A file with tensors of one type, of several blocks and of a few records, numbers between them; and where
/// in it one thing ends and another starts.
fn of_type(&(kind, _, elements, bytes): &Type) -> (Vec<u8>, Vec<usize>) {
    let records = [700_000 / bytes, 1, 350_000 / bytes, 7];
    let tensors: Vec<_> = (1..)
        .zip(records)
        .map(|(seed, records)| ([records as u64, elements], skewed(seed, records * bytes)))
        .collect();
    let norm = noise(9, 4 * 333);
    let file = gguf(&[
        ("a", kind, &tensors[0].0, tensors[0].1.clone()),
        ("norm", 0, &[333], norm.clone()),
        ("b", kind, &tensors[1].0, tensors[1].1.clone()),
        ("c", kind, &tensors[2].0, tensors[2].1.clone()),
        ("d", kind, &tensors[3].0, tensors[3].1.clone()),
    ]);
    let mut edges = vec![file.len()];
    let data = [0, 1, 2, 3].map(|tensor| &tensors[tensor].1);
    for len in [data[3], data[2], data[1], &norm, data[0]].map(Vec::len) {
        let start = edges.last().unwrap() - len.next_multiple_of(32);
        edges.extend([start + len, start]);
    }
    (file, edges)
}

/// Writes a file named by what is in it; returns the name.
fn write_blob(dir: &Dir, directory: &str, prefix: &str, bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{prefix}{hash}");
    dir.write(&format!("{directory}/{name}"), bytes);
    name
}

/// Packs a directory, of which these files and no others become archives, and compares all that a mount of
/// it shows, by every name.
fn pack_and_compare(dir: &Dir, root: &str, models: &[&str]) {
    let place = Place::new();
    let (original, packed) = (dir.path(root), place.source.join(root));
    ok([
        "pack".as_ref(),
        original.as_ref(),
        "-o".as_ref(),
        packed.as_os_str(),
    ]);
    let mut archives = Vec::new();
    walk(&packed, Path::new(""), &mut |relative, _| {
        let name = relative.to_str().unwrap();
        archives.extend(name.strip_suffix(".wfz").map(str::to_owned));
    });
    archives.sort();
    assert_eq!(archives, models);
    let mount = place.mount();
    let (original, mounted) = (Path::new(&original), mount.path(root));
    let mut names = [Vec::new(), Vec::new()];
    walk(&mounted, Path::new(""), &mut |name, _| {
        names[0].push(name.to_owned())
    });
    walk(original, Path::new(""), &mut |name, is_link| {
        names[1].push(name.to_owned());
        let (a, b) = (original.join(name), mounted.join(name));
        if is_link {
            assert_eq!(fs::read_link(&a).unwrap(), fs::read_link(&b).unwrap());
        }
        assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap(), "{name:?}");
    });
    names.iter_mut().for_each(|names| names.sort());
    assert_eq!(names[0], names[1]);
    mount.stop();
}

/// Calls for each file and link below a directory with its path from there, and whether it is a link.
fn walk(root: &Path, below: &Path, each: &mut dyn FnMut(&Path, bool)) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (below.join(entry.file_name()), entry.file_type().unwrap());
        if kind.is_dir() {
            walk(root, &path, each);
        } else {
            each(&path, kind.is_symlink());
        }
    }
}

/// Ollama keeps everything as blobs without a suffix, and names them in a manifest.
#[test]
fn the_models_of_ollama_are_packed_and_mount_back_equal() {
    let dir = Dir::new();
    let blob = |bytes: &[u8]| write_blob(&dir, "models/blobs", "sha256-", bytes);
    let mut packed = Vec::new();
    for (tag, seed) in [("270m", 1), ("latest", 2)] {
        let model = blob(&quantized(seed, 1));
        let layers = [
            ("image.model", &model),
            ("image.template", &blob(b"{{ .Prompt }}")),
            (
                "image.params",
                &blob(br#"{"stop":["<end_of_turn>"],"top_k":64}"#),
            ),
            (
                "image.license",
                &blob(&b"Anybody may do anything. ".repeat(400)),
            ),
        ];
        let layers = layers.map(|(kind, blob)| {
            let kind = format!("application/vnd.ollama.{kind}");
            let digest = blob.replace('-', ":");
            serde_json::json!({ "mediaType": kind, "digest": digest })
        });
        let config = blob(br#"{"model_format":"gguf","file_type":"Q4_K_M"}"#);
        let config = serde_json::json!({ "digest": config.replace('-', ":") });
        let manifest =
            serde_json::json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let library = "models/manifests/registry.ollama.ai/library";
        dir.write(
            &format!("{library}/gemma3/{tag}"),
            manifest.to_string().as_bytes(),
        );
        packed.push(format!("blobs/{model}"));
    }
    packed.sort();
    let packed: Vec<_> = packed.iter().map(String::as_str).collect();
    pack_and_compare(&dir, "models", &packed);
}

/// In a cache of the Hugging Face hub names are links, also from directories of a snapshot, to blobs.
#[test]
fn gguf_files_of_a_hub_cache_are_packed_and_mount_back_equal() {
    let dir = Dir::new();
    let model = "hub/models--org--gemma-GGUF";
    let commit = "0123456789abcdef0123456789abcdef01234567";
    dir.write(&format!("{model}/refs/main"), commit.as_bytes());
    let mut packed = Vec::new();
    for (name, bytes) in [
        ("gemma-Q4_K_M.gguf", quantized(3, 1)),
        ("BF16/gemma-00001-of-00002.gguf", quantized(4, 1)),
        ("BF16/gemma-00002-of-00002.gguf", quantized(5, 1)),
        ("config.json", br#"{"model_type":"gemma3"}"#.to_vec()),
    ] {
        let blob = write_blob(&dir, &format!("{model}/blobs"), "", &bytes);
        let link = dir.path(&format!("{model}/snapshots/{commit}/{name}"));
        let link = Path::new(&link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let up = "../".repeat(2 + name.matches('/').count());
        symlink(format!("{up}blobs/{blob}"), link).unwrap();
        if name.ends_with(".gguf") {
            packed.push(format!("models--org--gemma-GGUF/blobs/{blob}"));
        }
    }
    packed.sort();
    let packed: Vec<_> = packed.iter().map(String::as_str).collect();
    pack_and_compare(&dir, "hub", &packed);
}

/// Reads anywhere, of any length, past the end as well, through the page cache and past it.
fn read_at_random(path: &Path, original: &[u8], edges: &[usize], rounds: u32) {
    let cached = File::open(path).unwrap();
    let mut direct = File::options();
    let direct = direct.read(true).custom_flags(libc::O_DIRECT);
    let direct = direct.open(path).unwrap();
    let mut random = fastrand::Rng::with_seed(original.len() as u64);
    let mut buffer = vec![0; 1 << 17];
    for round in 0..rounds {
        if round % 16 == 0 {
            fadvise(&cached, 0, None, Advice::DontNeed).unwrap();
        }
        let most = 1 << random.u32(..=17);
        let len = random.usize(..=most);
        let at = if random.bool() {
            random.usize(..original.len() + 5000)
        } else {
            let edge = random.choice(edges).unwrap();
            edge.saturating_sub(random.usize(..=len))
        };
        let file = if random.bool() { &cached } else { &direct };
        let read = file.read_at(&mut buffer[..len], at as u64).unwrap();
        let end = original.len().min(at + len);
        let expected = original.get(at..end).unwrap_or_default();
        assert!(
            &buffer[..read] == expected,
            "{}: {read} bytes of {len} at {at}",
            path.display()
        );
    }
}

/// llama.cpp maps the whole file and has the kernel fetch it at once: that comes in long pieces, not page by
/// page, however far the kernel reads ahead.
#[test]
fn a_map_that_is_populated_at_once_is_read_in_long_pieces() {
    let place = Place::new();
    let original = gguf(&[("a", 8, &[500_000, 32], skewed(1, 500_000 * 34))]);
    place.pack("model.gguf", &original);
    for readahead in ["4M", "128K"] {
        let options = ["--readahead", readahead];
        let limit = Duration::from_secs(240);
        let mount = Mount::with(&place.source, &place.mountpoint, &options, limit);
        let file = File::open(mount.path("model.gguf")).unwrap();
        fadvise(&file, 0, None, Advice::Sequential).unwrap();
        let mut populated = memmap2::MmapOptions::new();
        // SAFETY: the mount is read-only, so nobody changes the file.
        #[expect(unsafe_code, reason = "a client that maps a file")]
        let map = unsafe { populated.populate().map(&file).unwrap() };
        map.advise(memmap2::Advice::WillNeed).unwrap();
        assert!(map[..] == original[..]);
        drop((map, file));
        let stats = json(&ok([
            "stats".as_ref(),
            "--json".as_ref(),
            mount.mountpoint.as_os_str(),
        ]));
        let reads = stats["reads"]["by_size"].as_array().unwrap();
        let reads: u64 = reads.iter().map(|count| count.as_u64().unwrap()).sum();
        assert!(reads < original.len() as u64 / (64 << 10), "{stats}");
        mount.stop();
    }
}

/// 100,000 reads in all; `WEIGHTFS_TEST_ROUNDS` sets how many of each type.
#[test]
fn random_reads_of_every_type_of_records_equal_the_file() {
    let known = ElementType::ALL.iter().filter(|one| one.is_record());
    let types: Vec<_> = TYPES
        .iter()
        .filter(|(_, name, ..)| known.clone().any(|one| one.name() == *name))
        .collect();
    assert_eq!(types.len(), known.count());
    let rounds = support::rounds(100_000_u32.div_ceil(types.len() as u32));
    let place = Place::new();
    let files: Vec<_> = types.into_iter().map(|one| (one.1, of_type(one))).collect();
    for (name, (bytes, _)) in &files {
        place.pack(name, bytes);
    }
    // All that is decoded of a file stays for as long as it is read.
    let options = ["--cache-size", "16M"];
    let limit = Duration::from_secs(240 + u64::from(rounds) * files.len() as u64 / 50);
    let mount = Mount::with(&place.source, &place.mountpoint, &options, limit);
    for (name, (bytes, edges)) in &files {
        read_at_random(&mount.path(name), bytes, edges, rounds);
    }
    mount.stop();
}
