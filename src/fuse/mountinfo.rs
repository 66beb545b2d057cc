//! What is mounted where, and which of it is ours.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::os::{MountLine, mounts};

/// The type our mounts have; the kernel knows what stands before the dot.
pub(super) const FILE_SYSTEM_TYPE: &str = "fuse.weightfs";

/// True for a mount of ours, of this process or another.
pub(super) fn is_ours(line: &MountLine) -> bool {
    line.kind == FILE_SYSTEM_TYPE
}

/// What was mounted last on a canonical path; `None` if nothing is.
///
/// # Errors
/// `Io` if `/proc` cannot be read.
pub(super) fn mount_at(mountpoint: &Path) -> Result<Option<MountLine>> {
    let mut lines = lines()?;
    let at = lines.iter().rposition(|line| line.mountpoint == mountpoint);
    Ok(at.map(|at| lines.swap_remove(at)))
}

/// True for a path in a mount of ours, wherever that is mounted; false for one that is not there.
///
/// # Errors
/// `Io` if `/proc` cannot be read.
pub fn is_in_mount(path: &Path) -> Result<bool> {
    let Ok(meta) = path.metadata() else {
        return Ok(false);
    };
    let device = format!(
        "{}:{}",
        rustix::fs::major(meta.dev()),
        rustix::fs::minor(meta.dev())
    );
    Ok(lines()?
        .iter()
        .any(|line| line.device == device && is_ours(line)))
}

/// The numbers of all mounts of a device: it may be mounted in several places.
///
/// # Errors
/// `Io` if `/proc` cannot be read.
pub(super) fn mounts_of(device: &str) -> Result<Vec<u64>> {
    let lines = lines()?.into_iter();
    let of_it = lines.filter(|line| line.device == device);
    Ok(of_it.map(|line| line.id).collect())
}

fn lines() -> Result<Vec<MountLine>> {
    mounts().map_err(|e| Error::io("cannot read /proc/self/mountinfo", e))
}

/// The canonical path of a mount point whose file system may not answer any more: only the
/// directories it is in are asked, and links that lead there.
///
/// # Errors
/// What the system answered about those.
pub(super) fn canonical(mountpoint: &Path) -> std::io::Result<PathBuf> {
    let mut path = mountpoint.to_path_buf();
    // As many links as the kernel follows.
    for _ in 0..40 {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            break;
        };
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let found = parent.canonicalize()?.join(name);
        match found.read_link() {
            Ok(target) => path = found.with_file_name(target),
            Err(_) => return Ok(found),
        }
    }
    mountpoint.canonicalize()
}
