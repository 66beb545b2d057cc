//! Python with the frameworks: virtual environments and wheels under the target directory, made once.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::SCRIPTS;

/// The lists of packages.
const REQUIREMENTS: &str = include_str!("requirements.txt");
const COMPILED: &str = include_str!("compiled.txt");
const EARLIER_HUB: &str = include_str!("earlier_hub.txt");
/// Not for the processor it is compiled on: the wheel may be used on another.
const CMAKE_ARGS: &str = "-DGGML_NATIVE=OFF";
/// Of each run of pip, which downloads much and compiles llama.cpp.
const PIP_LIMIT_SECONDS: &str = "3600";

/// Runs a command to its end; returns stdout, or all that it said if it fails.
pub fn succeed(command: &mut Command) -> Result<String, String> {
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
pub fn interpreter() -> &'static Path {
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

/// Where an earlier release of huggingface_hub lies, which the path of Python is to begin with.
pub fn earlier_hub() -> PathBuf {
    let made = made_once(
        "frameworks-earlier-hub",
        &[EARLIER_HUB],
        "installing an earlier huggingface_hub",
        |directory| {
            let mut install = pip(interpreter(), "install");
            install
                .args(["--only-binary=:all:", "--no-compile", "--target"])
                .arg(directory)
                .arg("--requirement")
                .arg(Path::new(SCRIPTS).join("earlier_hub.txt"));
            succeed(&mut install).map(drop)
        },
    );
    made.unwrap_or_else(|error| panic!("{error}"))
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
