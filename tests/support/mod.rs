//! What the tests of the program share: models, the program itself, and mounts that cannot hang
//! the run.
#![allow(
    dead_code,
    reason = "each test binary uses its own part of this module"
)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "test code"
)]

pub mod gguf;
pub mod ordinary_user;
mod watchdog;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchdog::{Watchdog, print_stacks};

/// The program under test.
pub fn weightfs() -> Command {
    Command::new(env!("CARGO_BIN_EXE_weightfs"))
}

/// Runs the program; returns its exit status, stdout and stderr.
pub fn run<I, S>(args: I) -> (i32, String, String)
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let output = weightfs().args(args).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Runs the program, which must succeed; returns stdout.
pub fn ok<I, S>(args: I) -> String
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let (status, stdout, stderr) = run(args);
    assert_eq!(status, 0, "{stdout}{stderr}");
    stdout
}

/// A process that does not outlive the test.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How often a test repeats what it does: `few` times, unless `WEIGHTFS_TEST_ROUNDS` says otherwise.
pub fn rounds(few: u32) -> u32 {
    std::env::var("WEIGHTFS_TEST_ROUNDS").map_or(few, |rounds| rounds.parse().unwrap())
}

/// Unmounts, once nobody has a file of it open: a program that another test starts has what this one had open
/// until it runs.
pub fn umount(mountpoint: &Path) {
    let start = Instant::now();
    loop {
        let (status, _, stderr) = run(["umount".as_ref(), mountpoint.as_os_str()]);
        if status == 0 {
            return;
        }
        let waits = stderr.contains("is in use") && start.elapsed() < Duration::from_secs(10);
        assert!(waits, "{stderr}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A directory of a test's own.
pub struct Dir(pub tempfile::TempDir);

impl Dir {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, relative: &str) -> String {
        self.0.path().join(relative).to_str().unwrap().to_owned()
    }

    pub fn write(&self, relative: &str, bytes: &[u8]) -> String {
        let path = self.path(relative);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Names in a directory, those of unfinished outputs included.
    pub fn names(&self, relative: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(relative))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// The one object that a command prints with `--json`.
pub fn json(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "one object: {text}");
    serde_json::from_str(text).unwrap()
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Little-endian BF16 numbers that look like weights.
pub fn weights(seed: u64, count: usize) -> Vec<u8> {
    noise(seed, count * 2)
        .chunks_exact(2)
        .flat_map(|pair| {
            [
                pair[0],
                (pair[1] & 0x81).rotate_left(7) | 0x3b | (pair[1] >> 5 & 4),
            ]
        })
        .collect()
}

/// A tensor of a safetensors file: name, dtype, shape, bytes.
pub type Tensor<'a> = (&'a str, &'a str, &'a [u64], Vec<u8>);

/// A safetensors file with these tensors one behind the other.
pub fn safetensors(tensors: &[Tensor<'_>]) -> Vec<u8> {
    let mut entries = vec![String::from(r#""__metadata__":{"format":"pt"}"#)];
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{}]}}"#,
            data.len()
        ));
    }
    with_header(&format!("{{{}}}", entries.join(",")), &data)
}

/// A file with this header, padded to 8 bytes, and these bytes behind it.
pub fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let mut header = header.to_owned();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}

/// A model of about `mib` MiB with tensors of several types and sizes.
pub fn model(seed: u64, mib: usize) -> Vec<u8> {
    let rows = mib * 512;
    safetensors(&[
        (
            "embed",
            "BF16",
            &[rows as u64, 512],
            weights(seed, rows * 512),
        ),
        ("norm", "F32", &[512], noise(seed + 1, 2048)),
        ("steps", "I64", &[], 12345u64.to_le_bytes().to_vec()),
        (
            "head",
            "BF16",
            &[rows as u64, 512],
            weights(seed + 2, rows * 512),
        ),
        ("mask", "BOOL", &[100_000], vec![1; 100_000]),
    ])
}

/// `weightfs mount` in a process of its own. A watchdog ends it, and with it every request that
/// waits for it, should the test not be done in time; the test has failed then.
pub struct Mount {
    child: Option<Child>,
    pub mountpoint: PathBuf,
    watchdog: Watchdog,
}

/// No test of a mount takes longer, unless it says so.
const LIMIT: Duration = Duration::from_secs(240);

impl Mount {
    pub fn start(source: &Path, mountpoint: &Path) -> Self {
        Self::with(source, mountpoint, &[], LIMIT)
    }

    pub fn with(source: &Path, mountpoint: &Path, options: &[&str], limit: Duration) -> Self {
        let mut command = weightfs();
        command
            .arg("mount")
            .args(options)
            .arg(source)
            .arg(mountpoint);
        Self::spawn(command, mountpoint, limit)
    }

    /// Starts a command that ends up as `weightfs mount`, or as another server that says `ready: `.
    pub fn spawn(mut command: Command, mountpoint: &Path, limit: Duration) -> Self {
        assert!(
            Path::new("/dev/fuse").exists(),
            "/dev/fuse is missing: the tests of mounts need it (modprobe fuse, or a container with \
             --device /dev/fuse --cap-add SYS_ADMIN)"
        );
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let watchdog = Watchdog::start(Some(child.id()), &canonical(mountpoint), limit);
        let mut mount = Self {
            child: Some(child),
            mountpoint: mountpoint.to_path_buf(),
            watchdog,
        };
        let mut said = String::new();
        while !said.lines().any(|line| line.starts_with("ready: ")) {
            let more = stdout.read_line(&mut said).unwrap();
            assert!(more > 0, "mount is not ready: {said:?}");
        }
        if let Some(device) = device(mountpoint) {
            mount.watchdog.device(&device);
        }
        mount
    }

