//! What a mount in the background needs: a session of its own, a place for its messages, and the
//! proof that it answers.
//!
//! Nothing here forks: the process in the background is started as such by `mount.weightfs`, and a
//! mount is only ever asked by another process, since a worker that waits for its own mount waits
//! for ever.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::process::{own_program, wait_until};
use crate::error::{Error, Result};

/// A mount that takes longer to answer is given up.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// How `mount.weightfs` runs `weightfs mount`.
#[derive(Debug, Parser)]
pub(crate) struct BackgroundArgs {
    /// Leave the terminal and the messages' reader once the mount answers
    #[arg(long, hide = true)]
    pub(crate) background: bool,
    /// Where messages go from then on
    #[arg(long, hide = true, requires = "background", value_name = "PATH")]
    pub(crate) log_file: Option<PathBuf>,
    /// Let nobody run programs from the mount
    #[arg(long, hide = true)]
    pub(crate) no_exec: bool,
    /// What the table of mounts names as the source
    #[arg(long, hide = true, value_name = "NAME")]
    pub(crate) source_name: Option<std::ffi::OsString>,
    /// End when this process does, which is the one that started the mount
    #[arg(long, hide = true, value_name = "PROCESS")]
    pub(crate) parent: Option<u32>,
}

/// Ask a mount for an answer
#[derive(Debug, Parser)]
pub(crate) struct AskArgs {
    /// Where it is mounted
    mountpoint: PathBuf,
}

/// A process that leaves the session it was started in, if it is to stay in the background.
pub(crate) struct Background {
    messages: Option<File>,
}

impl Background {
    /// Leaves the session, so that no signal of the terminal comes.
    ///
    /// # Errors
    /// `Io` if the file for messages cannot be opened.
    pub(crate) fn enter(args: &BackgroundArgs) -> Result<Self> {
        if !args.background {
            return Ok(Self { messages: None });
        }
        let path = args
            .log_file
            .as_deref()
            .unwrap_or_else(|| Path::new("/dev/null"));
        let messages = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| Error::io(format!("cannot open {}", path.display()), e))?;
        // Refused only to one who leads a group already, as one started by hand does.
        let _ = rustix::process::setsid();
        Ok(Self {
            messages: Some(messages),
        })
    }

    /// True if the one who started it waits for nothing but the news that the mount answers.
    pub(crate) fn is_wanted(&self) -> bool {
        self.messages.is_some()
    }

    /// Lets go of the stderr of whoever waited for the mount.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub(crate) fn let_go(&self) -> Result<()> {
        match &self.messages {
            Some(file) => rustix::stdio::dup2_stderr(file)
                .map_err(|e| Error::io("cannot redirect messages", e.into())),
            None => Ok(()),
        }
    }
}

/// Returns once a process of its own got an answer from the mount.
///
/// # Errors
/// `Environment` if it got none, `Io` if it could not be started.
pub(crate) fn wait_for_answer(mountpoint: &Path) -> Result<()> {
    let cannot = |e| Error::io("cannot check that the mount answers", e);
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

fn was_told_to_end(status: ExitStatus) -> bool {
    matches!(status.signal(), Some(SIGHUP | SIGINT | SIGTERM))
}

/// What the process does that `wait_for_answer` starts. Of all requests the kernel answers this one
/// never from what it remembers, and remembers nothing of it.
pub(crate) fn ask(args: &AskArgs) -> Result<()> {
    rustix::fs::statvfs(&args.mountpoint).map_err(|e| {
        let context = format!("no answer from {}", args.mountpoint.display());
        Error::io(context, e.into())
    })?;
    Ok(())
}
