//! What is in a directory.
//!
//! The names are read when it is opened, and what each of them is when it is asked for. The kernel keeps the listing of a
//! directory, and lists from that, as long as the directory's times say that nothing was made, renamed or removed in it.
//! That is so where they tell for certain: on local file systems, a tick of the clock after the last change, and where
//! what is shown hangs on nothing but the directory, as it does with archives and links.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::errno::{at, is_gone};
use super::facts::Kind;
use super::inode::Inode;
use super::listing::{DirEntry, Listing};
use super::model_tree::ModelTree;
use super::nodes::What;
use super::view::list;
use crate::error::{Error, Result};

impl ModelTree {
    /// The names of a directory that is opened, and whether the kernel has kept them from when it was opened before. It has
    /// if they are right still, and it has asked within `ttl` what is in there. Else it does better to ask for the names,
    /// and be told of all that they are.
    ///
    /// # Errors
    /// As `list`.
    pub fn open_listing(&self, directory: Inode, ttl: Duration) -> Result<(Arc<Listing>, bool)> {
        let kept = self.listings.get(directory, ttl);
        if let Some(kept) = kept.filter(|kept| self.is_as_listed(directory, kept)) {
            return Ok((kept, true));
        }
        let listing = self.list(directory)?;
        if listing.may_be_kept {
            self.listings.keep(directory, &listing);
        }
        Ok((listing, false))
    }

    /// The names of a directory, which the kernel has not kept.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read.
    pub fn list(&self, directory: Inode) -> Result<Arc<Listing>> {
        self.listings.forget(directory);
        let node = self.node(directory)?;
        let path = self.directory(directory)?;
        let listing = list(&self.source, &path)
            .map_err(|e| Error::io(path.display().to_string(), e))
            .map_err(|error| self.stale_if_replaced(directory, &node, error))?;
        Ok(Arc::new(listing))
    }

    /// True if a directory is in the state in which it was listed.
    pub fn is_as_listed(&self, directory: Inode, listing: &Listing) -> bool {
        let facts = self.directory(directory);
        let facts = facts.map(|path| self.source.facts(&path));
        matches!(facts, Ok(Ok(facts)) if Some(facts.identity) == listing.state)
    }

    /// What is shown under a name in a directory, if anything is. An archive that cannot be opened is an entry; looking at
    /// it tells why it cannot.
    ///
    /// # Errors
    /// `Io` if it cannot be told.
    pub fn entry(&self, directory: Inode, name: &OsStr) -> Result<Option<DirEntry>> {
        let path = self.directory(directory)?.join(name);
        let (facts, described) = match self.look_closely(&path) {
            Ok(found) => found,
            // In a directory that may be read and not searched there is nothing that could be looked at.
            Err(e) if is_gone(&e) || e.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(None);
            }
            Err(e) => return Err(at(&path, e)),
        };
        let (kind, inode) = match described {
            Ok((attr, what)) => {
                self.looked_into(directory, &what);
                (attr.kind, attr.inode)
            }
            Err(_) => (Kind::File, self.number(&facts, b"damaged")),
        };
        Ok(Some(DirEntry {
            name: name.into(),
            kind,
            inode,
        }))
    }

    /// Notes that something was found in a directory.
    pub(super) fn looked_into(&self, directory: Inode, what: &What) {
        match what {
            // What a link is shown as hangs on what it leads to.
            What::Link(_) => self.listings.forget(directory),
            What::Archive(at) if at.by_link => self.listings.forget(directory),
            _ => self.listings.looked_into(directory),
        }
    }
}
