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
use crate::fs::{DirEntry, Inode, Kind};
use crate::sync::lock;

impl Server {
    pub(super) fn open_directory(&self, inode: Inode, reply: ReplyOpen) {
        let names = match self.tree.names(inode) {
            Ok(names) => Arc::new(names),
            Err(error) => return reply.error(self.messages.errno("opendir", &error)),
        };
        let handle = self.next_directory.fetch_add(1, Ordering::Relaxed);
        let is_read = false;
        lock(&self.directories).insert(handle, OpenDirectory { names, is_read });
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    pub(super) fn list(&self, inode: Inode, handle: u64, offset: u64, mut reply: ReplyDirectory) {
        let add = |next, name: &OsStr| {
            let Some(entry) = self.entry(inode, name)? else {
                return Ok(Room::NotNeeded);
            };
            let (inode, kind) = (INodeNo(entry.inode), file_type(entry.kind));
            Ok(room(reply.add(inode, next, kind, &entry.name)))
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

    /// Adds entries from an offset on, as long as there is room. One that cannot be told is an error of whoever asks for
    /// it, and not left out.
    fn add_entries(
        &self,
        inode: Inode,
        handle: u64,
        offset: u64,
        mut add: impl FnMut(u64, &OsStr) -> Result<Room>,
    ) -> Result<()> {
        let names = self.names(inode, handle, offset)?;
        let mut has_any = false;
        for (next, name) in entries_from(&names, offset) {
            match add(next, name) {
                Ok(Room::Found) => has_any = true,
                Ok(Room::NotNeeded) => {}
                Ok(Room::None) => break,
                // Nothing at all would be the end of the directory.
                Err(error) if !has_any => return Err(error),
                // Who goes on from here meets the error.
                Err(_) => break,
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

    /// Adds an entry with what a look at it finds now, which the kernel takes for a lookup.
    fn add_looked_at(
        &self,
        directory: Inode,
        name: &OsStr,
        next: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> Result<Room> {
        if !is_dots(name)
            && let Ok(attr) = self.tree.lookup(directory, name)
        {
            let inode = INodeNo(attr.inode);
            let attr = file_attr(&attr);
            let is_full = reply.add(inode, next, name, &self.ttl, &attr, Generation(0));
            if is_full {
                self.tree.forget(inode.0, 1);
            }
            return Ok(room(is_full));
        }
        // What cannot be looked at is listed, and looked at again by whoever wants it.
        let Some(entry) = self.entry(directory, name)? else {
            return Ok(Room::NotNeeded);
        };
        let attr = unknown(entry.inode, entry.kind);
        let inode = INodeNo(entry.inode);
        let is_full = reply.add(inode, next, name, &Duration::ZERO, &attr, Generation(0));
        Ok(room(is_full))
    }

    /// The names of a directory that is open. Who begins anew is told what is there by now.
    fn names(&self, inode: Inode, handle: u64, offset: u64) -> Result<Arc<Vec<OsString>>> {
        let known = lock(&self.directories).get(&handle).cloned();
        let names = match known {
            Some(known) if offset > 0 => return Ok(known.names),
            Some(known) if !known.is_read => known.names,
            _ => Arc::new(self.tree.names(inode)?),
        };
        let directory = OpenDirectory {
            names: Arc::clone(&names),
            is_read: true,
        };
        lock(&self.directories).insert(handle, directory);
        Ok(names)
    }
}

/// What became of an entry that was to be added.
enum Room {
    /// It is there.
    Found,
    /// Nothing is shown under the name.
    NotNeeded,
    /// There is none for it.
    None,
}

fn room(is_full: bool) -> Room {
    match is_full {
        true => Room::None,
        false => Room::Found,
    }
}

/// The entries of a directory, `.` and `..` first, from an offset on, each with that of the one behind it.
fn entries_from(names: &[OsString], offset: u64) -> impl Iterator<Item = (u64, &OsStr)> {
    let dots = [OsStr::new("."), OsStr::new("..")];
    let names = names.iter().map(OsString::as_os_str);
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    (1..).zip(dots.into_iter().chain(names)).skip(skip)
}

fn is_dots(name: &OsStr) -> bool {
    name == "." || name == ".."
}
