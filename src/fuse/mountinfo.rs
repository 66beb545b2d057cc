//! What is mounted where, and which of it is ours.

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

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

/// Where the mount of ours is mounted that a path lies in by its name alone: neither the mount nor any directory is
/// asked, so links are not followed. `None` if it is in none.
///
/// # Errors
/// `Io` if `/proc` cannot be read.
pub fn mount_above(path: &Path) -> Result<Option<PathBuf>> {
    let cannot = |e| Error::io(format!("cannot use {}", path.display()), e);
    let path = std::path::absolute(path).map_err(cannot)?;
    Ok(deepest_above(&path, lines()?)
        .filter(is_ours)
        .map(|line| line.mountpoint))
}

/// What was mounted last on the deepest mount point above a path. One with `..` is below nothing by its name.
fn deepest_above(path: &Path, lines: Vec<MountLine>) -> Option<MountLine> {
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let above = lines
        .into_iter()
        .filter(|line| path.starts_with(&line.mountpoint));
    // Of equals, the last.
    above.max_by_key(|line| line.mountpoint.components().count())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_above_a_path_is_found_by_names() {
        let line = |id, at: &str| MountLine {
            id,
            device: "0:1".into(),
            root: "/".into(),
            mountpoint: at.into(),
            kind: FILE_SYSTEM_TYPE.into(),
            options: Vec::new(),
        };
        let table = || {
            vec![
                line(1, "/"),
                line(2, "/a/b"),
                line(3, "/a"),
                line(4, "/a/b"),
            ]
        };
        for (path, id) in [("/a/b/c", 4), ("/a/b", 4), ("/a/bc", 3), ("/x", 1)] {
            let found = deepest_above(Path::new(path), table());
            assert_eq!(found.map(|line| line.id), Some(id), "{path}");
        }
        assert_eq!(deepest_above(Path::new("/a/b/../c"), table()), None);
    }
}
