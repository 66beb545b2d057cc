//! Errors that are an errno for the kernel, and little else.

use std::io;
use std::path::Path;

use super::inode::Inode;
use crate::error::Error;

/// What the kernel answers by looking again.
pub(super) fn stale(inode: Inode) -> Error {
    errno(&format!("inode {inode} is gone"), libc::ESTALE)
}

pub(super) fn errno(what: &str, errno: i32) -> Error {
    Error::io(what, io::Error::from_raw_os_error(errno))
}

/// An error of something that was done with a path below the root.
pub(super) fn at(path: &Path, error: impl Into<io::Error>) -> Error {
    Error::io(path.display().to_string(), error.into())
}

/// True if what was found is not there any more.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ESTALE)
    )
}
