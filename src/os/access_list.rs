//! Access lists of files (POSIX ACLs), as the system keeps them beside the permission bits.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use rustix::io::Errno;

/// The extended attribute that holds the list that says who may do what.
pub const ACCESS_LIST: &str = "system.posix_acl_access";
/// That of a directory, which is the list that what is made in it will have.
pub const DEFAULT_ACCESS_LIST: &str = "system.posix_acl_default";

/// For some hundred users and groups.
const ENOUGH_BYTES: usize = 1 << 10;
/// As long as an extended attribute can be.
const MAX_LIST_BYTES: usize = 64 << 10;

/// One of the lists of a file or directory, which may be open as a path only; `None` if it has none.
///
/// # Errors
/// What the system answered; a file system without lists is no error.
pub fn access_list(file: &File, name: &str) -> io::Result<Option<Vec<u8>>> {
    // What is open as a path has no attributes but by its name. Without /proc that is an error.
    let by_name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut list = vec![0; ENOUGH_BYTES];
    let mut read = rustix::fs::getxattr(&by_name, name, &mut list);
    if read == Err(Errno::RANGE) {
        list.resize(MAX_LIST_BYTES, 0);
        read = rustix::fs::getxattr(&by_name, name, &mut list);
    }
    match read {
        Ok(len) => {
            list.truncate(len);
            Ok((len > 0).then_some(list))
        }
        // OPNOTSUPP and NOTSUP are one number.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
