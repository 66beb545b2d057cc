//! Requests of the kernel for what is in a directory.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuser::{
    FileHandle, FopenFlags, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus, ReplyOpen,
};

use super::attributes::{file_attr, file_type, unknown};
use super::server::Server;
use crate::error::Result;
use crate::fs::{DirEntry, Inode, Kind, Listing};
use crate::sync::lock;

impl Server {
    pub(super) fn open_directory(&self, inode: Inode, reply: ReplyOpen) {
        let kept = self.tree.kept_listing(inode, self.ttl);
        let mut flags = FopenFlags::empty();
        flags.set(FopenFlags::FOPEN_KEEP_CACHE, kept.is_some());
        let listing = match kept.map_or_else(|| self.tree.list(inode), Ok) {
            Ok(listing) => listing,
            Err(error) => return reply.error(self.messages.errno("opendir", &error)),
        };
        flags.set(FopenFlags::FOPEN_CACHE_DIR, listing.may_be_kept);
        let handle = self.next_directory.fetch_add(1, Ordering::Relaxed);
        lock(&self.directories).insert(handle, listing);
        reply.opened(FileHandle(handle), flags);
    }

    pub(super) fn list(&self, inode: Inode, handle: u64, offset: u64, mut reply: ReplyDirectory) {
        let listing = match self.listing(inode, handle, offset) {
            Ok(listing) => listing,
            Err(error) => return reply.error(self.messages.errno("readdir", &error)),
        };
        for (next, name) in entries_from(&listing, offset) {
            let Some(entry) = self.entry(inode, name) else {
                continue;
            };
            let (inode, kind) = (INodeNo(entry.inode), file_type(entry.kind));
            if reply.add(inode, next, kind, &entry.name) {
                break;
            }
        }
        reply.ok();
    }

    pub(super) fn list_looked_at(
        &self,
        inode: Inode,
        handle: u64,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let listing = match self.listing(inode, handle, offset) {
            Ok(listing) => listing,
            Err(error) => return reply.error(self.messages.errno("readdir", &error)),
        };
        for (next, name) in entries_from(&listing, offset) {
            if self.add_looked_at(inode, name, next, &mut reply) {
                break;
            }
        }
        reply.ok();
    }

    pub(super) fn close_directory(&self, handle: u64) {
        lock(&self.directories).remove(&handle);
    }

    /// What is under a name of a directory. `.` and `..` are said to be the directory itself: the kernel knows better.
    fn entry(&self, directory: Inode, name: &OsStr) -> Option<DirEntry> {
        if !is_dots(name) {
            return self.tree.entry(directory, name);
        }
        Some(DirEntry {
            name: name.into(),
            kind: Kind::Directory,
            inode: directory,
        })
    }

    /// Adds an entry with what a look at it finds now, which the kernel takes for a lookup; true if there is no room for it.
    fn add_looked_at(
        &self,
        directory: Inode,
        name: &OsStr,
        next: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> bool {
        if let Some(attr) = (!is_dots(name))
            .then(|| self.tree.lookup(directory, name).ok())
            .flatten()
        {
            let inode = INodeNo(attr.inode);
            let attr = file_attr(&attr);
            let full = reply.add(inode, next, name, &self.ttl, &attr, Generation(0));
            if full {
                self.tree.forget(inode.0, 1);
            }
            return full;
        }
        // What cannot be looked at is listed, and looked at again by whoever wants it.
        let Some(entry) = self.entry(directory, name) else {
            return false;
        };
        let attr = unknown(entry.inode, entry.kind);
        let inode = INodeNo(entry.inode);
        reply.add(inode, next, name, &Duration::ZERO, &attr, Generation(0))
    }

    /// What is listed of a directory that is open. Who begins anew is told what is there by now.
    fn listing(&self, inode: Inode, handle: u64, offset: u64) -> Result<Arc<Listing>> {
        let known = lock(&self.directories).get(&handle).cloned();
        if let Some(known) = known
            && (offset > 0 || self.tree.is_as_listed(inode, &known))
        {
            return Ok(known);
        }
        let listing = self.tree.list(inode)?;
        lock(&self.directories).insert(handle, Arc::clone(&listing));
        Ok(listing)
    }
}

/// The entries of a directory, `.` and `..` first, from an offset on, each with that of the one behind it.
fn entries_from(listing: &Listing, offset: u64) -> impl Iterator<Item = (u64, &OsStr)> {
    let dots = [OsStr::new("."), OsStr::new("..")];
    let names = listing.names.iter().map(OsString::as_os_str);
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    (1..).zip(dots.into_iter().chain(names)).skip(skip)
}

fn is_dots(name: &OsStr) -> bool {
    name == "." || name == ".."
}
