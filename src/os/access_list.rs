//! Access lists of files (POSIX ACLs), as the system keeps them beside the permission bits.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use super::attribute::attribute;

/// The extended attribute that holds the list that says who may do what.
pub const ACCESS_LIST: &str = "system.posix_acl_access";
/// That of a directory, which is the list that what is made in it will have.
pub const DEFAULT_ACCESS_LIST: &str = "system.posix_acl_default";

/// One of the lists of a file or directory, which may be open as a path only; `None` if it has none.
///
/// # Errors
/// What the system answered; a file system without lists is no error.
pub fn access_list(file: &File, name: &str) -> io::Result<Option<Vec<u8>>> {
    match attribute(file, OsStr::new(name)) {
        Ok(list) => Ok(list.filter(|list| !list.is_empty())),
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => Ok(None),
        Err(e) => Err(e),
    }
}
