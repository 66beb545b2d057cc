//! Removes names.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use crate::error::Result;
use crate::format::{OWN_DIRECTORY, original_name};
use crate::fs::errno::at;
use crate::fs::inode::Inode;
use crate::fs::model_tree::ModelTree;
use crate::fs::source::Source;

impl ModelTree {
    /// Removes a name of a file. Who has the file open has it on.
    ///
    /// # Errors
    /// `Io` with what the system answered.
    pub fn remove_file(&self, parent: Inode, name: &OsStr) -> Result<()> {
        self.changes()?;
        let _forms = self.no_change_of_form();
        let path = self.path_in(parent, name)?;
        let removed = self.remove_at(&path, |path| self.source.remove_file(path));
        self.known_names.forget(parent, name);
        removed
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `Io` with ENOTEMPTY if something is shown in it, or what the system answered.
    pub fn remove_directory(&self, parent: Inode, name: &OsStr) -> Result<()> {
        self.changes()?;
        let _forms = self.no_change_of_form();
        let path = self.path_in(parent, name)?;
        let removed = self.remove_at(&path, |path| remove_directory(&self.source, path));
        self.known_names.forget(parent, name);
        removed
    }

    fn remove_at(&self, path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> Result<()> {
        let name = path.file_name().unwrap_or_default();
        // What has a name of its own is what is shown under that, unless it is the name of an archive.
        if name != OWN_DIRECTORY && original_name(name).is_none() {
            match remove(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                removed => return removed.map_err(|e| at(path, e)),
            }
        }
        let below = self.find_below(path)?;
        remove(&below.path).map_err(|e| at(path, e))
    }
}

/// Removes a directory in which nothing is shown: what weightfs keeps in it for archives that are gone goes with it.
pub(super) fn remove_directory(source: &Source, path: &Path) -> io::Result<()> {
    match source.remove_directory(path) {
        Err(e) if e.raw_os_error() == Some(libc::ENOTEMPTY) => {}
        removed => return removed,
    }
    empty_directory(source, path)?;
    source.remove_directory(path)
}

/// # Errors
/// ENOTEMPTY if something is shown in it.
pub(super) fn empty_directory(source: &Source, path: &Path) -> io::Result<()> {
    let names = source.names(path)?;
    if names.iter().any(|name| name != OWN_DIRECTORY) {
        return Err(io::Error::from_raw_os_error(libc::ENOTEMPTY));
    }
    if names.is_empty() {
        return Ok(());
    }
    let own = path.join(OWN_DIRECTORY);
    for name in source.names(&own)? {
        let path = own.join(name);
        if source.facts(&path)?.is_directory() {
            for name in source.names(&path)? {
                source.remove_file(&path.join(name))?;
            }
            source.remove_directory(&path)?;
        } else {
            source.remove_file(&path)?;
        }
    }
    source.remove_directory(&own)
}
