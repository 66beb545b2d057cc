//! Extended attributes of what is shown: those of the source, and those of our own.
//!
//! Of the source, what users set (`user.`) is shown: of an archive, the archive's, which `pack --replace`
//! gave it from the file. Labels (`security.`) are what the mount says for all of it, and `trusted.`
//! is between a file system and its drivers. Access lists (`system.`) are shown as far as they hold
//! here (`access`).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::errno::errno;
use super::inode::{Inode, ROOT_INODE};
use super::model_tree::ModelTree;
use super::nodes::{Node, What};
use super::source::attributes;
use super::xattr::{OF_ARCHIVES, SOURCE_XATTR, STATS_XATTR, of_archive};
use crate::error::{Error, Result};
use crate::format::OWN_XATTRS;
use crate::os::{ACCESS_LIST, DEFAULT_ACCESS_LIST};

impl ModelTree {
    /// The names of the extended attributes of an inode.
    ///
    /// # Errors
    /// `Io` with ESTALE if it is gone, or what the system answered.
    pub fn xattr_names(&self, inode: Inode) -> Result<Vec<OsString>> {
        let names = self.ask_source(inode, attributes::names)?;
        let mut names = names.unwrap_or_default();
        names.retain(|name| is_of_source(name));
        for list in [ACCESS_LIST, DEFAULT_ACCESS_LIST] {
            // Should it be gone by now, it has its other attributes still.
            if matches!(self.shown_list(inode, list), Ok(Some(_))) {
                names.push(list.into());
            }
        }
        Ok(names)
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// `Io` with ENODATA if there is none of that name, or as `open`.
    pub fn xattr(&self, inode: Inode, name: &OsStr) -> Result<Vec<u8>> {
        let missing = || errno("no such attribute", libc::ENODATA);
        if is_of_source(name) {
            let value = self.ask_source(inode, |file| attributes::value(file, name))?;
            return value.flatten().ok_or_else(missing);
        }
        let node = self.node(inode)?;
        match &node.what {
            _ if name == ACCESS_LIST || name == DEFAULT_ACCESS_LIST => {
                let name = name.to_str().unwrap_or_default();
                self.shown_list(inode, name)?.ok_or_else(missing)
            }
            What::Archive(at) if OF_ARCHIVES.iter().any(|known| name == *known) => {
                let archive = self
                    .open_archive(inode, at)
                    .map_err(|error| self.stale_if_replaced(inode, &node, error))?;
                // Where it is now: who has it open may know it by another name.
                let path = at.place.full_path(&self.source);
                of_archive(archive.archive(), &path, name).ok_or_else(missing)
            }
            What::Directory(path) if name == SOURCE_XATTR => {
                let shown = if inode == ROOT_INODE {
                    self.source.mounted_path()
                } else {
                    self.source.path().join(path)
                };
                Ok(shown.into_os_string().into_vec())
            }
            _ if inode == ROOT_INODE && name == STATS_XATTR => {
                serde_json::to_vec(&self.stats()).map_err(|_| missing())
            }
            _ => Err(missing()),
        }
    }

    /// One of the access lists that are shown of an inode: the kernel lets others in by it, so it is that of
    /// the file that was found, never of what lies there now.
    fn shown_list(&self, inode: Inode, name: &str) -> Result<Option<Vec<u8>>> {
        let what = self.node(inode)?.what;
        let list = self.ask_source(inode, |file| self.access_list(&what, file, name))?;
        Ok(list.flatten())
    }

    /// Asks the file of the source that an inode was found to be, by whatever name it has now. A link
    /// has none that are shown.
    fn ask_source<R>(
        &self,
        inode: Inode,
        ask: impl Fn(&File) -> io::Result<R>,
    ) -> Result<Option<R>> {
        let node = self.node(inode)?;
        let answer = match self.handle(&node) {
            None => return Ok(None),
            Some(Ok(file)) => ask(&file),
            Some(Err(gone)) => match self.kept_open(inode) {
                Some(opened) => opened.file().map_or(Err(gone), ask),
                None => Err(gone),
            },
        };
        let cannot = |e| Error::io(format!("extended attributes of inode {inode}"), e);
        answer
            .map(Some)
            .map_err(|e| self.stale_if_replaced(inode, &node, cannot(e)))
    }

    pub(super) fn handle(&self, node: &Node) -> Option<io::Result<File>> {
        let place = node.place()?;
        Some(match &node.identity {
            Some(found) => place.open_same(&self.source, found),
            None => place.open_to_ask(&self.source),
        })
    }
}

fn is_of_source(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"user.") && !name.starts_with(OWN_XATTRS.as_bytes())
}
