//! The process that stands by a mount which pushes pages (see `fuse::Guard` for why): starting it, and
//! being it.

use std::process::Stdio;

use rustix::process::{Signal, set_parent_process_death_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use super::process::{cannot_start, is_child_of, own_program};
use crate::error::{Error, Result};
use crate::fuse::{Guard, Mounted, Push, stand_by};

/// Starts it, if pages are to be pushed. Where it cannot stand by, nothing is. The thread that calls
/// this must live as long as the process: its end is the signal.
pub(crate) fn start(mounted: &Mounted, push: Push) -> Option<Guard> {
    if push == Push::Never {
        return None;
    }
    beside(mounted.device())
        .inspect_err(|error| tracing::warn!("nothing is pushed into the page cache: {error}"))
        .ok()
}

fn beside(device: &str) -> Result<Guard> {
    let cannot = |e| cannot_start("cannot start the process that stands by", e);
    let child = own_program()
        .map_err(cannot)?
        .args(["guard", device, "--parent"])
        .arg(std::process::id().to_string())
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    Guard::admit(child, device)
}

/// Waits for the end of the process that serves the mount with this device number, however that comes,
/// and breaks the connection if it is still there.
///
/// # Errors
/// `Io` if it may not break the connection.
pub(crate) fn guard(device: &str, server: u32) -> Result<()> {
    let cannot = |e| Error::io("cannot stand by", e);
    // Those that are meant for all of a group or a service end the other process first.
    let mut signals = Signals::new([SIGUSR1, SIGHUP, SIGINT, SIGTERM]).map_err(cannot)?;
    set_parent_process_death_signal(Some(Signal::USR1)).map_err(|e| cannot(e.into()))?;
    let control = stand_by(device).map_err(cannot)?;
    if is_child_of(server) {
        signals.forever().find(|&signal| signal == SIGUSR1);
    }
    // Mostly it is gone, and this does nothing.
    let _ = control.abort();
    Ok(())
}
