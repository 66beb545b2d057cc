//! The mount of the demonstration, which another process serves.

use std::path::Path;
use std::process::Stdio;

use crate::daemon::{MountCommand, MountProcess, Stay};
use crate::error::{Error, Result};

/// Mounts, and returns when the mount answers.
pub(super) fn mount(source: &Path, mountpoint: &Path) -> Result<MountProcess> {
    let command = MountCommand {
        name: "mount",
        options: Vec::new(),
        source: Some(source.to_path_buf()),
        mountpoint: mountpoint.to_path_buf(),
    };
    let mut mount = MountProcess::start(&command, Stay::WithStarter, Stdio::inherit())?;
    let is_ready = mount
        .is_ready()
        .map_err(|e| Error::io("cannot start weightfs mount", e))?;
    if !is_ready {
        return Err(Error::Environment(
            "weightfs mount did not become ready; see its message above".into(),
        ));
    }
    Ok(mount)
}

/// Ends it; it must end well.
pub(super) fn unmount(mount: MountProcess) -> Result<()> {
    let ended = mount
        .stop()
        .map_err(|e| Error::io("cannot stop weightfs mount", e))?;
    if !ended.success() {
        return Err(Error::Environment(format!(
            "weightfs mount ended with {ended}"
        )));
    }
    Ok(())
}
