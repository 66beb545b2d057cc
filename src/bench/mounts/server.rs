//! A mount in a process of its own: a program that reads what it serves itself can wait for itself
//! for ever.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::watch::Watch;
use crate::daemon::{MountCommand, MountProcess, Stay, last_complaint};
use crate::error::{Error, Result};
use crate::fuse::{MountOptions, NULL_FILE_NAME};
use crate::os::memory_bytes_of;

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
    process: MountProcess,
    watch: &'a Watch<'a>,
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
        let (name, first, source, shown) = match serves {
            Serves::Archive { path, name } => {
                let cache = ["--cache-size".into(), options.cache_bytes.to_string()];
                ("mount", cache, Some(path.clone()), name.as_path())
            }
            Serves::Null { bytes } => {
                let size = ["--size".into(), bytes.to_string()];
                ("null-mount", size, None, Path::new(NULL_FILE_NAME))
            }
        };
        let [threads, readahead] = ["--threads".into(), "--readahead".into()];
        let rest = [
            threads,
            options.threads.to_string(),
            readahead,
            options.readahead_bytes.to_string(),
        ];
        let file = mountpoint.join(shown);
        let command = MountCommand {
            name,
            options: first.into_iter().chain(rest).map(OsString::from).collect(),
            source,
            mountpoint,
        };
        let messages = File::create(&log).map_err(cannot)?;
        let process = MountProcess::start(&command, Stay::WithStarter, messages.into())?;
        watch.add(&command.mountpoint, process.id());
        let mut server = Self {
            process,
            watch,
            file,
            log,
        };
        if server.process.is_ready().map_err(cannot)? {
            return Ok(server);
        }
        Err(Error::InvalidInput(server.words().unwrap_or_else(|| {
            "a mount did not become ready, and did not say why".to_owned()
        })))
    }

    /// Seconds of processor time that the process has taken, if the system tells.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).ok()?;
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
        memory_bytes_of(self.process.id(), "VmHWM").ok()
    }

    /// The last that the process complained of.
    pub(super) fn words(&self) -> Option<String> {
        let start = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let complaint = last_complaint(&log);
            if complaint.is_some() || start.elapsed() > WORDS_LIMIT {
                return complaint.map(str::to_owned);
            }
            thread::sleep(WORDS_LIMIT / 100);
        }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // Before its process is waited for.
        self.watch.remove(self.process.id());
    }
}
