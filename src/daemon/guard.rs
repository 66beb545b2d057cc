//! A process that stands by a mount which pushes pages into the kernel's page cache, and breaks its
//! connection should the daemon be killed.
//!
//! A thread that stores pages waits in the kernel for READs of the same pages, and cannot be killed
//! while it waits. If all who might answer them are killed, it would wait for ever, keep the connection
//! open, and with it every reader waiting. So pages are pushed only where this process could be started
//! and may break the connection.

use std::io::{self, Write};
use std::process::Stdio;

use clap::Parser;
use rustix::process::{Signal, set_parent_process_death_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use super::process::{is_child_of, own_program};
use crate::error::{Error, Result};
use crate::fuse::AbortControl;
use crate::os::first_line;

/// Stand by a mount
#[derive(Debug, Parser)]
pub(crate) struct GuardArgs {
    /// The device number of the mount
    device: String,
    /// The process that serves it
    #[arg(long, value_name = "PID")]
    parent: u32,
}

/// Starts it. The thread that calls this must live as long as the process: its end is the signal.
///
/// # Errors
/// `Io` if it cannot be started, `Environment` if it may not break the connection.
pub(crate) fn start(device: &str) -> Result<()> {
    let cannot = |e| Error::io("cannot start the process that stands by", e);
    let mut child = own_program()
        .map_err(cannot)?
        .args(["guard", device, "--parent"])
        .arg(std::process::id().to_string())
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    if first_line(&mut child).map_err(cannot)?.is_empty() {
        let _ = child.wait();
        return Err(Error::Environment(
            "connections of FUSE cannot be broken here (/sys/fs/fuse/connections)".into(),
        ));
    }
    Ok(())
}

/// Waits for the end of the process that serves the mount, however that comes, and breaks the
/// connection if it is still there.
pub(crate) fn guard(args: &GuardArgs) -> Result<()> {
    let cannot = |e| Error::io("cannot stand by", e);
    // Those that are meant for all of a group or a service end the other process first.
    let mut signals = Signals::new([SIGUSR1, SIGHUP, SIGINT, SIGTERM]).map_err(cannot)?;
    set_parent_process_death_signal(Some(Signal::USR1)).map_err(|e| cannot(e.into()))?;
    let control = AbortControl::open(&args.device).map_err(cannot)?;
    writeln!(io::stdout(), "ready").map_err(cannot)?;
    if is_child_of(args.parent) {
        signals.forever().find(|&signal| signal == SIGUSR1);
    }
    // Mostly it is gone, and this does nothing.
    let _ = control.abort();
    Ok(())
}
