//! Notices when a run stands still, and ends what it waits for: a mount that does not answer would
//! hold its readers for ever, and no signal could reach them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::console::Stop;
use crate::error::{Error, Result};
use crate::fuse;
use crate::os::start_thread;
use crate::sync::lock;

/// How often to look.
const LOOK: Duration = Duration::from_millis(200);

/// Told of every piece that was read.
pub(super) struct Watch<'a> {
    stop: &'a Stop,
    shared: Arc<Shared>,
    /// The thread that looks ends when this goes.
    _end: Sender<()>,
}

struct Shared {
    patience: Duration,
    /// Grows with each piece.
    beats: AtomicU64,
    /// True while a run waits for pieces.
    running: AtomicBool,
    stalled: AtomicBool,
    /// What runs wait for: mount points and their servers.
    mounts: Mutex<Vec<(PathBuf, u32)>>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(stop: &'a Stop, patience: Duration) -> Result<Self> {
        let shared = Arc::new(Shared {
            patience,
            beats: AtomicU64::new(0),
            running: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            mounts: Mutex::default(),
        });
        let (end, ended) = channel::<()>();
        let looks_at = Arc::clone(&shared);
        start_thread("watch", move || {
            let mut last = (0, Instant::now());
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                looks_at.look(&mut last);
            }
        })?;
        Ok(Self {
            stop,
            shared,
            _end: end,
        })
    }

    /// A piece was read.
    ///
    /// # Errors
    /// `Interrupted` if the user asked to stop.
    pub(super) fn beat(&self) -> Result<()> {
        self.shared.beats.fetch_add(1, Ordering::Relaxed);
        self.stop.check()
    }

    /// # Errors
    /// That of `run`; if it stood still, `InvalidInput` that says so.
    pub(super) fn during<T>(&self, what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.shared.beats.fetch_add(1, Ordering::Relaxed);
        self.shared.running.store(true, Ordering::Relaxed);
        let result = run();
        self.shared.running.store(false, Ordering::Relaxed);
        if self.shared.stalled.load(Ordering::Relaxed) {
            return Err(Error::InvalidInput(format!(
                "{what}: stood still for {} s; the mounts were ended",
                self.shared.patience.as_secs_f64()
            )));
        }
        // A signal of the terminal ends more than this process; what failed of that is no news.
        self.stop.check()?;
        result
    }

    /// A mount that runs may wait for from now on.
    pub(super) fn add(&self, mountpoint: &Path, server: u32) {
        lock(&self.shared.mounts).push((mountpoint.to_path_buf(), server));
    }

    /// To be called before its server is waited for: the id may then name another process.
    pub(super) fn remove(&self, server: u32) {
        lock(&self.shared.mounts).retain(|(_, process)| *process != server);
    }
}

impl Shared {
    /// `last`: the beats that were seen, and since when there were no more.
    fn look(&self, last: &mut (u64, Instant)) {
        let beats = self.beats.load(Ordering::Relaxed);
        if beats != last.0 || !self.running.load(Ordering::Relaxed) {
            *last = (beats, Instant::now());
        } else if last.1.elapsed() > self.patience {
            self.stalled.store(true, Ordering::Relaxed);
            for (mountpoint, server) in lock(&self.mounts).iter() {
                // Where connections cannot be aborted, they break with the end of the server.
                let _ = fuse::abort(mountpoint);
                kill(*server, Signal::KILL);
            }
        }
    }
}

/// Sends a signal to a child that was not waited for yet.
fn kill(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}
