//! Running programs as a user that is not root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

/// Runs programs as a user that is not root: the one who runs the tests, or else a made-up one.
pub struct OrdinaryUser {
    id: Option<u32>,
    /// Mode of the device before it was opened to all users.
    device_mode: Option<u32>,
}

const DEVICE: &str = "/dev/fuse";
/// The user `nobody`: fusermount3 wants one that has a name.
pub const NOBODY: u32 = 65534;

/// Copies the program to where an ordinary user can run it, unlike the target directory of root. By a process of
/// its own: a copy that this one has open for writing is open in all that its other threads start just then, and
/// cannot be run as long as they have it.
pub fn copy_program(to: &Path) {
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_weightfs"))
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

impl OrdinaryUser {
    pub fn new() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self {
                id: None,
                device_mode: None,
            };
        }
        // Any installed system lets all users use the device; a bare one may not yet.
        let mode = fs::metadata(DEVICE).unwrap().mode() & 0o777;
        let device_mode = (mode & 0o666 != 0o666).then_some(mode);
        if device_mode.is_some() {
            fs::set_permissions(DEVICE, fs::Permissions::from_mode(0o666)).unwrap();
        }
        Self {
            id: Some(NOBODY),
            device_mode,
        }
    }

    pub fn give(&self, paths: &[&Path]) {
        for path in paths {
            std::os::unix::fs::chown(path, self.id, self.id).unwrap();
        }
    }

    pub fn command(&self, program: &Path) -> Command {
        let Some(id) = self.id else {
            return Command::new(program);
        };
        let mut command = Command::new(program);
        std::os::unix::process::CommandExt::uid(&mut command, id);
        std::os::unix::process::CommandExt::gid(&mut command, id);
        command
    }
}

impl Drop for OrdinaryUser {
    fn drop(&mut self) {
        if let Some(mode) = self.device_mode {
            let _ = fs::set_permissions(DEVICE, fs::Permissions::from_mode(mode));
        }
    }
}
