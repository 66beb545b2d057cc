//! The leave to push pages into the kernel's page cache: a process that stands by and breaks the
//! connection to the kernel should the one that serves the mount be killed.
//!
//! A thread that stores pages waits in the kernel for READs of the same pages, and cannot be killed
//! while it waits. If all who might answer them are killed, it would wait for ever, keep the connection
//! open, and with it every reader waiting. So pages are pushed only where such a process could be
//! started and may break the connection: who holds a `Guard` has one.

use std::io::{self, Write};
use std::process::Child;

use fuser::{INodeNo, Notifier};

use super::abort::AbortControl;
use crate::error::{Error, Result};
use crate::os::first_line;

/// What the process says once it could break the connection, before the mount's device number.
const STANDS_BY: &str = "stands by ";

/// A process that stands by a mount; ended when this is dropped.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    device: String,
}

impl Guard {
    /// Takes in a process that was started with a pipe as its stdout, once it stands by the mount with
    /// this device number (`Mounted::device`): it has called `stand_by`, and will break the connection
    /// when this process ends, however that comes.
    ///
    /// # Errors
    /// `Environment` if it may not break the connection, `Io` if it cannot be heard.
    pub fn admit(child: Child, device: &str) -> Result<Self> {
        let mut guard = Self {
            child,
            device: device.to_owned(),
        };
        let line = first_line(&mut guard.child)
            .map_err(|e| Error::io("cannot start the process that stands by", e))?;
        if line.trim_end().strip_prefix(STANDS_BY) == Some(device) {
            return Ok(guard);
        }
        Err(Error::Environment(
            "connections of FUSE cannot be broken here (/sys/fs/fuse/connections)".into(),
        ))
    }

    /// True if it stands by this mount and no other.
    pub(super) fn is_of(&self, device: &str) -> bool {
        self.device == device
    }

    /// Pushes bytes into the kernel's page cache, which nothing else does: this is what it is held for.
    pub(super) fn store(
        &self,
        notifier: &Notifier,
        inode: INodeNo,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        notifier.store(inode, offset, bytes)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It waits for the end of this process, which need not be near.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the process does that a `Guard` is made of: gets hold of the connection of a mount, by its
/// device number, and says so on stdout.
///
/// # Errors
/// What the system answered; nothing was said then.
pub fn stand_by(device: &str) -> io::Result<AbortControl> {
    let control = AbortControl::open(device)?;
    writeln!(io::stdout(), "{STANDS_BY}{device}")?;
    Ok(control)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn said(line: &str) -> Child {
        Command::new("sh")
            .args(["-c", "echo \"$0\"; exec sleep 60", line])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[test]
    fn only_a_process_that_stands_by_this_mount_is_a_guard() {
        let guard = Guard::admit(said("stands by 0:42"), "0:42").unwrap();
        assert!(guard.is_of("0:42") && !guard.is_of("0:4"));
        for line in ["", "ready", "stands by", "stands by 0:4", "stands by 0:421"] {
            let child = said(line);
            let process = format!("/proc/{}", child.id());
            let error = Guard::admit(child, "0:42").unwrap_err();
            assert!(matches!(error, Error::Environment(_)), "{line}: {error}");
            assert!(!std::path::Path::new(&process).exists(), "{line}");
        }
        let ended = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
        assert!(Guard::admit(ended, "0:42").is_err());
    }
}
