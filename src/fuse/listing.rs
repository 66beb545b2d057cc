//! Requests of the kernel for what is in a directory.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fuser::{
    FileHandle, FopenFlags, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus, ReplyOpen,
};

use super::attributes::{file_attr, file_type, unknown};
use super::cached_listings::{Again, Names};
use super::server::{OpenDirectory, Server};
use crate::error::Result;
use crate::fs::{DirEntry, Identity, Inode, Kind, Listed};
use crate::sync::lock;

/// What each directory begins with.
const DOTS: [&str; 2] = [".", ".."];

impl Server {
    pub(super) fn open_directory(&self, inode: Inode, reply: ReplyOpen) {
        let (directory, flags) = match self.opened(inode) {
            Ok(opened) => opened,
            Err(error) => return reply.error(self.messages.errno("opendir", &error)),
        };
        let handle = self.next_directory.fetch_add(1, Ordering::Relaxed);
        lock(&self.directories).insert(handle, directory);
        reply.opened(FileHandle(handle), flags);
    }

    /// A directory with its names, and whether the kernel keeps them, or has them already.
    fn opened(&self, inode: Inode) -> Result<(OpenDirectory, FopenFlags)> {
        let kept = self.kept_state(inode);
        let again = kept.and_then(|state| self.listings.open_again(inode, state));
        let is_kept = again.is_some();
        let (names, is_cached) = match again {
            Some(Again { names, is_cached }) => (names, is_cached),
            None => {
                let (all, state) = self.names_now(inode)?;
                match self.listings.open_first(inode, &all, state) {
                    Some(names) => (names, true),
                    None => (Names::passing(all), false),
                }
            }
        };
        let mut flags = FopenFlags::empty();
        flags.set(FopenFlags::FOPEN_CACHE_DIR, is_cached);
        flags.set(FopenFlags::FOPEN_KEEP_CACHE, is_kept);
        let directory = OpenDirectory {
            names,
            is_read: false,
            is_cached,
        };
        Ok((directory, flags))
    }

    pub(super) fn list(&self, inode: Inode, handle: u64, offset: u64, mut reply: ReplyDirectory) {
        let now = Instant::now();
        let add = |next, listed: &Listed| {
            let known = self.tree.known(inode, listed, now, self.ttl);
            let found = match known {
                Some(known) => Some(known),
                None => self.entry(inode, &listed.name)?,
            };
            let Some(entry) = found else {
                return Ok(Room::NotNeeded);
            };
            let (inode, kind) = (INodeNo(entry.inode), file_type(entry.kind));
            Ok(room(reply.add(inode, next, kind, &listed.name)))
        };
        let names = self.names(inode, handle, offset);
        match names.and_then(|names| add_entries(&names, offset, add)) {
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
        let names = self.names(inode, handle, offset);
        // The kernel begins with a request for looks also where it knows all. Where that is answered with `.` and `..` alone
        // it goes on without.
        let is_known = |names: &Names| {
            let behind_dots = names.all.get(DOTS.len()..).unwrap_or_default();
            self.tree.are_most_known(inode, behind_dots, self.ttl)
        };
        let only_dots = offset == 0 && names.as_ref().is_ok_and(is_known);
        let add = |next, listed: &Listed| match only_dots && !is_dots(&listed.name) {
            true => Ok(Room::None),
            false => self.add_looked_at(inode, &listed.name, next, &mut reply),
        };
        match names.and_then(|names| add_entries(&names, offset, add)) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(self.messages.errno("readdir", &error)),
        }
    }

    pub(super) fn close_directory(&self, inode: Inode, handle: u64) {
        let closed = lock(&self.directories).remove(&handle);
        if closed.is_some_and(|closed| closed.is_cached) {
            self.listings.close(inode);
        }
    }

    /// What is under a name of a directory. `.` and `..` are said to be the directory itself: the kernel knows better.
    fn entry(&self, directory: Inode, name: &OsStr) -> Result<Option<DirEntry>> {
        match is_dots(name) {
            true => Ok(Some(DirEntry::new(Kind::Directory, directory))),
            false => self.tree.entry(directory, name),
        }
    }

