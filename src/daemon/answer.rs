//! The proof that a mount answers.
//!
//! A mount is only ever asked by another process, since a worker that waits for its own mount waits
//! for ever.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::mount_process::last_complaint;
use super::process::{cannot_start, own_program, wait_until};
use crate::error::{Error, Result};

/// A mount that takes longer to answer is given up.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Returns once a process of its own got an answer from the mount.
///
/// # Errors
/// `Environment` if it got none, `Io` if it could not be started.
pub(crate) fn wait_for_answer(mountpoint: &Path) -> Result<()> {
    let cannot = |e| cannot_start("cannot check that the mount answers", e);
    let limit = Instant::now() + ANSWER_LIMIT;
    let (mut child, status) = loop {
        let mut child = own_program()
            .map_err(cannot)?
            .arg("ask")
            .arg("--")
            .arg(mountpoint)
            .stdout(Stdio::null())
            .spawn()
            .map_err(cannot)?;
        let status = wait_until(&mut child, limit).map_err(cannot)?;
        // A signal to all of a group or a service, which says nothing of the mount. This process
        // gets it too, now or a moment later.
        if !status.is_some_and(was_told_to_end) {
            break (child, status);
        }
    };
    match status {
        Some(status) if status.success() => Ok(()),
        // It said why.
        Some(_) => Err(Error::Environment(format!(
            "the mount on {} does not work",
            mountpoint.display()
        ))),
        None => {
            let _ = child.kill();
            Err(Error::Environment(format!(
                "the mount on {} did not answer within {} s",
                mountpoint.display(),
                ANSWER_LIMIT.as_secs()
            )))
        }
    }
}

/// What a process of this program that asks a mount got.
pub(crate) enum Answer {
    /// What it printed.
    Given(Vec<u8>),
    /// It ended with an error, and said this.
    Refused(String),
    /// Nothing within the limit; it was killed.
    None,
}

/// Has a process of its own run a command that asks a mount, or whatever else may never answer. What it
/// prints must be less than a pipe holds.
///
/// # Errors
/// `Io` if it could not be started.
pub(crate) fn ask_within(command: &[&OsStr], limit: Duration) -> Result<Answer> {
    let cannot = |e| cannot_start("cannot ask", e);
    let mut child = own_program()
        .map_err(cannot)?
        .args(command)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let Some(status) = wait_until(&mut child, Instant::now() + limit).map_err(cannot)? else {
        // Not waited for: it may be stuck in the kernel.
        let _ = child.kill();
        return Ok(Answer::None);
    };
    let mut said = Vec::new();
    if status.success() {
        let mut stdout = child.stdout.take().into_iter();
        stdout
            .try_for_each(|mut out| out.read_to_end(&mut said).map(drop))
            .map_err(cannot)?;
        return Ok(Answer::Given(said));
    }
    let mut stderr = child.stderr.take().into_iter();
    stderr
        .try_for_each(|mut err| err.read_to_end(&mut said).map(drop))
        .map_err(cannot)?;
    let text = String::from_utf8_lossy(&said);
    let complaint = last_complaint(&text).unwrap_or(&text);
    Ok(Answer::Refused(complaint.to_owned()))
}

fn was_told_to_end(status: ExitStatus) -> bool {
    matches!(status.signal(), Some(SIGHUP | SIGINT | SIGTERM))
}

/// What the process does that `wait_for_answer` starts. Of all requests the kernel answers this one
/// never from what it remembers, and remembers nothing of it.
///
/// # Errors
/// `Io` with what the kernel or the mount answered.
pub(crate) fn ask(mountpoint: &Path) -> Result<()> {
    rustix::fs::statvfs(mountpoint).map_err(|e| {
        let context = format!("no answer from {}", mountpoint.display());
        Error::io(context, e.into())
    })?;
    Ok(())
}
