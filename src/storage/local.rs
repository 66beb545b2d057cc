//! Files of a file system: mapped, or read by position where that cannot be done or had better not be.

use std::fs::File;
use std::io;

use super::access::Storage;
use super::mapped::MappedFile;
use super::positional::PositionalFile;
use crate::os::address_space_left;

/// The bytes of a file. Whatever keeps it from being mapped (ENODEV of a file system without pages of its
/// own, no room in the address space, too many maps) keeps nobody from reading it.
///
/// # Errors
/// What the system answered.
pub fn open(file: &File) -> io::Result<Box<dyn Storage>> {
    if leaves_room(file.metadata()?.len())
        && let Ok(mapped) = MappedFile::new(file)
    {
        return Ok(Box::new(mapped));
    }
    Ok(Box::new(PositionalFile::new(file)?))
}

/// Whether a map of so many bytes leaves enough of a limited address space for all else.
fn leaves_room(bytes: u64) -> bool {
    address_space_left().is_none_or(|left| bytes <= left / 4)
}
