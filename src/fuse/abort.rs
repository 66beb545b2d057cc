//! Breaking the connection of a mount that does not answer any more.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::mount::MountFlags;

use super::mountinfo::{self, mount_at};
use crate::error::{Error, Result};

/// Where the kernel shows its connections, once this is mounted.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

/// What breaks one connection to the kernel, and no other that may get its number later.
#[derive(Debug)]
pub struct AbortControl(File);

impl AbortControl {
    /// The control of a mount, by its device number (`0:42`).
    ///
    /// # Errors
    /// What the system answered.
    pub fn open(device: &str) -> io::Result<Self> {
        let connection = device.rsplit(':').next().unwrap_or_default();
        let control = Path::new(CONNECTIONS).join(connection).join("abort");
        if !control.exists() {
            // A small container may lack it; if it cannot be had, opening tells.
            let _ = rustix::mount::mount("none", CONNECTIONS, "fusectl", MountFlags::empty(), None);
        }
        Ok(Self(File::options().write(true).open(control)?))
    }

    /// Breaks the connection, if it is still there: whoever waits for an answer gets an error, now and
    /// from now on.
    ///
    /// # Errors
    /// What the system answered.
    pub fn abort(mut self) -> io::Result<()> {
        self.0.write_all(b"1")
    }
}

/// Breaks the connection of the mount at a path. The mount stays until it is unmounted. Asks nothing of
/// the mount itself.
///
/// # Errors
/// `InvalidInput` if no mount of ours is there, `Io` if the system refuses.
pub fn abort(mountpoint: &Path) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot abort {}", mountpoint.display()), e);
    let canonical = mountinfo::canonical(mountpoint).map_err(cannot)?;
    let line = mount_at(&canonical)?.filter(mountinfo::is_ours);
    let Some(line) = line else {
        return Err(Error::InvalidInput(format!(
            "{} is not a weightfs mount",
            mountpoint.display()
        )));
    };
    AbortControl::open(&line.device)
        .and_then(AbortControl::abort)
        .map_err(cannot)
}
