//! What files lie on, told apart by numbers that are the same in every mount of the source.
//!
//! The system numbers devices anew whenever one is mounted: on btrfs, ZFS, NFS and loop devices the number
//! says nothing the next time. What the source itself lies on needs none; what is mounted below it, or lies
//! elsewhere, is named after where it is mounted.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;

use crate::format::checksum;
use crate::sync::lock;

#[derive(Debug)]
pub(super) struct Devices {
    /// That of the source.
    own: u64,
    others: Mutex<HashMap<u64, u64>>,
}

impl Devices {
    pub(super) fn new(own: u64) -> Self {
        Self {
            own,
            others: Mutex::default(),
        }
    }

    /// The number of a device that something at `path` lies on, 0 for the source's own. `directory_is_on`
    /// tells whether a directory lies on it.
    pub(super) fn number(
        &self,
        device: u64,
        path: &Path,
        directory_is_on: impl Fn(&Path) -> bool,
    ) -> u64 {
        if device == self.own {
            return 0;
        }
        if let Some(number) = lock(&self.others).get(&device) {
            return *number;
        }
        // Some file systems (overlays) have files on other devices than their directories.
        let mounted_at = path
            .ancestors()
            .filter(|directory| directory_is_on(directory))
            .last()
            .unwrap_or(Path::new(""));
        let mut number = checksum(mounted_at.as_os_str().as_bytes()).max(1);
        let mut others = lock(&self.others);
        if let Some(number) = others.get(&device) {
            return *number;
        }
        // Another one was mounted there before, or both are such others of an overlay.
        while others.values().any(|taken| *taken == number) {
            number = number.wrapping_add(1).max(1);
        }
        others.insert(device, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_after_where_it_is_mounted() {
        let below = |mount: &'static str| move |path: &Path| path.starts_with(mount);
        let devices = Devices::new(7);
        assert_eq!(devices.number(7, Path::new("a"), below("")), 0);
        let number = devices.number(8, Path::new("a/b/c"), below("a/b"));
        assert_ne!(number, 0);
        assert_eq!(devices.number(8, Path::new("x"), below("x")), number);
        // By another number of the system's, in another mount.
        let again = Devices::new(9);
        assert_eq!(again.number(3, Path::new("a/b/d/e"), below("a/b")), number);
        let other = again.number(4, Path::new("a/b"), below("a/b"));
        assert!(other != number && other != 0);
        // A file that lies on a device no directory lies on.
        assert_ne!(again.number(5, Path::new("f"), |_| false), 0);
    }
}
