//! What is in a directory: its names, and what each of them is, which is looked at when it is asked for.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use super::errno::at;
use super::facts::{Kind, Listed};
use super::inode::Inode;
use super::model_tree::ModelTree;
use super::view::list;
use crate::error::{Error, Result};
use crate::sync::lock;

/// What is under a name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirEntry {
    /// What it is.
    pub kind: Kind,
    /// Its inode.
    pub inode: Inode,
    /// It is an archive that cannot be opened, which a look at it says.
    pub is_damaged: bool,
}

impl DirEntry {
    /// What is not damaged.
    pub const fn new(kind: Kind, inode: Inode) -> Self {
        let is_damaged = false;
        Self {
            kind,
            inode,
            is_damaged,
        }
    }
}

impl ModelTree {
    /// The names of a directory, sorted, without `.` and `..`; some may turn out to be nothing that is shown.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read.
    pub fn list(&self, directory: Inode) -> Result<Vec<Listed>> {
        let node = self.node(directory)?;
        let path = self.directory(directory)?;
        list(&self.source, &path)
            .map_err(|e| at(&path, e))
            .map_err(|error| self.stale_if_replaced(directory, &node, error))
    }

    /// What is shown under a name, if a look has found that less than `ttl` ago, and whoever asked may believe it.
    pub fn believed(&self, listed: &Listed, now: Instant, ttl: Duration) -> Option<DirEntry> {
        let plain = listed.plain.as_ref()?;
        let inode = lock(&self.nodes).believed(plain, now, ttl)?;
        Some(DirEntry::new(plain.0, inode))
    }

    /// True if that is so of most of what is in a directory.
    pub fn is_believed(&self, listed: &[Listed], ttl: Duration) -> bool {
        let (nodes, now) = (lock(&self.nodes), Instant::now());
        let plain = listed.iter().filter_map(|listed| listed.plain.as_ref());
        let believed = plain.filter(|plain| nodes.believed(plain, now, ttl).is_some());
        believed.take(listed.len() / 2 + 1).count() > listed.len() / 2
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
        match described {
            Ok((attr, _)) => Ok(Some(DirEntry::new(attr.kind, attr.inode))),
            Err(error) if is_shortage(&error) => Err(error),
            Err(_) => Ok(Some(DirEntry {
                kind: Kind::File,
                inode: self.number(&facts, b"damaged"),
                is_damaged: true,
            })),
        }
    }
}

/// True for an error that says nothing of the name that was looked at.
fn is_shortage(error: &Error) -> bool {
    matches!(error.errno(), libc::EMFILE | libc::ENFILE | libc::ENOMEM)
}
