//! Tells the supervisor that started the program (systemd, or whatever speaks its protocol) how it
//! is doing: datagrams to the socket that `NOTIFY_SOCKET` names.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whoever started the program.
#[derive(Debug)]
pub struct Supervisor {
    socket: Option<OsString>,
}

/// The supervisor that the environment names; without one, messages go nowhere.
pub fn supervisor() -> Supervisor {
    Supervisor {
        socket: std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()),
    }
}

impl Supervisor {
    /// The mount answers.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// Unmounting has begun.
    pub fn stopping(&self) {
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
