//! A mount for a moment, of one file that costs nothing: whether mounting works, what the kernel offers, and how
//! fast FUSE gives bytes that nobody has to decode.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::fs::getxattr;
use serde::Serialize;
use tempfile::TempDir;

use super::found::Found;
use crate::console::size::per_second;
use crate::daemon::{MountCommand, MountProcess, Stay, last_complaint};
use crate::error::{Error, Result};
use crate::fuse::{self, AbortControl, KernelOffer, MountOptions, NULL_FILE_NAME, OFFER_XATTR};
use crate::os::{PageBuffer, has_large_folios, read_full_at, start_thread};
use crate::storage::MappedFile;

/// Length of the file: what FUSE gives in a moment.
const FILE_BYTES: u64 = 256 << 20;
/// Bytes of a read.
const PIECE_BYTES: usize = 1 << 20;
/// Of the map that is looked at for large folios.
const MAPPED_BYTES: usize = 4 << 20;
/// How long the mount may take to give its file; then its connection is broken.
const LIMIT: Duration = Duration::from_secs(30);
/// More than the offer ever takes.
const OFFER_BYTES: usize = 4096;

/// What the mount has shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TestMount {
    /// What the kernel said when it connected.
    pub(crate) offer: Found<KernelOffer>,
    /// How far the kernel reads ahead in the mount, after weightfs has asked for more.
    pub(crate) readahead_bytes: Found<u64>,
    /// Pages can be pushed into the page cache: the connection could be broken if need be.
    pub(crate) can_push: bool,
    /// The page cache holds the file in pieces larger than a page.
    pub(crate) large_folios: Found<bool>,
    /// Bytes a second of reading the file once, from nothing.
    pub(crate) read: Found<u64>,
}

/// Mounts, looks, and unmounts.
///
/// # Errors
/// `Environment` that says why there is no mount.
pub(super) fn test_mount() -> Result<TestMount> {
    let cannot = |e| Error::io("cannot make a temporary directory", e);
    let directory = TempDir::with_prefix("weightfs-doctor-").map_err(cannot)?;
    let (mountpoint, log) = (directory.path().join("mnt"), directory.path().join("log"));
    fs::create_dir(&mountpoint).map_err(cannot)?;
    let messages = File::create(&log).map_err(cannot)?;
    let options = MountOptions::default();
    let command = MountCommand {
        name: "null-mount",
        options: [
            ("--size", FILE_BYTES.to_string()),
            ("--threads", options.threads.to_string()),
            ("--readahead", options.readahead_bytes.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.into(), value.into()])
        .collect(),
        source: None,
        mountpoint: mountpoint.clone(),
    };
    let mut process = MountProcess::start(&command, Stay::WithStarter, messages.into())?;
    let cannot = |e| Error::io("cannot start a mount", e);
    if !process.is_ready().map_err(cannot)? {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let why = last_complaint(&said).unwrap_or("it did not say why");
        return Err(Error::Environment(why.to_owned()));
    }
    let found = within_limit(&mountpoint, || look(&mountpoint));
    process.stop().map_err(cannot)?;
    found
}

/// Breaks the connection of the mount if `look` takes too long, which is an error for whoever reads.
fn within_limit<T>(mountpoint: &Path, look: impl FnOnce() -> T) -> Result<T> {
    let (end, ended) = channel::<()>();
    let stuck = mountpoint.to_path_buf();
    start_thread("limit", move || {
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            let _ = fuse::abort(&stuck);
        }
    })?;
    let found = look();
    drop(end);
    Ok(found)
}

fn look(mountpoint: &Path) -> TestMount {
    let device = fuse::mount_line(mountpoint).ok().flatten();
    let device = device.map_or_else(String::new, |line| line.device);
    let readahead = fuse::readahead(&device)
        .ok_or_else(|| format!("/sys/class/bdi/{device}/read_ahead_kb cannot be read"));
    let offer = Found::from(offer(mountpoint));
    let stores = offer.known().is_some_and(|offer| offer.store);
    let path = mountpoint.join(NULL_FILE_NAME);
    TestMount {
        readahead_bytes: readahead.into(),
        can_push: stores && AbortControl::open(&device).is_ok(),
        read: read_speed(&path).into(),
        large_folios: large_folios(&path)
            .map_err(|error| format!("/proc/kpageflags, which only root can read: {error}"))
            .into(),
        offer,
    }
}

fn offer(mountpoint: &Path) -> io::Result<KernelOffer> {
    let mut buffer = vec![0; OFFER_BYTES];
    let len = getxattr(mountpoint, OFFER_XATTR, &mut buffer[..])?;
    Ok(serde_json::from_slice(&buffer[..len])?)
}

fn read_speed(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let mut buffer = PageBuffer::new(PIECE_BYTES);
    let (start, mut at) = (Instant::now(), 0);
    while at < FILE_BYTES {
        match read_full_at(&file, buffer.bytes(), at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => at += read as u64,
        }
    }
    Ok(per_second(FILE_BYTES, start.elapsed()))
}

/// After the file was read: as loaders leave it in the page cache.
fn large_folios(path: &Path) -> io::Result<bool> {
    let map = MappedFile::private(&File::open(path)?)?;
    let part = &map.as_slice()[..MAPPED_BYTES];
    let touched: u64 = part.iter().step_by(4096).map(|&byte| u64::from(byte)).sum();
    std::hint::black_box(touched);
    has_large_folios(part)
}
