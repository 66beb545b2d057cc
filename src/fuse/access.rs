//! What lets this process mount, asked one by one: the device, the capability, the helper and its settings.
//! Whether all of it together is enough, only a mount tells.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::connection::{DEVICE, FUSERMOUNT, lacks_new_privileges, may_mount};

/// The settings of the helper.
const HELPER_SETTINGS: &str = "/etc/fuse.conf";
/// The bit of a mode that runs a program as its owner.
const SETUID: u32 = 0o4000;

/// What there is for mounting.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FuseAccess {
    /// The device.
    pub(crate) device: &'static str,
    /// `None` if this process can open it; else why not.
    pub(crate) device_refused: Option<String>,
    pub(crate) is_root: bool,
    /// The capability SYS_ADMIN is there.
    pub(crate) may_mount: bool,
    pub(crate) no_new_privs: bool,
    /// `None` if it is nowhere in PATH.
    pub(crate) helper: Option<Helper>,
    /// Whether users other than root may say `--allow-other`; `None` if the file cannot be read.
    pub(crate) user_allow_other: Option<bool>,
}

/// The program that mounts for users who may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Helper {
    pub(crate) path: PathBuf,
    /// It runs as root whoever calls it.
    pub(crate) is_setuid_root: bool,
}

impl FuseAccess {
    /// Asks the system.
    pub(crate) fn of_this_process() -> Self {
        let device = OpenOptions::new().read(true).write(true).open(DEVICE);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            device: DEVICE,
            device_refused: device.err().map(|error| error.to_string()),
            is_root: rustix::process::geteuid().is_root(),
            may_mount: may_mount(&status),
            no_new_privs: lacks_new_privileges(&status),
            helper: std::env::split_paths(&path).find_map(|place| helper_in(&place)),
            user_allow_other: allows_other(fs::read(HELPER_SETTINGS)),
        }
    }
}

fn helper_in(place: &Path) -> Option<Helper> {
    let path = place.join(FUSERMOUNT);
    let meta = path.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(Helper {
        is_setuid_root: meta.mode() & SETUID != 0 && meta.uid() == 0,
        path,
    })
}

/// As the helper reads its settings: a word alone on its line, but for a comment. Without the file, nothing is
/// allowed.
fn allows_other(settings: io::Result<Vec<u8>>) -> Option<bool> {
    match settings {
        Ok(text) => Some(
            text.split(|&byte| byte == b'\n')
                .filter_map(|line| line.split(|&byte| byte == b'#').next())
                .any(|line| line.trim_ascii() == b"user_allow_other"),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_setting_counts_only_as_a_line_of_its_own() {
        for (text, allowed) in [
            ("", false),
            ("# user_allow_other - as a user\n#user_allow_other\n", false),
            ("user_allow_other", true),
            ("mount_max = 10\n  user_allow_other \n", true),
            ("user_allow_other # for all\n", true),
            ("user_allow_other = 1\n", false),
        ] {
            assert_eq!(allows_other(Ok(text.into())), Some(allowed), "{text}");
        }
        assert_eq!(
            allows_other(Err(io::ErrorKind::NotFound.into())),
            Some(false)
        );
        assert_eq!(
            allows_other(Err(io::ErrorKind::PermissionDenied.into())),
            None
        );
    }

    #[test]
    fn a_helper_is_a_file_of_that_name() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(helper_in(place.path()), None);
        let path = place.path().join(FUSERMOUNT);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let helper = helper_in(place.path()).unwrap();
        assert!(helper.path == path && !helper.is_setuid_root);
    }
}