    /// Adds an entry with what a look at it finds now, which the kernel takes for a lookup.
    fn add_looked_at(
        &self,
        directory: Inode,
        name: &OsStr,
        next: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> Result<Room> {
        if is_dots(name) {
            let entry = DirEntry::new(Kind::Directory, directory);
            return Ok(add_unknown(entry, name, next, reply));
        }
        let mut looked = self.tree.lookup(directory, name);
        if looked.is_err() {
            match self.tree.entry(directory, name)? {
                None => return Ok(Room::NotNeeded),
                // It is listed, and looked at again by whoever wants it. Of its number nothing else is known.
                Some(entry) if entry.is_damaged => {
                    return Ok(add_unknown(entry, name, next, reply));
                }
                // It has come in this moment; or else this look says what is wrong.
                Some(_) => looked = self.tree.lookup(directory, name),
            }
        }
        let attr = match looked {
            Err(error) if error.errno() == libc::ENOENT => return Ok(Room::NotNeeded),
            looked => looked?,
        };
        let inode = INodeNo(attr.inode);
        let attr = file_attr(&attr);
        let is_full = reply.add(inode, next, name, &self.ttl, &attr, Generation(0));
        if is_full {
            self.tree.forget(inode.0, 1);
        }
        Ok(room(is_full))
    }

    /// The names of a directory that is open. Who begins anew is told what is there by now.
    fn names(&self, inode: Inode, handle: u64, offset: u64) -> Result<Names> {
        let known = lock(&self.directories).get(&handle).cloned();
        let is_cached = known.as_ref().is_some_and(|known| known.is_cached);
        // What is told the kernel keeps as what was there when it asked, and not when the directory was opened.
        let is_new = |known: &OpenDirectory| !known.is_cached || self.kept_state(inode).is_some();
        let names = match known {
            Some(known) if offset > 0 => return Ok(known.names),
            Some(known) if !known.is_read && is_new(&known) => known.names,
            _ => {
                let (all, state) = self.names_now(inode)?;
                match is_cached {
                    true => self.listings.list_again(inode, &all, state),
                    false => Names::passing(all),
                }
            }
        };
        let directory = OpenDirectory {
            names: names.clone(),
            is_read: true,
            is_cached,
        };
        lock(&self.directories).insert(handle, directory);
        Ok(names)
    }

    /// The state of which the kernel has a listing that is not old, if the directory is in it now.
    fn kept_state(&self, directory: Inode) -> Option<Identity> {
        let kept = self.listings.state(directory)?;
        self.tree
            .state(directory)
            .is_ok_and(|now| now == kept)
            .then_some(kept)
    }

    /// The names that are in a directory now, `.` and `..` first, and the state in which it has them.
    fn names_now(&self, directory: Inode) -> Result<(Arc<Vec<Listed>>, Option<Identity>)> {
        let listing = self.tree.list(directory)?;
        let dots = DOTS.map(|name| Listed::of(name.into()));
        let names = dots.into_iter().chain(listing.names).collect();
        Ok((Arc::new(names), listing.state))
    }
}

/// Adds an entry of which no more is known. To the kernel `.` and `..` are names alone.
fn add_unknown(entry: DirEntry, name: &OsStr, next: u64, reply: &mut ReplyDirectoryPlus) -> Room {
    let (inode, attr) = (INodeNo(entry.inode), unknown(entry.inode, entry.kind));
    room(reply.add(inode, next, name, &Duration::ZERO, &attr, Generation(0)))
}

/// Adds entries from an offset on, as long as there is room. One that cannot be told is an error of whoever asks for
/// it, and not left out.
fn add_entries(
    names: &Names,
    offset: u64,
    mut add: impl FnMut(u64, &Listed) -> Result<Room>,
) -> Result<()> {
    let mut has_any = false;
    for (next, listed) in names.from(offset) {
        match add(next, listed) {
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

fn is_dots(name: &OsStr) -> bool {
    DOTS.iter().any(|dots| name == *dots)
}
