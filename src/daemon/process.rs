//! Processes of this program that it starts itself: how they are started, waited for, and ended with
//! the one that started them.
//!
//! Nothing here forks by itself: a process that is to do something else is started as such.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};

use crate::error::{Error, Result};
use crate::os::limits_hint;

/// Variables that are meant for the process that a supervisor started, and for no other.
const SUPERVISOR_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
/// How long to wait before looking again whether a process has ended: at first, and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(50));

/// This program again. By its own path, which gives the process its name, and not by that of a link.
///
/// # Errors
/// What the system answered.
pub(crate) fn own_program() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("weightfs").stdin(Stdio::null());
    for variable in SUPERVISOR_VARIABLES {
        command.env_remove(variable);
    }
    Ok(command)
}

/// The error for a process that could not be started, with what to do about it.
pub(crate) fn cannot_start(what: &str, error: std::io::Error) -> Error {
    match limits_hint(&error) {
        "" => Error::io(what, error),
        hint => Error::Environment(format!("{what}: {error}{hint}")),
    }
}

/// Has the system send SIGTERM to this process once the one that started it ends. To the system, that
/// is the thread that started it.
///
/// # Errors
/// `Io` if the system refuses, `Interrupted` if that one, known by its id, has ended already.
pub(crate) fn end_with_parent(parent: Option<u32>) -> Result<()> {
    follow_parent(Signal::TERM)?;
    match parent {
        Some(expected) if !is_child_of(expected) => Err(Error::Interrupted),
        _ => Ok(()),
    }
}

/// As `end_with_parent`, also while this process is stopped: it has no time to tidy up.
///
/// # Errors
/// As `end_with_parent`.
pub(crate) fn die_with_parent(parent: u32) -> Result<()> {
    follow_parent(Signal::KILL)?;
    match is_child_of(parent) {
        true => Ok(()),
        false => Err(Error::Interrupted),
    }
}

fn follow_parent(signal: Signal) -> Result<()> {
    set_parent_process_death_signal(Some(signal))
        .map_err(|e| Error::io("cannot follow the process that waits", e.into()))
}

/// True if that process has started this one, and has not ended since.
pub(crate) fn is_child_of(parent: u32) -> bool {
    getppid().is_some_and(|now| i64::from(now.as_raw_nonzero().get()) == i64::from(parent))
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

/// Opens as many files as the system lets this process: each open file of a mount is one or two of its
/// own. A system that refuses lets fewer.
pub(crate) fn allow_all_files() {
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: files.maximum,
        ..files
    };
    let _ = setrlimit(Resource::Nofile, all);
}
