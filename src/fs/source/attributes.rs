//! Extended attributes of files of this machine.
//!
//! By way of /proc, which asks for no more rights than a look at the file and works with handles that are
//! not opened for reading.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;

use rustix::io::Errno;

use crate::os::{attribute, handle_path};

/// As long as the system lets a list be.
const MAX_BYTES: usize = 1 << 16;

/// The names of all; none where the file system has none.
pub(in crate::fs) fn names(file: &File) -> io::Result<Vec<OsString>> {
    let mut buffer = vec![0; MAX_BYTES];
    let len = match rustix::fs::listxattr(handle_path(file), &mut buffer[..]) {
        // Neither a file system without them nor a system without /proc is a reason to fail.
        Err(Errno::NOTSUP | Errno::NOENT) => 0,
        other => other?,
    };
    let names = buffer[..len].split(|&byte| byte == 0);
    let names = names.filter(|name| !name.is_empty());
    Ok(names
        .map(|name| OsString::from_vec(name.to_vec()))
        .collect())
}

/// The value of one; `None` if there is none of that name.
pub(in crate::fs) fn value(file: &File, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    match attribute(file, name) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other,
    }
}
