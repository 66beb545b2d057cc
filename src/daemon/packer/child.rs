//! The process that packs one file: started, paused, ended.
//!
//! A process of its own, since it is to run when all else is idle, may be stopped at any moment, and is the first
//! to go when memory runs out. However this ends, so does it.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::answer::PackAnswer;
use crate::daemon::process::{cannot_start, own_program};
use crate::error::Result;
use crate::os::handle_path;

/// The directory that a process runs in, whatever is mounted over its path.
const WORKING_DIRECTORY: &str = "/proc/self/cwd";
/// More than it ever says.
const MAX_ANSWER_BYTES: u64 = 1 << 16;

/// A process that packs.
#[derive(Debug)]
pub(super) struct PackProcess {
    child: Child,
    is_paused: bool,
}

impl PackProcess {
    /// Starts it: `file`, which is known as `from`, is packed to `to` in a directory. It ends with the thread that
    /// calls this.
    ///
    /// # Errors
    /// `Io` or `Environment` if it cannot be started.
    pub(super) fn start(
        directory: &File,
        file: File,
        from: &Path,
        to: &Path,
        level: &str,
    ) -> Result<Self> {
        let cannot = |e| cannot_start("cannot start weightfs pack-behind", e);
        let child = own_program()
            .map_err(cannot)?
            .args(["pack-behind", "--level", level, "--parent"])
            .arg(std::process::id().to_string())
            .arg("--")
            .arg(from)
            // By handles alone: a mount may lie over the path, or a link have come into it, and whoever makes an absolute
            // path of a relative one, as tempfile does, ends up in that.
            .arg(Path::new(WORKING_DIRECTORY).join(to))
            .current_dir(handle_path(directory))
            // No signal of the terminal is for it.
            .process_group(0)
            .stdin(Stdio::from(file))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(cannot)?;
        Ok(Self {
            child,
            is_paused: false,
        })
    }

    /// Has it go on, or wait.
    pub(super) fn pause(&mut self, pause: bool) {
        if pause == self.is_paused {
            return;
        }
        self.is_paused = pause;
        self.signal(if pause { Signal::STOP } else { Signal::CONT });
    }

    /// What it says, once it has ended.
    pub(super) fn answer(&mut self) -> Option<PackAnswer> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.said(status)),
            Err(error) => Some(PackAnswer::Failed(format!("lost the process: {error}"))),
        }
    }

    fn said(&mut self, status: ExitStatus) -> PackAnswer {
        let mut text = String::new();
        if let Some(stdout) = self.child.stdout.take() {
            // What is not understood counts as nothing.
            let _ = stdout.take(MAX_ANSWER_BYTES).read_to_string(&mut text);
        }
        let answer = serde_json::from_str(&text)
            .ok()
            .filter(|_| status.success());
        match answer {
            // Where that process ran says nothing to anybody else.
            Some(PackAnswer::Failed(why)) => {
                PackAnswer::Failed(why.replace(&format!("{WORKING_DIRECTORY}/"), ""))
            }
            Some(answer) => answer,
            None => PackAnswer::Failed(match status.signal() {
                Some(signal) => format!("the process that packs it was ended by signal {signal}"),
                None => format!("the process that packs it ended with {status}"),
            }),
        }
    }

    fn signal(&self, signal: Signal) {
        // One that has ended already is not waited for yet, so its id is no other's.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for PackProcess {
    /// Tidying up is for whoever started it: for that it would have to wait until all else is idle.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
