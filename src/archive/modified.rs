//! When the file of an archive was modified last, if somebody has set that since it was packed: an attribute of the
//! archive, whose superblock says what was true then.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::time::SystemTime;

use rustix::fs::{XattrFlags, setxattr};

use crate::os::{attribute, handle_path, since_epoch, system_time};

/// Seconds and nanoseconds since 1970, with a point between them.
const MODIFIED_XATTR: &str = "user.weightfs.modified";

/// The time that was set of the file of an archive that is open, at least as a path.
pub fn modified_since(archive: &File) -> Option<SystemTime> {
    let value = attribute(archive, OsStr::new(MODIFIED_XATTR)).ok()??;
    let (seconds, nanoseconds) = std::str::from_utf8(&value).ok()?.split_once('.')?;
    let nanoseconds = nanoseconds
        .parse()
        .ok()
        .filter(|&ns: &u32| ns < 1_000_000_000)?;
    Some(system_time(seconds.parse().ok()?, nanoseconds))
}

/// Sets it.
///
/// # Errors
/// What the system answered.
pub fn set_modified(archive: &File, time: SystemTime) -> io::Result<()> {
    let (seconds, nanoseconds) = since_epoch(time);
    let value = format!("{seconds}.{nanoseconds:09}");
    let flags = XattrFlags::empty();
    Ok(setxattr(
        handle_path(archive),
        MODIFIED_XATTR,
        value.as_bytes(),
        flags,
    )?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_that_was_set_is_read_back() {
        let file = tempfile::NamedTempFile::new_in(".").unwrap();
        assert_eq!(modified_since(file.as_file()), None);
        let epoch = SystemTime::UNIX_EPOCH;
        for time in [
            epoch,
            epoch + Duration::new(7, 9),
            epoch - Duration::new(7, 9),
            epoch - Duration::from_secs(1),
        ] {
            set_modified(file.as_file(), time).unwrap();
            assert_eq!(modified_since(file.as_file()), Some(time));
        }
    }
}
