//! Opens files to be written, and writes them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom, copy_file_range, fallocate, seek};

use super::begun::check_inside;
use super::to_file::Keep;
use crate::error::{Error, Result};
use crate::fs::errno::{errno, stale};
use crate::fs::facts::Identity;
use crate::fs::inode::Inode;
use crate::fs::model_tree::ModelTree;
use crate::fs::nodes::What;
use crate::fs::open_files::{Closed, Handle, OpenFile, Opened, Way};
use crate::fs::place::Place;
use crate::os::write_all_at;
use crate::sync::lock;

/// How a file is to be opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// It is read.
    pub reads: bool,
    /// It is written.
    pub writes: bool,
    /// The kernel may read and write the file below by itself.
    pub may_pass: bool,
}

impl ModelTree {
    /// Opens a file for reading, writing or both; the caller must `release` it. That of an archive stays one until it is
    /// written to.
    ///
    /// # Errors
    /// As `open`; `Io` with EROFS if it is to be written and cannot be, or what the system answered.
    pub fn open_as(&self, inode: Inode, access: Access) -> Result<OpenFile> {
        if self.changes.is_none() && !access.writes {
            return self.open(inode);
        }
        self.changes()?;
        self.let_go();
        let forms = self.no_change_of_form();
        let node = self.node(inode)?;
        let opened = match &node.what {
            What::Archive(at) => {
                if access.writes {
                    check_inside(at)?;
                }
                let file = self.open_archive(inode, at);
                file.map(|file| (Opened::Archive(file, inode), node.identity))
            }
            What::File(place) => {
                let file = self.open_plain_as(inode, place, access);
                file.map(|(file, identity)| {
                    let opened = Opened::File(file.into(), place.clone(), inode);
                    (opened, Some(identity))
                })
            }
            What::Directory(_) => return Err(errno("open", libc::EISDIR)),
            What::Link(_) => return Err(errno("open", libc::ELOOP)),
        };
        let (opened, identity) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(self.stale_if_replaced(inode, &node, error)),
        };
        let keep_cache = self.is_cached(&opened, identity);
        let opened = self.hand_out(opened, access, keep_cache);
        drop(forms);
        Ok(opened)
    }

    /// Gives what was opened a handle, while nothing changes its form.
    pub(super) fn hand_out(&self, opened: Opened, access: Access, keep_cache: bool) -> OpenFile {
        let file = match &opened {
            Opened::File(file, ..) => Some(Arc::clone(file)),
            Opened::Archive(..) => None,
        };
        let prefers = match &file {
            Some(file) if access.may_pass && !self.will_be_packed(file, access) => Way::Passed,
            _ => Way::Served,
        };
        let (handle, way) = self.opened.insert(opened, access.writes, prefers);
        OpenFile {
            handle,
            // The kernel wants no word on a cache that it does not use.
            keep_cache: keep_cache && way == Way::Served,
            passed: file.filter(|_| way == Way::Passed),
        }
    }

    /// Says that the kernel does not read and write a file that it was to: it refuses.
    pub fn serve(&self, handle: Handle) {
        self.opened.serve(handle);
    }

    /// True if what the kernel has cached of a file is still right.
    fn is_cached(&self, opened: &Opened, identity: Option<Identity>) -> bool {
        let mut nodes = lock(&self.nodes);
        let Some(node) = nodes.get_mut(opened.inode()) else {
            return false;
        };
        match opened {
            // Nobody has written to it but while it was a file.
            Opened::Archive(..) => !std::mem::take(&mut node.cache_is_old),
            Opened::File(..) => {
                node.cache_is_old = false;
                std::mem::replace(&mut node.opened, identity) == identity
            }
        }
    }

    /// Opens a file, and tells in which state it is.
    fn open_plain_as(
        &self,
        inode: Inode,
        place: &Place,
        access: Access,
    ) -> Result<(File, Identity)> {
        let cannot = |e| Error::io(format!("cannot open {}", place.path().display()), e);
        let file = match place {
            Place::Inside(path) => self.source.open_as(path, access.flags()),
            Place::Outside(_) if access.writes => {
                return Err(errno("the file lies outside of the source", libc::EROFS));
            }
            Place::Outside(_) => place.open_file(&self.source),
        };
        let file = file.map_err(cannot)?;
        let facts = place.facts_of(&self.source, &file).map_err(cannot)?;
        if !facts.is_file() || self.number(&facts, &[]) != inode {
            return Err(stale(inode));
        }
        Ok((file, facts.identity))
    }

    /// Opens a file that is none of an archive, to change it.
    pub(super) fn open_to_write(&self, inode: Inode) -> Result<File> {
        let access = Access {
            writes: true,
            ..Access::default()
        };
        match self.node(inode)?.what {
            What::File(place) => {
                let (file, _) = self.open_plain_as(inode, &place, access)?;
                Ok(file)
            }
            What::Directory(_) => Err(errno("open", libc::EISDIR)),
            What::Archive(_) | What::Link(_) => Err(stale(inode)),
        }
    }

    /// True if the file that is open is that of an archive, so that who writes to it waits until it is decoded.
    pub fn is_archive(&self, handle: Handle) -> bool {
        matches!(self.opened.get(handle), Ok(Opened::Archive(..)))
    }

    /// The same of an inode, whether it is open or not.
    pub fn is_of_archive(&self, inode: Inode) -> bool {
        self.node(inode)
            .is_ok_and(|node| matches!(node.what, What::Archive(_)))
    }

    /// Writes all bytes at an offset.
    ///
    /// # Errors
    /// `Io` with what the system answered.
    pub fn write(&self, handle: Handle, offset: u64, bytes: &[u8]) -> Result<()> {
        let (file, inode) = self.file_to_write(handle)?;
        write_all_at(&file, bytes, offset).map_err(|e| Error::io("write", e))?;
        let end = offset.saturating_add(bytes.len() as u64);
        self.told(inode, |attr| attr.size = attr.size.max(end));
        Ok(())
    }

    /// Reserves, frees or clears space; `mode` is that of fallocate(2).
    ///
    /// # Errors
    /// As `write`.
    pub fn allocate(&self, handle: Handle, mode: u32, offset: u64, len: u64) -> Result<()> {
        let mode = FallocateFlags::from_bits_retain(mode);
        let (file, inode) = self.file_to_write(handle)?;
        let cannot = |e: io::Error| Error::io("fallocate", e);
        fallocate(&*file, mode, offset, len).map_err(|e| cannot(e.into()))?;
        let size = file.metadata().map_err(cannot)?.len();
        self.told(inode, |attr| attr.size = size);
        Ok(())
    }

    /// Copies bytes of one open file to another within the file system below; fewer, if it likes. Returns how many.
    ///
    /// # Errors
    /// `Io` with EOPNOTSUPP where that cannot be done, so that the kernel does it; else as `write`.
    pub fn copy_range(
        &self,
        (from, from_offset): (Handle, u64),
        (to, to_offset): (Handle, u64),
        len: usize,
    ) -> Result<usize> {
        let (Opened::File(source, ..), Opened::File(target, _, inode)) =
            (self.opened.get(from)?, self.opened.get(to)?)
        else {
            return Err(errno("an archive is decoded by reading", libc::EOPNOTSUPP));
        };
        let (mut at, mut to) = (from_offset, to_offset);
        let copied = copy_file_range(&*source, Some(&mut at), &*target, Some(&mut to), len)
            .map_err(|e| Error::io("copy_file_range", e.into()))?;
        let end = to_offset.saturating_add(copied as u64);
        self.told(inode, |attr| attr.size = attr.size.max(end));
        Ok(copied)
    }

    /// Where the next data, or the next hole, begins. The file of an archive has no holes.
    ///
    /// # Errors
    /// `Io` with ENXIO behind the end.
    pub fn seek(&self, handle: Handle, offset: u64, for_data: bool) -> Result<u64> {
        match self.opened.get(handle)? {
            Opened::Archive(file, _) => match file.entry().bytes() {
                end if offset >= end => Err(errno("lseek", libc::ENXIO)),
                _ if for_data => Ok(offset),
                end => Ok(end),
            },
            Opened::File(file, ..) => {
                let whence = match for_data {
                    true => SeekFrom::Data(offset),
                    false => SeekFrom::Hole(offset),
                };
                seek(&*file, whence).map_err(|e| Error::io("lseek", e.into()))
            }
        }
    }

    /// Has what was written be on the disk.
    ///
    /// # Errors
    /// As `write`.
    pub fn sync(&self, handle: Handle, data_only: bool) -> Result<()> {
        let Opened::File(file, ..) = self.opened.get(handle)? else {
            // Nobody has written to it.
            return Ok(());
        };
        let synced = match data_only {
            true => file.sync_data(),
            false => file.sync_all(),
        };
        synced.map_err(|e| Error::io("fsync", e))
    }

    /// Has the names of a directory be on the disk.
    ///
    /// # Errors
    /// As `write`.
    pub fn sync_directory(&self, inode: Inode) -> Result<()> {
        let forms = self.no_change_of_form();
        let path = self.directory(inode)?;
        let directory = self.source.open_directory(&path);
        drop(forms);
        let synced = directory.and_then(|directory| directory.sync_all());
        synced.map_err(|e| Error::io("fsync", e))
    }

    /// The file behind a handle that may write, decoded if it is that of an archive.
    fn file_to_write(&self, handle: Handle) -> Result<(Arc<File>, Inode)> {
        if let Opened::Archive(_, inode) = self.opened.get(handle)? {
            // Also where it is none any more: whoever changes that is about to say so of what is open.
            self.become_plain(inode, Keep::All)?;
        }
        match self.opened.get(handle)? {
            Opened::File(file, _, inode) => Ok((file, inode)),
            Opened::Archive(_, inode) => Err(stale(inode)),
        }
    }

    /// The last one who wrote to a file has closed it.
    pub(in crate::fs) fn written(&self, closed: &Closed) {
        let Opened::File(file, place, inode) = &closed.opened else {
            return;
        };
        let facts = place.facts_of(&self.source, file).ok();
        if let (Some(node), Some(facts)) = (lock(&self.nodes).get_mut(*inode), facts) {
            node.attr.size = facts.size;
            // All that was written went through the kernel's cache, or none of it.
            node.opened = (closed.way == Way::Served).then_some(facts.identity);
            node.cache_is_old = closed.way == Way::Passed;
        }
        if let Place::Inside(path) = place {
            self.tell_of(path);
        }
    }

    /// Tells whoever wants to know of a file that nobody writes any more, or that has a new name.
    pub(super) fn tell_of(&self, path: &Path) {
        if let Some(tell) = self.changes.as_ref().and_then(|changes| changes.tell.get()) {
            tell(path);
        }
    }
}
