//! A mount that another process serves: starting it, and ending it.
//!
//! Another process, since a program that reads from a mount it serves itself can wait for itself for
//! ever: the kernel asks it for pages while it holds their locks.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::process::{cannot_start, own_program, wait_until};
use crate::error::Result;
use crate::fuse;
use crate::os::first_line;

/// What a process prints once its mount answers, before where that is.
pub(super) const READY: &str = "ready: ";
/// One that takes longer to end is killed.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What is mounted, how and where, in words of the command line.
#[derive(Debug)]
pub(crate) struct MountCommand {
    /// The command that mounts.
    pub(crate) name: &'static str,
    /// Its options.
    pub(crate) options: Vec<OsString>,
    /// What it shows, if that is to be said.
    pub(crate) source: Option<PathBuf>,
    /// Where.
    pub(crate) mountpoint: PathBuf,
}

impl MountCommand {
    /// All arguments, from the name of the command on.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut all = vec![OsString::from(self.name)];
        all.extend(self.options.iter().cloned());
        all.push("--".into());
        all.extend(self.source.iter().map(OsString::from));
        all.push(self.mountpoint.clone().into());
        all
    }
}

/// How long a mount stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// No longer than the `MountProcess`, nor than the thread that started it, however that ends.
    WithStarter,
    /// Until somebody unmounts it.
    OnItsOwn,
}

/// A process that serves a mount. No supervisor of this process hears of it.
#[derive(Debug)]
pub(crate) struct MountProcess {
    child: Child,
    mountpoint: PathBuf,
    stay: Stay,
    /// A mount that is found there once it has ended is one that it left: there was none before, or it
    /// has said that its own is there now.
    owns_mountpoint: bool,
}

impl MountProcess {
    /// Starts it; its messages go to `messages`. One that stays with its starter takes its signals from
    /// there alone, none from the terminal: whoever reads from the mount ends it when it is done.
    ///
    /// # Errors
    /// `Io` if it cannot be started.
    pub(crate) fn start(mount: &MountCommand, stay: Stay, messages: Stdio) -> Result<Self> {
        let cannot = |e| cannot_start(&format!("cannot start weightfs {}", mount.name), e);
        let mut command = own_program().map_err(cannot)?;
        let mut arguments = mount.arguments();
        match stay {
            Stay::WithStarter => {
                let parent = ["--parent".into(), std::process::id().to_string().into()];
                arguments.splice(1..1, parent);
                command.process_group(0);
            }
            // It must keep no directory busy.
            Stay::OnItsOwn => {
                command.current_dir("/");
            }
        }
        // Before it starts: it may be killed at any moment after it has mounted.
        let owns_mountpoint = !fuse::is_mounted(&mount.mountpoint).unwrap_or(true);
        let child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(messages)
            .spawn()
            .map_err(cannot)?;
        Ok(Self {
            child,
            mountpoint: mount.mountpoint.clone(),
            stay,
            owns_mountpoint,
        })
    }

    /// Its id.
    #[cfg(feature = "comparison")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the mount answers; false if the process ends instead, which then said why.
    ///
    /// # Errors
    /// What the system answered.
    pub(crate) fn is_ready(&mut self) -> std::io::Result<bool> {
        let is_ready = first_line(&mut self.child)?.starts_with(READY);
        self.owns_mountpoint |= is_ready;
        Ok(is_ready)
    }

    /// Waits for one that ends by itself.
    ///
    /// # Errors
    /// What the system answered.
    pub(crate) fn wait(mut self) -> std::io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Ends it, and the mount with it.
    ///
    /// # Errors
    /// What the system answered.
    pub(crate) fn stop(mut self) -> std::io::Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        if let Some(status) = wait_until(&mut self.child, Instant::now() + END_LIMIT)? {
            return Ok(status);
        }
        // Whoever waits for it would hold it.
        let _ = fuse::abort(&self.mountpoint);
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for MountProcess {
    fn drop(&mut self) {
        if self.stay == Stay::OnItsOwn {
            return;
        }
        // What could be said of it was said by `stop`.
        let _ = self.end();
        if self.owns_mountpoint {
            // There is none, unless the process could not unmount it.
            let _ = fuse::unmount(&self.mountpoint, true);
        }
    }
}

/// The last that a process of ours complained of in its messages.
pub(crate) fn last_complaint(messages: &str) -> Option<&str> {
    messages.lines().rev().find_map(complaint)
}

/// What a line of the log complains of, without the program's name or the time.
fn complaint(line: &str) -> Option<&str> {
    let error = line.split_once("ERROR ").map(|(_, complaint)| complaint);
    line.strip_prefix("weightfs: ").or(error)
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
