//! What tells a file from all others that were ever on its file system: its handle, in which a number that was given
//! again counts as another one.

#![expect(unsafe_code, reason = "a system call that no safe crate has")]

use std::fs::File;
use std::os::fd::AsRawFd;

/// As long as the system lets a handle be.
const MAX_BYTES: u8 = 128;

#[repr(C)]
struct Handle {
    len: libc::c_uint,
    kind: libc::c_int,
    bytes: [u8; MAX_BYTES as usize],
}

/// The bytes of the handle of a file that is open, at least as a path; `None` where the file system has none.
pub fn file_handle(file: &File) -> Option<Vec<u8>> {
    let mut handle = Handle {
        len: libc::c_uint::from(MAX_BYTES),
        kind: 0,
        bytes: [0; MAX_BYTES as usize],
    };
    let mut mount = 0;
    // SAFETY: the handle has room for as many bytes as it says, and lives on; the path is a string; the file is open.
    let found = unsafe {
        libc::name_to_handle_at(
            file.as_raw_fd(),
            c"".as_ptr(),
            (&raw mut handle).cast(),
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    let len = usize::try_from(handle.len).ok()?;
    (found == 0).then(|| handle.bytes.get(..len).map(<[u8]>::to_vec))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_handle_and_no_other_file_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let handle = |name: &str| {
            let path = dir.path().join(name);
            File::options()
                .create(true)
                .append(true)
                .open(&path)
                .unwrap();
            file_handle(&File::open(path).unwrap())
        };
        let Some(first) = handle("a") else { return };
        assert_eq!(handle("a").as_ref(), Some(&first));
        assert_ne!(handle("b").as_ref(), Some(&first));
        // Even if it gets the same number.
        std::fs::remove_file(dir.path().join("a")).unwrap();
        assert_ne!(handle("a").as_ref(), Some(&first));
    }
}
