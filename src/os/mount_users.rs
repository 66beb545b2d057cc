//! Which processes have files of a mount open or mapped, as `/proc` tells; the file system is not asked.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

/// Processes that use a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MountUsers {
    /// Those that could be looked at.
    pub processes: Vec<MountUser>,
    /// How many could not, most of them as they are other users'.
    pub unseen_processes: usize,
}

/// A process that uses a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MountUser {
    /// Its id.
    pub process: u32,
    /// What it is called.
    pub name: String,
    /// Files that it has open.
    pub open_files: usize,
    /// Of those, files that it reads past the page cache (`O_DIRECT`).
    pub direct_files: usize,
    /// Bytes of files that it has mapped, shared (`MAP_SHARED`) or for itself.
    pub shared_map_bytes: u64,
    /// See `shared_map_bytes`.
    pub private_map_bytes: u64,
}

/// Looks at all processes. A mount is known by its number, and its device (`0:42`); both are in the table of
/// mounts.
///
/// # Errors
/// What the system answered.
pub fn users_of(mount: u64, device: &str) -> io::Result<MountUsers> {
    users_under(Path::new("/proc"), mount, device)
}

/// `root` is `/proc`, but for tests.
fn users_under(root: &Path, mount: u64, device: &str) -> io::Result<MountUsers> {
    let mut users = MountUsers::default();
    for entry in fs::read_dir(root)?.flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match user(&entry.path(), process, mount, device) {
            Ok(user)
                if user.open_files > 0 || user.shared_map_bytes + user.private_map_bytes > 0 =>
            {
                users.processes.push(user);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                users.unseen_processes += 1;
            }
            // Uses nothing of it, or is gone.
            _ => {}
        }
    }
    users.processes.sort_by_key(|user| user.process);
    Ok(users)
}

fn user(directory: &Path, process: u32, mount: u64, device: &str) -> io::Result<MountUser> {
    let name = fs::read(directory.join("comm")).unwrap_or_default();
    let mut user = MountUser {
        process,
        name: String::from_utf8_lossy(name.trim_ascii()).into_owned(),
        ..MountUser::default()
    };
    for open in fs::read_dir(directory.join("fdinfo"))?.flatten() {
        // It may be closed by now.
        let info = fs::read_to_string(open.path()).unwrap_or_default();
        user.count_open(&info, mount);
    }
    let maps = fs::read(directory.join("maps"))?;
    for line in maps.split(|&byte| byte == b'\n') {
        user.count_map(&String::from_utf8_lossy(line), device);
    }
    Ok(user)
}

impl MountUser {
    /// From `/proc/PID/fdinfo/FD`. Directories, and paths that are only held, are no files that are read.
    fn count_open(&mut self, info: &str, mount: u64) {
        let field = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name));
            value.map_or("", str::trim)
        };
        let flags = i32::from_str_radix(field("flags:"), 8).unwrap_or(0);
        let is_file = flags & (libc::O_DIRECTORY | libc::O_PATH) == 0;
        if is_file && field("mnt_id:").parse() == Ok(mount) {
            self.open_files += 1;
            self.direct_files += usize::from(flags & libc::O_DIRECT != 0);
        }
    }

    /// From a line of `/proc/PID/maps`: range, permissions, offset, device, inode, path.
    fn count_map(&mut self, line: &str, device: &str) {
        let mut fields = line.split(' ');
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else {
            return;
        };
        let bytes = || {
            let (start, end) = range.split_once('-')?;
            let number = |text| u64::from_str_radix(text, 16).ok();
            number(end)?.checked_sub(number(start)?)
        };
        if fields.nth(1).and_then(decimal_device).as_deref() == Some(device)
            && let Some(bytes) = bytes()
        {
            if rights.ends_with('s') {
                self.shared_map_bytes += bytes;
            } else {
                self.private_map_bytes += bytes;
            }
        }
    }
}

/// `00:2a` -> `0:42`.
fn decimal_device(device: &str) -> Option<String> {
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some(format!("{}:{}", number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_and_mapped_files_of_the_mount_are_counted_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("12/comm", "llama-server\n");
        write(
            "12/fdinfo/3",
            "pos:\t0\nflags:\t0100000\nmnt_id:\t77\nino:\t5\n",
        );
        write("12/fdinfo/4", "pos:\t0\nflags:\t0140000\nmnt_id:\t77\n");
        write("12/fdinfo/5", "pos:\t0\nflags:\t0300000\nmnt_id:\t77\n");
        write("12/fdinfo/6", "pos:\t0\nflags:\t0100000\nmnt_id:\t7\n");
        write(
            "12/maps",
            "1000-3000 r--s 00000000 00:2a 5  /mnt/m\n5000-6000 r--p 00000000 00:2a 5  /mnt/m\n\
             7000-9000 r--p 00000000 fe:00 5  /other\n9000-a000 rw-p 00000000 00:00 0\n",
        );
        write("13/comm", "sh\n");
        write("13/fdinfo/0", "flags:\t0100000\nmnt_id:\t7\n");
        write("13/maps", "");
        write("self/comm", "x");
        let users = users_under(root.path(), 77, "0:42").unwrap();
        let expected = MountUser {
            process: 12,
            name: "llama-server".into(),
            open_files: 2,
            direct_files: 1,
            shared_map_bytes: 0x2000,
            private_map_bytes: 0x1000,
        };
        assert_eq!(users.processes, [expected]);
    }
}
