//! Files of a file system: mapped, or read by position where that cannot be done.

use std::fs::File;
use std::io;

use super::access::Storage;
use super::mapped::MappedFile;
use super::positional::PositionalFile;

/// The bytes of a file.
///
/// # Errors
/// What the system answered.
pub fn open(file: &File) -> io::Result<Box<dyn Storage>> {
    match MappedFile::new(file) {
        Ok(mapped) => Ok(Box::new(mapped)),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
            Ok(Box::new(PositionalFile::new(file)?))
        }
        Err(error) => Err(error),
    }
}
