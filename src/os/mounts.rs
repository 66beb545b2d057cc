//! What is mounted where, as the kernel tells in `/proc/self/mountinfo`.
//!
//! Paths are bytes here. The crate procfs (0.18) reads the table as UTF-8: one mount anywhere on the machine
//! whose path is something else makes all of it unreadable; and it leaves the kernel's escapes in.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct MountLine {
    /// Number of the mount.
    pub id: u64,
    /// Device number, as `major:minor`.
    pub device: String,
    /// What of the file system is mounted: a path in it.
    pub root: PathBuf,
    /// Canonical path.
    pub mountpoint: PathBuf,
    /// Type of the file system.
    pub kind: String,
    /// Options of the mount and of the file system.
    pub options: Vec<String>,
}

impl MountLine {
    /// True if it has an option, which is given in full.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|has| has == option)
    }
}

/// All that is mounted, as this process sees it; what was mounted last comes last.
///
/// # Errors
/// What the system answered.
pub fn mounts() -> io::Result<Vec<MountLine>> {
    mounts_under(Path::new("/"))
}

/// As `mounts`; `root` is `/`, but for tests.
pub(super) fn mounts_under(root: &Path) -> io::Result<Vec<MountLine>> {
    Ok(parse(&fs::read(root.join("proc/self/mountinfo"))?))
}

/// The number of the mount that an open file, or what is open as a path, is in. Told by the kernel alone:
/// the file system is not asked.
///
/// # Errors
/// What the system answered, or that it does not tell.
pub fn mount_id(handle: impl AsFd) -> io::Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", handle.as_fd().as_raw_fd());
    let text = io::read_to_string(File::open(path)?)?;
    text.lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .ok_or_else(|| io::Error::other("the system does not tell what is mounted where"))
}

/// The lines of a table; what is none is left out.
pub(super) fn parse(table: &[u8]) -> Vec<MountLine> {
    let lines = table.split(|&byte| byte == b'\n');
    lines.filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<MountLine> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = fields.nth(1)?;
    let (root, mountpoint) = (fields.next()?, fields.next()?);
    let of_mount = fields.next()?;
    let mut behind = fields.skip_while(|&field| field != b"-");
    let kind = behind.nth(1)?;
    let text = |field| String::from_utf8_lossy(field).into_owned();
    let of_both = [Some(of_mount), behind.nth(1)].into_iter().flatten();
    Some(MountLine {
        id,
        device: text(device),
        root: unescape(root).into(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_their_escapes_and_optional_fields() {
        let line = br"36 35 98:0 /x\040y /mnt/a\040b\134 rw,noatime shared:1 master:2 - fuse.weightfs weightfs ro";
        let line = parse_line(line).unwrap();
        assert_eq!((line.id, line.device.as_str()), (36, "98:0"));
        assert_eq!(line.root, Path::new("/x y"));
        assert_eq!(line.mountpoint, Path::new("/mnt/a b\\"));
        assert_eq!(line.kind, "fuse.weightfs");
        assert_eq!(line.options, ["rw", "noatime", "ro"]);
        assert!(line.has("noatime") && !line.has("noa"));
        let bare = parse_line(b"36 35 98:0 / /mnt rw - ext4 /dev/x rw").unwrap();
        assert_eq!(bare.mountpoint, Path::new("/mnt"));
        assert_eq!(parse_line(b""), None);
    }

    #[test]
    fn a_path_that_is_not_text_hides_no_other_line() {
        let table =
            b"36 35 98:0 / /mnt/\xff\\012 rw - ext4 x rw\n37 35 98:1 / /mnt rw - ext4 y rw\n";
        let lines = parse(table);
        let strange = OsString::from_vec(b"/mnt/\xff\n".to_vec());
        let places: Vec<_> = lines.iter().map(|line| line.mountpoint.as_path()).collect();
        assert_eq!(places, [Path::new(&strange), Path::new("/mnt")]);
    }

    #[test]
    fn a_handle_is_in_a_mount_of_the_table() {
        let id = mount_id(File::open("/proc").unwrap()).unwrap();
        let lines = mounts().unwrap();
        let line = lines.iter().find(|line| line.id == id).unwrap();
        assert_eq!(line.kind, "proc");
    }
}
