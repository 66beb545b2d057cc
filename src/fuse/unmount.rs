//! Unmounting, and what may be mounted at a place already. Asks nothing of the mount itself, which may
//! not answer any more.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::abort::AbortControl;
use super::connection::disconnect;
use super::mountinfo::{self, mount_at};
use crate::error::{Error, Result};
use crate::os::MountLine;

/// What became of an unmount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmount {
    /// It is gone.
    Done,
    /// Files are open: the mount point is free, and those who have files open can go on reading.
    Detached,
}

/// Unmounts a live mount of this process.
#[derive(Debug, Clone)]
pub struct Unmounter {
    /// A canonical path.
    pub(super) mountpoint: PathBuf,
    /// The mount's device number: another mount may stand at the same place meanwhile.
    pub(super) device: String,
}

impl Unmounter {
    /// Unmounts. If files are open, the mount point is freed at once, and their readers can finish.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub fn unmount(&self) -> Result<Unmount> {
        if mount_at(&self.mountpoint)?.is_none_or(|line| line.device != self.device) {
            // Somebody else unmounted it; files may still be open.
            return Ok(Unmount::Detached);
        }
        match disconnect(&self.mountpoint, false) {
            Ok(()) => Ok(Unmount::Done),
            Err(error) if error.errno() == libc::EBUSY => {
                disconnect(&self.mountpoint, true)?;
                Ok(Unmount::Detached)
            }
            Err(error) => Err(error),
        }
    }

    /// Breaks the connection to the kernel: whoever reads or will read gets an error.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub fn abort(&self) -> Result<()> {
        AbortControl::open(&self.device)
            .and_then(AbortControl::abort)
            .map_err(|e| Error::io("cannot break the connection to the kernel", e))
    }
}

/// Unmounts what `mount` mounted, from another process.
///
/// # Errors
/// `InvalidInput` if there is no mount of ours, `Environment` if files are open and `lazy` is not set.
pub fn unmount(mountpoint: &Path, lazy: bool) -> Result<()> {
    let canonical = canonical(mountpoint)?;
    if !is_ours(&canonical)? {
        return Err(Error::InvalidInput(format!(
            "{} is not a weightfs mount",
            mountpoint.display()
        )));
    }
    disconnect(&canonical, lazy).map_err(|error| {
        if error.errno() == libc::EBUSY {
            Error::Environment(format!(
                "{} is in use; close its files, or use --lazy to free the mount point now and let \
                 their readers finish",
                mountpoint.display()
            ))
        } else if let Some(option) = of_another_user(mountpoint) {
            Error::Environment(format!(
                "{} was mounted by another user ({option}); only that user and root can unmount it",
                mountpoint.display()
            ))
        } else {
            error
        }
    })
}

/// The option that names the user who mounted, if that is another.
fn of_another_user(mountpoint: &Path) -> Option<String> {
    let own = rustix::process::geteuid().as_raw().to_string();
    let line = mount_line(mountpoint).ok()??;
    line.options.into_iter().find(|option| {
        option
            .strip_prefix("user_id=")
            .is_some_and(|user| user != own)
    })
}

/// Makes sure that nothing of ours is mounted there: a dead mount is removed, a live one refused.
///
/// # Errors
/// `Environment` if a mount must be unmounted first, `Io` if the system refuses.
pub(super) fn clear_mountpoint(mountpoint: &Path) -> Result<()> {
    let canonical = canonical(mountpoint)?;
    let ours = is_ours(&canonical)?;
    // Not stat, which the kernel may still answer from what it remembers.
    let dead = matches!(
        rustix::fs::statfs(mountpoint),
        Err(Errno::NOTCONN | Errno::CONNABORTED)
    );
    match (ours, dead) {
        (true, true) => {
            tracing::warn!(
                "{}: removing the mount of a weightfs that is gone",
                mountpoint.display()
            );
            disconnect(&canonical, true)
        }
        (true, false) => Err(Error::Environment(format!(
            "{} is a weightfs mount already; unmount it first (weightfs umount)",
            mountpoint.display()
        ))),
        (false, true) => Err(Error::Environment(format!(
            "{} is the mount of another program that is gone; unmount it first (fusermount3 -u)",
            mountpoint.display()
        ))),
        (false, false) => Ok(()),
    }
}

/// True if something of ours is mounted there, whether it answers or not.
///
/// # Errors
/// `Io` if the system does not tell.
pub fn is_mounted(mountpoint: &Path) -> Result<bool> {
    is_ours(&canonical(mountpoint)?)
}

/// What is mounted there, as the table of mounts has it, if it is ours.
///
/// # Errors
/// `Io` if the system does not tell.
pub fn mount_line(mountpoint: &Path) -> Result<Option<MountLine>> {
    Ok(mount_at(&canonical(mountpoint)?)?.filter(mountinfo::is_ours))
}

fn is_ours(mountpoint: &Path) -> Result<bool> {
    Ok(mount_at(mountpoint)?.is_some_and(|line| mountinfo::is_ours(&line)))
}

fn canonical(mountpoint: &Path) -> Result<PathBuf> {
    mountinfo::canonical(mountpoint).map_err(|e| {
        Error::io(
            format!("cannot use mount point {}", mountpoint.display()),
            e,
        )
    })
}
