//! Makes directories that weightfs has for itself in a source.

use std::io;
use std::path::Path;

use rustix::fs::{Gid, OFlags, Uid, fchown};

use crate::fs::source::Source;

/// Makes a directory, if it is not there, that belongs to whom the directory above it belongs to.
pub(super) fn make_own(source: &Source, path: &Path, mode: u32) -> io::Result<()> {
    match source.make_directory(path, |_| Ok(mode)) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(e) => return Err(e),
    }
    let above = source.facts(path.parent().unwrap_or(Path::new("")))?;
    let made = source.open_as(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let owner = (Uid::from_raw(above.uid), Gid::from_raw(above.gid));
    if source.facts(path)?.uid != above.uid {
        fchown(&made, Some(owner.0), Some(owner.1))?;
    }
    source.sync_directory(path.parent().unwrap_or(Path::new("")))
}
