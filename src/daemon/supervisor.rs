//! Tells the supervisor that started the program (systemd, or whatever speaks its protocol) how it
//! is doing: datagrams to the socket that `NOTIFY_SOCKET` names. `WATCHDOG_USEC` says how often it
//! wants to hear that all is well, and `WATCHDOG_PID` from which process.
//!
//! Not by the crate sd-notify: its version 0.5 takes the name of an abstract socket (`@name`) for that of
//! a file, a `WATCHDOG_PID` that is no number for leave to speak, and an interval of 0 for one.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::printable::printable;

/// Whoever started the program.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<OsString>,
    watchdog: Option<Duration>,
}

/// The supervisor that the environment names; without one, messages go nowhere.
pub(super) fn supervisor() -> Supervisor {
    Supervisor {
        socket: std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()),
        watchdog: watchdog_interval(
            std::env::var("WATCHDOG_USEC").ok().as_deref(),
            std::env::var("WATCHDOG_PID").ok().as_deref(),
            std::process::id(),
        ),
    }
}

/// What the two variables ask of the process with this id: nothing if they are meant for another
/// one, or say nothing that can be understood.
fn watchdog_interval(micros: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let is_meant = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let micros = micros?.parse().ok().filter(|&micros| micros > 0)?;
    is_meant.then_some(Duration::from_micros(micros))
}

impl Supervisor {
    /// How long the supervisor waits for `alive` before it takes the program for stuck; `None` if
    /// it does not wait for that.
    pub(super) fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.socket.is_some())
    }

    /// Requests are answered.
    pub(super) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The mount answers.
    pub(super) fn ready(&self, status: &str) {
        // A line of a message is a field.
        self.send(&format!("READY=1\nSTATUS={}", printable(status)));
    }

    /// Unmounting has begun.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        let address = match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(socket),
        };
        let sent = address.and_then(|address| {
            UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)
        });
        if let Err(error) = sent {
            tracing::warn!("cannot tell the supervisor: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_where_the_variables_ask_this_process_for_it() {
        let second = Some(Duration::from_secs(1));
        for (micros, pid, expected) in [
            (Some("1000000"), None, second),
            (Some("1000000"), Some("7"), second),
            (Some("1000000"), Some("8"), None),
            (Some("1000000"), Some(""), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (Some("-1"), Some("7"), None),
            (None, Some("7"), None),
        ] {
            assert_eq!(
                watchdog_interval(micros, pid, 7),
                expected,
                "{micros:?} {pid:?}"
            );
        }
    }
}
