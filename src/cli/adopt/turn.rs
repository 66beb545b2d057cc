//! One process at a time adopts a directory, or undoes that. Packing and unpacking lock single files; what would get in one
//! another's way is mounting over what somebody else is packing.
//!
//! Invariant: nothing is left behind by who is killed, and a live mount holds nothing that is asked for here.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use crate::error::{Error, Result};
use crate::format::checksum;
use crate::printable::printable_name;

/// The right to change a directory, as long as this lives: a name that the system lets only one process have.
pub(super) struct Turn {
    _name: UnixDatagram,
}

impl Turn {
    /// # Errors
    /// `Environment` if another process has it.
    pub(super) fn take(directory: &Path) -> Result<Self> {
        let name = format!(
            "weightfs-adopt-{:016x}",
            checksum(directory.as_os_str().as_encoded_bytes())
        );
        let bound = SocketAddr::from_abstract_name(name)
            .and_then(|address| UnixDatagram::bind_addr(&address));
        match bound {
            Ok(socket) => Ok(Self { _name: socket }),
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                Err(Error::Environment(format!(
                    "another weightfs adopt is at work on {}; try again when that is done",
                    printable_name(directory)
                )))
            }
            Err(e) => Err(Error::io("cannot keep other processes away", e)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_its_turn() {
        let root = tempfile::tempdir().unwrap();
        let turn = Turn::take(root.path()).unwrap();
        assert!(matches!(
            Turn::take(root.path()),
            Err(Error::Environment(_))
        ));
        assert!(Turn::take(&root.path().join("other")).is_ok());
        drop(turn);
        assert!(Turn::take(root.path()).is_ok());
    }
}
