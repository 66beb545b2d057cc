//! Extended attributes of files that may be open as a path only.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use rustix::io::Errno;

/// Most have no more.
const ENOUGH_BYTES: usize = 1 << 10;
/// As long as the system lets a value be.
const MAX_BYTES: usize = 64 << 10;

/// The path by which the system has what is open, at least as a path.
pub fn handle_path(handle: &File) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

/// The value of one attribute; `None` if there is none of that name, or the file system has none.
///
/// # Errors
/// What the system answered; ENOENT where there is no /proc, since what is open as a path has no attributes
/// but by its name.
pub fn attribute(file: &File, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let path = handle_path(file);
    let mut value = vec![0; ENOUGH_BYTES];
    let mut read = rustix::fs::getxattr(&path, name, &mut value);
    if read == Err(Errno::RANGE) {
        value.resize(MAX_BYTES, 0);
        read = rustix::fs::getxattr(&path, name, &mut value);
    }
    match read {
        Ok(len) => {
            value.truncate(len);
            Ok(Some(value))
        }
        // OPNOTSUPP and NOTSUP are one number.
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
