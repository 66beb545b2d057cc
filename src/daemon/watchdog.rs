//! Tells the supervisor that the mount makes progress.

use std::sync::Arc;
use std::time::Duration;

use super::supervisor::Supervisor;
use crate::error::Result;
use crate::fuse::Progress;
use crate::os::start_thread;

/// However often the supervisor asks to be told.
const MIN_TURN: Duration = Duration::from_millis(1);

/// Tells the supervisor twice in each interval that the program is alive, from a thread of its own
/// and for as long as the process lives, except while a request has been in work for longer than
/// the interval. Does nothing for a supervisor that does not ask.
///
/// # Errors
/// `Environment` if no thread can be started: the supervisor would take the mount for stuck.
pub(super) fn watch(supervisor: Supervisor, progress: Arc<Progress>) -> Result<()> {
    let Some(interval) = supervisor.watchdog_interval() else {
        return Ok(());
    };
    let watching = move || {
        let mut stalled = false;
        loop {
            if progress.turn() {
                supervisor.alive();
                stalled = false;
            } else if !stalled {
                tracing::error!(
                    "a request has been in work for longer than {interval:?}; not telling the \
                     supervisor that all is well"
                );
                stalled = true;
            }
            std::thread::sleep((interval / 2).max(MIN_TURN));
        }
    };
    start_thread("watchdog", watching).map(drop)
}
