//! What a mount in the background needs: a session of its own, a place for its messages, and the
//! proof that it answers.
//!
//! Nothing here forks: the process in the background is started as such by `mount.weightfs`, and a
//! mount is only ever asked by another process, since a worker that waits for its own mount waits
//! for ever.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// Variables that are meant for the process that a supervisor started, and for no other.
const SUPERVISOR_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
/// A mount that takes longer to answer is given up.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long to wait before looking again whether the answer is there: at first, and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(50));

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

/// This program again. By its own path, which gives the process its name, and not by that of a link.
pub(crate) fn own_program() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("weightfs").stdin(Stdio::null());
    for variable in SUPERVISOR_VARIABLES {
        command.env_remove(variable);
    }
    Ok(command)
}

/// Has the system send SIGTERM to this process once the one that started it ends.
///
/// # Errors
/// `Io` if the system refuses, `Interrupted` if that one, known by its id, has ended already.
pub(crate) fn end_with_parent(parent: Option<u32>) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|e| Error::io("cannot follow the process that waits", e.into()))?;
    match parent {
        Some(expected) if !is_child_of(expected) => Err(Error::Interrupted),
        _ => Ok(()),
    }
}

/// True if that process has started this one, and has not ended since.
pub(crate) fn is_child_of(parent: u32) -> bool {
    getppid().is_some_and(|now| i64::from(now.as_raw_nonzero().get()) == i64::from(parent))
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

/// The first line that a process prints; empty if it ends without one.
pub(crate) fn first_line(child: &mut Child) -> std::io::Result<String> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    Ok(line)
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

/// Waits until a process has ended, but no longer than to `limit`.
///
/// # Errors
/// What the system answered.
pub(crate) fn wait_until(child: &mut Child, limit: Instant) -> std::io::Result<Option<ExitStatus>> {
    let (mut pause, longest) = LOOK_AGAIN;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() >= limit => return Ok(None),
            None => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(longest);
    }
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
