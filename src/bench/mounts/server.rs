//! A mount in a process of its own: a program that reads what it serves itself can wait for itself
//! for ever.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::null::NULL_FILE_NAME;
use super::watch::{Watch, kill};
use crate::daemon::background::{own_program, wait_until};
use crate::error::{Error, Result};
use crate::fuse::{self, MountOptions};
use crate::os::memory_bytes_of;

/// A server that takes longer to end is killed.
const END_LIMIT: Duration = Duration::from_secs(10);
/// How long its words may take after a read that failed.
const WORDS_LIMIT: Duration = Duration::from_secs(1);

/// What is mounted.
#[derive(Debug, Clone)]
pub(super) enum Serves {
    /// An archive, which shows a file of this name.
    Archive { path: PathBuf, name: PathBuf },
    /// A file of this length that costs nothing.
    Null { bytes: u64 },
}

/// A mount that answers; unmounted, and its process ended, when this is dropped.
pub(super) struct Server<'a> {
    child: Child,
    watch: &'a Watch<'a>,
    mountpoint: PathBuf,
    /// The file in the mount.
    pub(super) file: PathBuf,
    log: PathBuf,
}

impl<'a> Server<'a> {
    /// Mounts on `directory/mnt`, which is made if needed.
    ///
    /// # Errors
    /// What the process said; `Io` if it cannot be started.
    pub(super) fn start(
        serves: &Serves,
        options: &MountOptions,
        directory: &Path,
        watch: &'a Watch<'a>,
    ) -> Result<Self> {
        let cannot = |e| Error::io("cannot start a mount", e);
        let (mountpoint, log) = (directory.join("mnt"), directory.join("log"));
        fs::create_dir_all(&mountpoint).map_err(cannot)?;
        let mut command = own_program().map_err(cannot)?;
        match serves {
            Serves::Archive { .. } => {
                command.args(["mount", "--cache-size", &options.cache_bytes.to_string()])
            }
            Serves::Null { bytes } => command.args(["null-mount", "--size", &bytes.to_string()]),
        };
        command
            .args(["--threads", &options.threads.to_string()])
            .args(["--readahead", &options.readahead_bytes.to_string()])
            .args(["--parent", &std::process::id().to_string(), "--"]);
        let name = match serves {
            Serves::Archive { path, name } => {
                command.arg(path);
                name.as_path()
            }
            Serves::Null { .. } => Path::new(NULL_FILE_NAME),
        };
        let file = mountpoint.join(name);
        command.arg(&mountpoint);
        let child = command
            .stdout(Stdio::piped())
            .stderr(File::create(&log).map_err(cannot)?)
            // A signal of the terminal is for this process, which ends its mounts in order.
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        watch.add(&mountpoint, child.id());
        let mut server = Self {
            child,
            watch,
            mountpoint,
            file,
            log,
        };
        let mut line = String::new();
        if let Some(stdout) = server.child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(cannot)?;
        }
        if line.starts_with("ready: ") {
            return Ok(server);
        }
        Err(Error::InvalidInput(server.words().unwrap_or_else(|| {
            "a mount did not become ready, and did not say why".to_owned()
        })))
    }

    /// Seconds of processor time that the process has taken, if the system tells.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let mut nanoseconds = 0;
        for task in tasks.flatten() {
            // Exact, where /proc/PID/stat counts hundredths of a second.
            let line = fs::read_to_string(task.path().join("schedstat")).ok()?;
            nanoseconds += line.split(' ').next()?.parse::<u64>().ok()?;
        }
        Some(Duration::from_nanos(nanoseconds).as_secs_f64())
    }

    /// The most memory that the process has held, if the system tells.
    pub(super) fn peak_bytes(&self) -> Option<u64> {
        memory_bytes_of(self.child.id(), "VmHWM").ok()
    }

    /// The last that the process complained of.
    pub(super) fn words(&self) -> Option<String> {
        let start = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let complaint = log.lines().rev().find_map(complaint);
            if complaint.is_some() || start.elapsed() > WORDS_LIMIT {
                return complaint.map(str::to_owned);
            }
            thread::sleep(WORDS_LIMIT / 100);
        }
    }
}

/// What a line of the log complains of, without the program's name or the time.
fn complaint(line: &str) -> Option<&str> {
    let error = line.split_once("ERROR ").map(|(_, complaint)| complaint);
    line.strip_prefix("weightfs: ").or(error)
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.watch.remove(self.child.id());
        let is_over = |ended: io::Result<Option<_>>| !matches!(ended, Ok(None));
        if !is_over(self.child.try_wait()) {
            kill(self.child.id(), Signal::TERM);
        }
        if !is_over(wait_until(&mut self.child, Instant::now() + END_LIMIT)) {
            // Whoever waits for it would hold it.
            let _ = fuse::abort(&self.mountpoint);
            kill(self.child.id(), Signal::KILL);
            let _ = self.child.wait();
        }
        // There is none, unless the process could not unmount it.
        let _ = fuse::unmount(&self.mountpoint, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_from_other_words() {
        assert_eq!(
            complaint("weightfs: a.wfz: damaged"),
            Some("a.wfz: damaged")
        );
        assert_eq!(
            complaint("2026-01-01T00:00:00.1Z ERROR read: a.wfz: block 1"),
            Some("read: a.wfz: block 1")
        );
        assert_eq!(complaint("2026-01-01T00:00:00.1Z  WARN something"), None);
        assert_eq!(complaint(""), None);
    }
}
