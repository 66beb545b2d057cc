//! A store of models that is mounted over itself, written to and packed behind those who use it, with a view of
//! the disk below.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::Mount;

/// Packing waits for processors and memory that others use, and other tests use them for long.
const LIMIT: Duration = Duration::from_secs(3600);
const WAIT: Duration = Duration::from_secs(3000);
const PAUSE: Duration = Duration::from_millis(50);

pub struct Store {
    pub path: PathBuf,
    /// The directory below the mount: opened before it was there.
    below: File,
    mount: Mount,
}

impl Store {
    pub fn mount(path: &Path) -> Self {
        let below = File::open(path).unwrap();
        Self {
            path: path.to_path_buf(),
            below,
            mount: over_itself(path),
        }
    }

    /// Ends the mount and makes it anew.
    pub fn remounted(self) -> Self {
        self.mount.stop();
        Self::mount(&self.path)
    }

    pub fn unmount(self) {
        self.mount.stop();
    }

    /// Where a file of the store is on the disk.
    pub fn below(&self, relative: impl AsRef<Path>) -> PathBuf {
        Path::new("/proc/self/fd")
            .join(self.below.as_raw_fd().to_string())
            .join(relative)
    }

    /// Waits until so many files have become archives since it was mounted, and none waits; returns what the mount says of that.
    #[track_caller]
    pub fn wait_until_packed(&self, files: u64) -> Value {
        let packing = wait_for("end of packing", || {
            let packing = self.mount.packing().unwrap();
            let is_idle = packing["queued_files"] == 0 && packing["packing"].is_null();
            let is_so = is_idle && packing["packed_files"].as_u64() >= Some(files);
            is_so.then_some(packing)
        });
        assert_eq!(packing["packed_files"], files, "{packing}");
        assert_eq!(packing["failed_files"], 0, "{packing}");
        packing
    }
}

fn over_itself(path: &Path) -> Mount {
    let options = ["--writable", "--pack", "--pack-after", "1"];
    Mount::with(path, path, &options, LIMIT)
}

/// Waits for something to be there.
#[track_caller]
pub fn wait_for<T>(what: &str, find: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(start.elapsed() < WAIT, "no {what}");
        std::thread::sleep(PAUSE);
    }
}

/// All that is in a directory but what weightfs has for itself, with the lengths of files.
pub fn entries(root: &Path) -> BTreeMap<PathBuf, Option<u64>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            if entry.file_name() == ".weightfs" {
                continue;
            }
            let relative = path.strip_prefix(root).unwrap().to_path_buf();
            found.insert(relative, meta.is_file().then_some(meta.len()));
            if meta.is_dir() {
                directories.push(path);
            }
        }
    }
    found
}

/// How long a file is, if it is there.
pub fn length(path: &Path) -> Option<u64> {
    path.symlink_metadata().ok().map(|meta| meta.len())
}
