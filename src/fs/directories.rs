//! What is in a directory: its names, and what each of them is, which is looked at when it is asked for.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use super::errno::at;
use super::facts::{Identity, Kind, Listed, Listing};
use super::inode::Inode;
use super::model_tree::ModelTree;
use super::view::list;
use crate::error::{Error, Result};

/// What is under a name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirEntry {
    /// What it is.
    pub kind: Kind,
    /// Its inode.
    pub inode: Inode,
    /// A look at it fails, and says why; its number is of no inode.
    pub is_damaged: bool,
}

impl DirEntry {
    /// What is not damaged.
    pub const fn new(kind: Kind, inode: Inode) -> Self {
        Self {
            kind,
            inode,
            is_damaged: false,
        }
    }
}

impl ModelTree {
    /// The names of a directory, sorted, without `.` and `..`; some may turn out to be nothing that is shown.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read.
    pub fn list(&self, directory: Inode) -> Result<Listing> {
        let node = self.node(directory)?;
        let path = self.directory(directory)?;
        // What is listed is looked at where it was listed, or where that has gone since.
        self.source.forget_reached(&path);
        list(&self.source, &path)
            .map_err(|e| at(&path, e))
            .map_err(|error| self.stale_if_replaced(directory, &node, error))
    }

    /// The state that a directory is in.
    ///
    /// # Errors
    /// `Io` if it is gone.
    pub fn state(&self, directory: Inode) -> Result<Identity> {
        let path = self.directory(directory)?;
        let facts = self.source.facts_lately(&path).map_err(|e| at(&path, e))?;
        Ok(facts.identity)
    }

    /// What is shown under a name in a directory, if a look has found that less than `ttl` ago.
    pub fn known(
        &self,
        directory: Inode,
        listed: &Listed,
        now: Instant,
        ttl: Duration,
    ) -> Option<DirEntry> {
        let known = self.known_names.get(directory, listed, now, ttl);
        known.map(|(kind, inode)| DirEntry::new(kind, inode))
    }

    /// True if that is so of most names of a directory, and likely to be until a program has looked at each.
    pub fn are_most_known(&self, directory: Inode, names: &[Listed], ttl: Duration) -> bool {
        self.known_names.are_most(directory, names, ttl)
    }

    /// What is shown under a name in a directory, if anything is that can be looked at. An archive that cannot be opened is
    /// an entry; looking at it tells why it cannot.
    ///
    /// # Errors
    /// `Io` if this process or the system lacks what it takes to look.
    pub fn entry(&self, directory: Inode, name: &OsStr) -> Result<Option<DirEntry>> {
        let parent = self.directory(directory)?;
        self.reach(directory, &parent);
        let path = parent.join(name);
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
