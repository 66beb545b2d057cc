//! Whether somebody has a file open for writing.

#![expect(unsafe_code, reason = "a system call that no safe crate has")]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Chooses the signal that tells of somebody who waits; libc has no name for it.
const F_SETSIG: i32 = 10;

/// A lease on a file that is open for reading: as long as this lives, who opens the file for writing waits
/// (up to `/proc/sys/fs/lease-break-time`).
#[derive(Debug)]
pub struct Lease<'a>(&'a File);

impl<'a> Lease<'a> {
    /// # Errors
    /// EAGAIN if somebody has the file open for writing; something else where there are no leases (on
    /// network file systems, for files of others).
    pub fn take(file: &'a File) -> io::Result<Self> {
        // Who is waited for by somebody gets SIGIO otherwise, which ends a process; this one is ignored.
        fcntl(file, F_SETSIG, libc::SIGURG)?;
        fcntl(file, libc::F_SETLEASE, libc::F_RDLCK)?;
        Ok(Self(file))
    }

    /// Whether somebody waits for the file, or has got it because this took too long.
    pub fn is_wanted(&self) -> bool {
        !fcntl(self.0, libc::F_GETLEASE, 0).is_ok_and(|kind| kind == libc::F_RDLCK)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let _ = fcntl(self.0, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

fn fcntl(file: &File, command: i32, argument: i32) -> io::Result<i32> {
    // SAFETY: these commands take a number, and the file is open.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

/// Whether somebody has a file open for writing, as far as it can be found out: by a lease, and without
/// one from the processes whose files may be looked at.
pub fn is_open_for_writing(file: &File) -> bool {
    is_written_by_lease(file).unwrap_or_else(|| is_among_open_files(file).unwrap_or(false))
}

/// The same by a lease alone; `None` where there are none.
pub fn is_written_by_lease(file: &File) -> Option<bool> {
    match Lease::take(file) {
        Ok(_) => Some(false),
        Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => Some(true),
        Err(_) => None,
    }
}

fn is_among_open_files(file: &File) -> io::Result<bool> {
    let wanted = file.metadata()?;
    let is_it = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == (wanted.dev(), wanted.ino()))
    };
    for process in fs::read_dir("/proc")?.flatten() {
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        for open in files.flatten() {
            // First what asks no file system, one of which may hang.
            if is_writable(&process.path().join("fdinfo").join(open.file_name()))
                && is_it(&open.path())
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// By what the system says of a descriptor.
fn is_writable(info: &Path) -> bool {
    let info = fs::read_to_string(info).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_are_seen_and_readers_are_not() {
        let writer = tempfile::NamedTempFile::new().unwrap();
        let reader = File::open(writer.path()).unwrap();
        assert!(is_open_for_writing(&reader));
        assert!(is_among_open_files(&reader).unwrap());
        let path = writer.into_temp_path();
        let reader = File::open(&path).unwrap();
        let _another = File::open(&path).unwrap();
        assert!(!is_open_for_writing(&reader));
        assert!(!is_among_open_files(&reader).unwrap());
    }

    #[test]
    fn who_comes_to_write_waits_and_is_seen() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let reader = File::open(&path).unwrap();
        let lease = Lease::take(&reader).unwrap();
        assert!(!lease.is_wanted());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| File::options().write(true).open(&path));
            while !lease.is_wanted() {
                std::thread::yield_now();
            }
            assert!(!writer.is_finished());
            drop(lease);
            assert!(writer.join().unwrap().is_ok());
        });
    }
}
