//! The right to write to a source, which one mount at a time has.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::own::make_own;
use crate::fs::source::Source;

/// Below `OWN_DIRECTORY`: held by the one mount that writes.
pub(super) const LOCK: &str = "writable.lock";
/// So often is tried again to get it from a mount that is just about to end.
const MOST_TRIES: usize = 1000;
/// So long it is waited for, and so long between two tries.
const MOST_WAIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// A mount that was unmounted just now holds the lock until its process has ended.
pub(super) fn wait_for_lock(source: &Source, own: &Path) -> io::Result<File> {
    let start = Instant::now();
    loop {
        match take_lock(source, own) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && start.elapsed() < MOST_WAIT => {
                std::thread::sleep(PAUSE);
            }
            taken => return taken,
        }
    }
}

/// The lock in our own directory, which is made for it.
fn take_lock(source: &Source, own: &Path) -> io::Result<File> {
    let path = own.join(LOCK);
    for _ in 0..MOST_TRIES {
        let made = make_own(source, own, 0o755);
        let lock = made.and_then(
            |()| match source.create(&path, OFlags::RDWR, |_| Ok(0o600)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    source.open_as(&path, OFlags::RDWR)
                }
                made => made,
            },
        );
        let lock = match lock {
            // Whoever had it has just removed it, and the directory.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            lock => lock?,
        };
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(Errno::WOULDBLOCK.into()),
            // Only a wish: some network file systems have no locks.
            _ => {
                let is_it = |found: File| -> io::Result<bool> {
                    Ok(found.metadata()?.ino() == lock.metadata()?.ino())
                };
                if source.open_to_ask(&path).and_then(is_it).unwrap_or(false) {
                    return Ok(lock);
                }
            }
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
