//! What is mounted where, as the kernel tells in `/proc/self/mountinfo`.
//!
//! Paths are bytes here. The crate procfs (0.18) reads the table as UTF-8: one mount anywhere on the machine
//! whose path is something else makes all of it unreadable; and it leaves the kernel's escapes in.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The type our mounts have; the kernel knows what stands before the dot.
pub(super) const FILE_SYSTEM_TYPE: &str = "fuse.weightfs";

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MountLine {
    /// Number of the mount.
    pub(super) id: u64,
    /// Device number, as `major:minor`.
    pub(super) device: String,
    /// Canonical path.
    mountpoint: PathBuf,
    /// Type of the file system.
    kind: String,
    /// Options of the mount and of the file system.
    pub(super) options: Vec<String>,
}

impl MountLine {
    /// True for a mount of ours, of this process or another.
    pub(super) fn is_ours(&self) -> bool {
        self.kind == FILE_SYSTEM_TYPE
    }
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
        .any(|line| line.device == device && line.is_ours()))
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
    let text = std::fs::read("/proc/self/mountinfo")
        .map_err(|e| Error::io("cannot read /proc/self/mountinfo", e))?;
    Ok(text
        .split(|&byte| byte == b'\n')
        .filter_map(parse)
        .collect())
}

fn parse(line: &[u8]) -> Option<MountLine> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = fields.nth(1)?;
    let mountpoint = fields.nth(1)?;
    let of_mount = fields.next()?;
    let mut behind = fields.skip_while(|&field| field != b"-");
    let kind = behind.nth(1)?;
    let text = |field| String::from_utf8_lossy(field).into_owned();
    let of_both = [Some(of_mount), behind.nth(1)].into_iter().flatten();
    Some(MountLine {
        id,
        device: text(device),
        mountpoint: unescape(mountpoint).into(),
        kind: text(kind),
        options: of_both
            .flat_map(|list| list.split(|&byte| byte == b','))
            .map(text)
            .collect(),
    })
}

/// Undoes the kernel's `\040` for characters that would end a field.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(value) => {
                bytes.push(value);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
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
    fn lines_are_read_with_their_escapes_and_optional_fields() {
        let line = br"36 35 98:0 / /mnt/a\040b\134 rw,noatime shared:1 master:2 - fuse.weightfs weightfs ro";
        let line = parse(line).unwrap();
        assert_eq!((line.id, line.device.as_str()), (36, "98:0"));
        assert_eq!(line.mountpoint, Path::new("/mnt/a b\\"));
        assert!(line.is_ours());
        assert_eq!(line.options, ["rw", "noatime", "ro"]);
        let bare = parse(b"36 35 98:0 / /mnt rw - ext4 /dev/x rw").unwrap();
        assert_eq!(bare.mountpoint, Path::new("/mnt"));
        assert!(!bare.is_ours());
        let strange = parse(b"36 35 98:0 / /mnt/\xff\\012 rw - fuse.weightfs weightfs ro").unwrap();
        let path = OsString::from_vec(b"/mnt/\xff\n".to_vec());
        assert_eq!(strange.mountpoint, Path::new(&path));
        assert_eq!(parse(b""), None);
    }
}
