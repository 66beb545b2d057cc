//! What is in a directory: its names, and what each of them is, which is looked at when it is asked for.

use std::ffi::{OsStr, OsString};

use super::errno::at;
use super::facts::Kind;
use super::inode::Inode;
use super::model_tree::ModelTree;
use super::view::names;
use crate::error::{Error, Result};

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
    /// Its inode.
    pub inode: Inode,
}

impl ModelTree {
    /// The names of a directory, sorted, without `.` and `..`; some may turn out to be nothing that is shown.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read.
    pub fn names(&self, directory: Inode) -> Result<Vec<OsString>> {
        let node = self.node(directory)?;
        let path = self.directory(directory)?;
        names(&self.source, &path)
            .map_err(|e| at(&path, e))
            .map_err(|error| self.stale_if_replaced(directory, &node, error))
    }

    /// What is shown under a name in a directory, if anything is that can be looked at. An archive that cannot be opened is
    /// an entry; looking at it tells why it cannot.
    ///
    /// # Errors
    /// `Io` if this process or the system lacks what it takes to look.
    pub fn entry(&self, directory: Inode, name: &OsStr) -> Result<Option<DirEntry>> {
        let path = self.directory(directory)?.join(name);
        let (facts, described) = match self.look_closely(&path) {
            Ok(found) => found,
            Err(e) => {
                let error = at(&path, e);
                return if is_shortage(&error) {
                    Err(error)
                } else {
                    Ok(None)
                };
            }
        };
        let (kind, inode) = match described {
            Ok((attr, _)) => (attr.kind, attr.inode),
            Err(error) if is_shortage(&error) => return Err(error),
            Err(_) => (Kind::File, self.number(&facts, b"damaged")),
        };
        Ok(Some(DirEntry {
            name: name.into(),
            kind,
            inode,
        }))
    }
}

/// True for an error that says nothing of the name that was looked at.
fn is_shortage(error: &Error) -> bool {
    matches!(error.errno(), libc::EMFILE | libc::ENFILE | libc::ENOMEM)
}
