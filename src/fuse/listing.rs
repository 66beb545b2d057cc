//! Requests of the kernel for what is in a directory.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuser::{
    FileHandle, FopenFlags, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus, ReplyOpen,
};

use super::attributes::{file_attr, file_type, unknown};
use super::server::{OpenDirectory, Server};
use crate::error::Result;
use crate::fs::{DirEntry, Inode, Kind, Listing};
use crate::sync::lock;

impl Server {
    pub(super) fn open_directory(&self, inode: Inode, reply: ReplyOpen) {
        let (listing, is_kept) = match self.tree.open_listing(inode, self.ttl) {
            Ok(opened) => opened,
            Err(error) => return reply.error(self.messages.errno("opendir", &error)),
        };
        let mut flags = FopenFlags::empty();
        flags.set(FopenFlags::FOPEN_CACHE_DIR, listing.may_be_kept);
        flags.set(FopenFlags::FOPEN_KEEP_CACHE, is_kept);
        let handle = self.next_directory.fetch_add(1, Ordering::Relaxed);
        let directory = OpenDirectory {
            listing,
            is_read: false,
        };
        lock(&self.directories).insert(handle, directory);
        reply.opened(FileHandle(handle), flags);
    }

    pub(super) fn list(&self, inode: Inode, handle: u64, offset: u64, mut reply: ReplyDirectory) {
        let add = |next, name: &OsStr| {
            Ok(self.entry(inode, name)?.is_some_and(|entry| {
                let (inode, kind) = (INodeNo(entry.inode), file_type(entry.kind));
                reply.add(inode, next, kind, &entry.name)
            }))
        };
        match self.add_entries(inode, handle, offset, add) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(self.messages.errno("readdir", &error)),
        }
    }

    pub(super) fn list_looked_at(
        &self,
        inode: Inode,
        handle: u64,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let add = |next, name: &OsStr| self.add_looked_at(inode, name, next, &mut reply);
        match self.add_entries(inode, handle, offset, add) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(self.messages.errno("readdir", &error)),
        }
    }

    pub(super) fn close_directory(&self, handle: u64) {
        lock(&self.directories).remove(&handle);
    }

    /// Adds entries from an offset on, until `add` says that there is no room for it. What cannot be told is an error of who
    /// asks for it, and never left out.
    fn add_entries(
        &self,
        inode: Inode,
        handle: u64,
        offset: u64,
        mut add: impl FnMut(u64, &OsStr) -> Result<bool>,
    ) -> Result<()> {
        let listing = self.listing(inode, handle, offset)?;
        for (number, (next, name)) in entries_from(&listing, offset).enumerate() {
            match add(next, name) {
                Ok(false) => {}
                Err(error) if number == 0 => return Err(error),
                // Who goes on from here meets the error.
                Ok(true) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// What is under a name of a directory. `.` and `..` are said to be the directory itself: the kernel knows better.
    fn entry(&self, directory: Inode, name: &OsStr) -> Result<Option<DirEntry>> {
        if !is_dots(name) {
            return self.tree.entry(directory, name);
        }
        Ok(Some(DirEntry {
            name: name.into(),
            kind: Kind::Directory,
            inode: directory,
        }))
    }

    /// Adds an entry with what a look at it finds now, which the kernel takes for a lookup; true if there is no room for it.
    fn add_looked_at(
        &self,
        directory: Inode,
        name: &OsStr,
        next: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> Result<bool> {
        if !is_dots(name)
            && let Ok(attr) = self.tree.lookup(directory, name)
        {
            let inode = INodeNo(attr.inode);
            let attr = file_attr(&attr);
            let full = reply.add(inode, next, name, &self.ttl, &attr, Generation(0));
            if full {
                self.tree.forget(inode.0, 1);
            }
            return Ok(full);
        }
        // What cannot be looked at is listed, and looked at again by whoever wants it.
        let Some(entry) = self.entry(directory, name)? else {
            return Ok(false);
        };
        let attr = unknown(entry.inode, entry.kind);
        let inode = INodeNo(entry.inode);
        Ok(reply.add(inode, next, name, &Duration::ZERO, &attr, Generation(0)))
    }

    /// What is listed of a directory that is open. Who begins anew is told what is there by now.
    fn listing(&self, inode: Inode, handle: u64, offset: u64) -> Result<Arc<Listing>> {
        let mut known = lock(&self.directories).get(&handle).cloned();
        if offset == 0 {
            known = known.filter(|known| {
                (!known.is_read || known.listing.may_be_kept)
                    && self.tree.is_as_listed(inode, &known.listing)
            });
        }
        let listing = match known {
            Some(known) if known.is_read => return Ok(known.listing),
            Some(known) => known.listing,
            None => self.tree.list(inode)?,
        };
        let directory = OpenDirectory {
            listing: Arc::clone(&listing),
            is_read: true,
        };
        lock(&self.directories).insert(handle, directory);
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
