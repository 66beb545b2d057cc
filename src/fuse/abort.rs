//! Breaking the connection of a mount that does not answer any more.

use std::path::Path;

use rustix::mount::MountFlags;

use super::mountinfo::{self, mount_at};
use crate::error::{Error, Result};

/// Where the kernel shows its connections, once this is mounted.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

/// Breaks the connection of the mount at a path: whoever waits for an answer gets an error, now and
/// from now on. The mount stays until it is unmounted. Asks nothing of the mount itself.
///
/// # Errors
/// `InvalidInput` if no mount of ours is there, `Io` if the system refuses.
pub fn abort(mountpoint: &Path) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot abort {}", mountpoint.display()), e);
    let canonical = mountinfo::canonical(mountpoint).map_err(cannot)?;
    let line = mount_at(&canonical)?.filter(|line| line.is_ours());
    let Some((_, connection)) = line.as_ref().and_then(|line| line.device.split_once(':')) else {
        return Err(Error::InvalidInput(format!(
            "{} is not a weightfs mount",
            mountpoint.display()
        )));
    };
    let control = Path::new(CONNECTIONS).join(connection).join("abort");
    if !control.exists() {
        // A small container may lack it; if it cannot be had, the write tells.
        let _ = rustix::mount::mount("none", CONNECTIONS, "fusectl", MountFlags::empty(), None);
    }
    std::fs::write(control, "1").map_err(cannot)
}
