//! How far the kernel reads ahead of a sequential reader of a mount: a setting of its device.

use std::io;

/// Sets how far the kernel reads ahead of a sequential reader. It offers a FUSE server no more than
/// 128 KiB; an administrator may have more.
pub(super) fn set_readahead(device: &str, bytes: u64) {
    let control = readahead_control(device);
    match std::fs::write(&control, bytes.div_ceil(1024).to_string()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::debug!("readahead stays at the default: cannot write {control}: {error}");
        }
        Err(error) => {
            tracing::warn!("readahead stays at the default: cannot write {control}: {error}");
        }
    }
}

/// How far the kernel reads ahead, if it tells.
pub(crate) fn readahead(device: &str) -> Option<u64> {
    let kib: u64 = std::fs::read_to_string(readahead_control(device))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    kib.checked_mul(1024)
}

fn readahead_control(device: &str) -> String {
    format!("/sys/class/bdi/{device}/read_ahead_kb")
}
