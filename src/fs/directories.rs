//! What is in a directory.
//!
//! The names are read when it is opened, and what each of them is when it is asked for. The kernel keeps a listing, and
//! lists from that, as long as nothing was made, renamed or removed in the directory: we say so by the directory's times,
//! which tell it but for what happens within one tick of them.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use super::facts::Kind;
use super::inode::Inode;
use super::listing::{DirEntry, Listing};
use super::model_tree::ModelTree;
use super::view::names;
use crate::error::{Error, Result};
use crate::sync::lock;

impl ModelTree {
    /// What a directory shows, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read.
    pub fn read_directory(&self, inode: Inode) -> Result<Vec<DirEntry>> {
        let listing = self.list(inode)?;
        let entry = |name: &OsString| self.entry(inode, name);
        Ok(listing.names.iter().filter_map(entry).collect())
    }

    /// The names of a directory.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read.
    pub fn list(&self, inode: Inode) -> Result<Arc<Listing>> {
        let node = self.node(inode)?;
        let directory = self.directory(inode)?;
        let (names, facts) = names(&self.source, &directory)
            .map_err(|e| Error::io(directory.display().to_string(), e))
            .map_err(|error| self.stale_if_replaced(inode, &node, error))?;
        let listing = Arc::new(Listing::new(names, &facts));
        if let Some(node) = lock(&self.nodes).get_mut(inode) {
            node.listing = listing.may_be_kept.then(|| Arc::clone(&listing));
        }
        Ok(listing)
    }

    /// True if a directory has not changed since it was listed, as far as its times tell.
    pub fn is_as_listed(&self, inode: Inode, listing: &Listing) -> bool {
        let facts = self.directory(inode).map(|path| self.source.facts(&path));
        matches!(facts, Ok(Ok(facts)) if facts.identity == listing.state)
    }

    /// The listing of a directory that the kernel has kept, if that is right still, and it has asked of late what is in it.
    /// Else it does better to ask for the names, and be told of all that they are.
    pub fn kept_listing(&self, inode: Inode, ttl: Duration) -> Option<Arc<Listing>> {
        let node = self.node(inode).ok()?;
        let is_known = node.looked_into.is_some_and(|when| when.elapsed() < ttl);
        let listing = node.listing.filter(|_| is_known)?;
        self.is_as_listed(inode, &listing).then_some(listing)
    }

    /// What is shown under a name in a directory, if anything is. An archive that cannot be opened is an entry; looking at
    /// it tells why it cannot.
    pub fn entry(&self, directory: Inode, name: &OsStr) -> Option<DirEntry> {
        let directory = self.directory(directory).ok()?;
        let (facts, described) = self.look_closely(&directory.join(name)).ok()?;
        let damaged = self.number(&facts, b"damaged");
        let (kind, inode) =
            described.map_or((Kind::File, damaged), |(attr, _)| (attr.kind, attr.inode));
        Some(DirEntry {
            name: name.into(),
            kind,
            inode,
        })
    }
}
