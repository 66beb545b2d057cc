//! What a file has beside its bytes and its mode: owner, extended attributes, times.

use std::ffi::{CStr, CString};
use std::fs::{File, FileTimes};
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Gid, Uid, XattrFlags, fchown, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

/// Gives a file the owner, the extended attributes (access control lists are some of them) and the
/// times of another. Attributes whose names begin with `without` stay behind.
///
/// # Errors
/// What the system answered where it refuses, unless the file has the attribute already.
pub fn copy_attributes(from: &File, to: &File, without: &str) -> io::Result<()> {
    let (like, now) = (from.metadata()?, to.metadata()?);
    if (like.uid(), like.gid()) != (now.uid(), now.gid()) {
        let (uid, gid) = (Uid::from_raw(like.uid()), Gid::from_raw(like.gid()));
        fchown(to, Some(uid), Some(gid))?;
    }
    for name in names(from)? {
        if name.as_bytes().starts_with(without.as_bytes()) {
            continue;
        }
        let value = value(from, &name)?;
        if let Err(error) = fsetxattr(to, name.as_c_str(), &value, XattrFlags::empty())
            && self::value(to, &name).ok().as_ref() != Some(&value)
        {
            return Err(error.into());
        }
    }
    to.set_times(
        FileTimes::new()
            .set_accessed(like.accessed()?)
            .set_modified(like.modified()?),
    )
}

fn names(file: &File) -> io::Result<Vec<CString>> {
    let list = all(|buffer| flistxattr(file, buffer));
    let list = match list {
        // A file system without them.
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        list => list?,
    };
    Ok(list
        .split_inclusive(|&byte| byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok().map(CStr::to_owned))
        .collect())
}

fn value(file: &File, name: &CStr) -> io::Result<Vec<u8>> {
    Ok(all(|buffer| fgetxattr(file, name, buffer))?)
}

/// What a call fills a buffer with, however long it is. (It may grow between asking for the length
/// and asking for the bytes; the system's limit is 64 KiB.)
fn all(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 1 << 16];
    let len = call(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}
