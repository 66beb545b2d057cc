//! What is said of errors: an errno to the kernel, and to whoever looks after the mount a line.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use fuser::Errno;
use lru::LruCache;

use crate::error::Error;
use crate::format::checksum;
use crate::sync::lock;

/// Messages that are not logged again while they are among so many last ones.
const MESSAGES_KEPT: NonZeroUsize = NonZeroUsize::new(1000).expect("not zero");

/// What was said lately.
pub(super) struct Messages {
    /// Checksums of the messages.
    logged: Mutex<LruCache<u64, ()>>,
}

impl Messages {
    pub(super) fn new() -> Self {
        Self {
            logged: Mutex::new(LruCache::new(MESSAGES_KEPT)),
        }
    }

    /// The errno of an error, which is logged here and nowhere else if an administrator should see
    /// it: once, since a program that meets damage may try it again and again.
    pub(super) fn errno(&self, operation: &str, error: &Error) -> Errno {
        let errno = error.errno();
        if is_expected(operation, errno) {
            // Put into words only where somebody listens: most are names that are not there.
            tracing::debug!("{operation}: {error}");
            return Errno::from_i32(errno);
        }
        let message = format!("{operation}: {error}");
        let was_said = lock(&self.logged)
            .put(checksum(message.as_bytes()), ())
            .is_some();
        if was_said {
            tracing::debug!("{message}");
        } else {
            tracing::error!("{message}");
        }
        Errno::from_i32(errno)
    }
}

/// Names come and go, and who changes them is told what is wrong with it; an archive that is open and cannot be read is news,
/// whatever the errno, and so is a disk that is full or fails.
fn is_expected(operation: &str, errno: i32) -> bool {
    match operation {
        "read" => false,
        "lookup" | "getattr" | "readlink" | "open" | "opendir" | "getxattr" | "listxattr"
        | "statfs" => matches!(
            errno,
            libc::ENOENT | libc::ESTALE | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ENODATA
        ),
        _ => !matches!(errno, libc::EIO | libc::ENOSPC | libc::EDQUOT),
    }
}