    /// Process id of the daemon.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Closes the reading end of the daemon's stderr, if that is a pipe.
    pub fn close_stderr(&mut self) {
        drop(self.child.as_mut().and_then(|child| child.stderr.take()));
    }

    /// The reading end of the daemon's stderr, which was made a pipe.
    pub fn take_stderr(&mut self) -> ChildStderr {
        let child = self.child.as_mut().unwrap();
        child.stderr.take().unwrap()
    }

    /// Path of something in the mount.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.mountpoint.join(relative)
    }

    /// What it says of packing, as long as it is there.
    pub fn packing(&self) -> Option<Value> {
        let mut stats = vec![0; 1 << 14];
        let name = "user.weightfs.stats";
        let len = rustix::fs::getxattr(&self.mountpoint, name, &mut stats[..]).ok()?;
        let stats: Value = serde_json::from_slice(&stats[..len]).unwrap();
        Some(stats["packing"].clone())
    }

    /// Ends the daemon with SIGTERM; it must succeed.
    pub fn stop(mut self) {
        let status = self.end("TERM");
        assert!(status.success(), "{status}");
        assert!(!is_mounted(&self.mountpoint));
    }

    /// Waits for a daemon that was told to end otherwise.
    pub fn wait(mut self) -> ExitStatus {
        self.waited()
    }

    /// Kills the daemon and leaves the dead mount.
    pub fn kill(mut self) {
        self.end("KILL");
    }

    fn end(&mut self, name: &str) -> ExitStatus {
        signal(self.pid(), name);
        self.waited()
    }

    fn waited(&mut self) -> ExitStatus {
        let status = wait(self.child.as_mut().unwrap());
        self.child = None;
        assert!(self.watchdog.dismiss(), "the test took too long");
        status
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A test that failed: do not let it wait for what it still has open.
            abort(&self.mountpoint);
            signal(child.id(), "KILL");
            let _ = child.wait();
            let _ = Command::new("umount")
                .arg("-l")
                .arg(&self.mountpoint)
                .output();
        }
    }
}

/// Watches over a mount that a test makes otherwise than with `Mount`, from before it is made. What
/// is left of it goes with this.
pub struct Watched {
    mountpoint: PathBuf,
    watchdog: Watchdog,
}

impl Watched {
    pub fn new(mountpoint: &Path) -> Self {
        Self {
            mountpoint: mountpoint.to_path_buf(),
            watchdog: Watchdog::start(None, &canonical(mountpoint), LIMIT),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if is_mounted(&self.mountpoint) {
            abort(&self.mountpoint);
            let _ = Command::new("umount")
                .arg("-l")
                .arg(&self.mountpoint)
                .output();
        }
        let in_time = self.watchdog.dismiss();
        assert!(
            in_time || std::thread::panicking(),
            "the test took too long"
        );
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > Duration::from_secs(30) {
            print_stacks(child.id());
            signal(child.id(), "KILL");
            panic!("the daemon did not end; killed it");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .output()
        .expect("kill is installed (Debian: apt install procps)");
}

/// Aborts the connection of a mount: everything that waits for its daemon gets an error.
fn abort(mountpoint: &Path) {
    let device = device(mountpoint).unwrap_or_default();
    let Some((_, minor)) = device.split_once(':') else {
        return;
    };
    let control = Path::new("/sys/fs/fuse/connections");
    if fs::read_dir(control).map_or(true, |mut entries| entries.next().is_none()) {
        let _ = Command::new("mount")
            .args(["-t", "fusectl", "none"])
            .arg(control)
            .output();
    }
    let _ = fs::write(control.join(minor).join("abort"), "1");
}

fn canonical(mountpoint: &Path) -> PathBuf {
    fs::canonicalize(mountpoint).unwrap_or_else(|_| mountpoint.to_path_buf())
}

/// Major and minor number of what is mounted there.
fn device(mountpoint: &Path) -> Option<String> {
    Some(mount_line(mountpoint)?.split(' ').nth(2)?.to_owned())
}

fn mount_line(mountpoint: &Path) -> Option<String> {
    let mountpoint = canonical(mountpoint);
    // As the kernel writes what would end a field.
    let mountpoint = mountpoint.to_str()?.replace('\\', "\\134");
    let mountpoint = mountpoint.replace(' ', "\\040");
    fs::read_to_string("/proc/self/mountinfo")
        .ok()?
        .lines()
        .filter(|line| line.split(' ').nth(4) == Some(&mountpoint))
        .map(str::to_owned)
        .next_back()
}

/// True if anything is mounted there.
pub fn is_mounted(mountpoint: &Path) -> bool {
    mount_line(mountpoint).is_some()
}

/// A source directory and a mount point in a temporary directory.
pub struct Place {
    pub root: tempfile::TempDir,
    pub source: PathBuf,
    pub mountpoint: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        let (source, mountpoint) = (path.join("source"), path.join("mnt"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&mountpoint).unwrap();
        Self {
            root,
            source,
            mountpoint,
        }
    }

    /// Writes a file of the source.
    pub fn write(&self, relative: &str, bytes: &[u8]) -> PathBuf {
        let path = self.source.join(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes an archive `RELATIVE.wfz` of these bytes to the source.
    pub fn pack(&self, relative: &str, bytes: &[u8]) -> PathBuf {
        let original = self.root.path().join("to-pack");
        fs::write(&original, bytes).unwrap();
        let archive = self.source.join(format!("{relative}.wfz"));
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        ok([
            "pack".as_ref(),
            original.as_os_str(),
            "-o".as_ref(),
            archive.as_os_str(),
            "--force".as_ref(),
        ]);
        archive
    }

    pub fn mount(&self) -> Mount {
        Mount::start(&self.source, &self.mountpoint)
    }
}
