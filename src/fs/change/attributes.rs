//! Changes what files have beside their bytes: owner, mode, times, length, extended attributes.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid, XattrFlags, chmod,
    chownat, fchmod, removexattr, setxattr, utimensat,
};
use rustix::io::Errno;

use super::to_file::Keep;
use crate::archive::set_modified;
use crate::error::{Error, Result};
use crate::format::OWN_XATTRS;
use crate::fs::attr::Attr;
use crate::fs::errno::{errno, stale};
use crate::fs::inode::Inode;
use crate::fs::model_tree::ModelTree;
use crate::fs::nodes::{Node, What};
use crate::fs::open_files::{Handle, Opened};
use crate::os::{ACCESS_LIST, DEFAULT_ACCESS_LIST, handle_path, timespec};

/// A time that is to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewTime {
    /// What the clock says.
    Now,
    /// This one.
    At(SystemTime),
}

/// What is to be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewAttr {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Time of last access.
    pub atime: Option<NewTime>,
    /// Time of last modification.
    pub mtime: Option<NewTime>,
}

impl ModelTree {
    /// Changes attributes of an inode, of the file that is open by `handle` if there is one. A new length has the file of
    /// an archive be decoded first.
    ///
    /// # Errors
    /// `Io` with what the system answered, or as `attr`.
    pub fn set_attr(&self, inode: Inode, handle: Option<Handle>, new: &NewAttr) -> Result<Attr> {
        self.changes()?;
        if let Some(size) = new.size {
            self.set_size(inode, handle, size)?;
        }
        let forms = self.no_change_of_form();
        let node = self.node(inode)?;
        let file = self.file_to_change(&node)?;
        let is_archive = matches!(node.what, What::Archive(_));
        change(&file, new, is_archive)
            .map_err(|e| Error::io(format!("attributes of inode {inode}"), e))?;
        match node.place().filter(|_| !is_archive) {
            Some(place) => {
                let attr = self.open_file_attr(inode, &file, &place)?;
                self.told(inode, |known| *known = attr);
                Ok(attr)
            }
            None => {
                drop(forms);
                self.attr(inode)
            }
        }
    }

    fn set_size(&self, inode: Inode, handle: Option<Handle>, size: u64) -> Result<()> {
        let keep = if size == 0 { Keep::Nothing } else { Keep::All };
        self.become_plain_if_archive(inode, keep)?;
        let cannot = |e| Error::io(format!("length of inode {inode}"), e);
        let opened = handle.map(|handle| self.opened.get(handle)).transpose()?;
        let set = match opened {
            Some(Opened::File(file, ..)) => file.set_len(size),
            _ => {
                let _forms = self.no_change_of_form();
                self.open_to_write(inode)?.set_len(size)
            }
        };
        set.map_err(cannot)?;
        self.told(inode, |attr| attr.size = size);
        Ok(())
    }

    /// The file below that an inode is, open as a path at least; of a link, the link.
    fn file_to_change(&self, node: &Node) -> Result<Arc<File>> {
        let inode = node.attr.inode;
        let cannot = |e| Error::io(format!("inode {inode}"), e);
        // Who still reads a file that has become an archive has one open that is gone.
        if let What::File(_) = node.what
            && let Some(Opened::File(file, ..)) = self.opened.of(inode)
        {
            return Ok(file);
        }
        if let What::Link(_) = node.what {
            let below = self.find_below(&node.path)?;
            let file = self.source.open_to_ask(&below.path).map_err(cannot)?;
            return match below.facts.is_link() {
                true => Ok(file.into()),
                false => Err(stale(inode)),
            };
        }
        match self.handle(node) {
            Some(Ok(file)) => Ok(file.into()),
            Some(Err(gone)) => match self.kept_open(inode) {
                Some(opened) => {
                    let file = opened.file().map_or(Err(gone), File::try_clone);
                    Ok(file.map_err(cannot)?.into())
                }
                None => Err(self.stale_if_replaced(inode, node, cannot(gone))),
            },
            None => Err(stale(inode)),
        }
    }

    /// Sets an extended attribute; `flags` are those of setxattr(2).
    ///
    /// # Errors
    /// `Io` with EPERM for one of our own, EOPNOTSUPP for one that is not shown, or what the system answered.
    pub fn set_xattr(&self, inode: Inode, name: &OsStr, value: &[u8], flags: u32) -> Result<()> {
        let flags = XattrFlags::from_bits(flags).ok_or_else(|| errno("flags", libc::EINVAL))?;
        self.change_xattr(inode, name, |path| Ok(setxattr(path, name, value, flags)?))
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// As `set_xattr`.
    pub fn remove_xattr(&self, inode: Inode, name: &OsStr) -> Result<()> {
        self.change_xattr(inode, name, |path| match removexattr(path, name) {
            // That a list is removed that is not there is what was wanted.
            Err(Errno::NODATA) if is_list(name) => Ok(()),
            removed => Ok(removed?),
        })
    }

    fn change_xattr(
        &self,
        inode: Inode,
        name: &OsStr,
        change: impl FnOnce(&str) -> io::Result<()>,
    ) -> Result<()> {
        self.changes()?;
        if name.as_bytes().starts_with(OWN_XATTRS.as_bytes()) {
            return Err(errno("the attribute is weightfs's own", libc::EPERM));
        }
        if !name.as_bytes().starts_with(b"user.") && !is_list(name) {
            return Err(errno("no such attributes here", libc::EOPNOTSUPP));
        }
        let _forms = self.no_change_of_form();
        let node = self.node(inode)?;
        if let What::Link(_) = node.what {
            return Err(errno("links have no attributes", libc::EPERM));
        }
        let file = self.file_to_change(&node)?;
        change(&handle_path(&file))
            .map_err(|e| Error::io(format!("extended attributes of inode {inode}"), e))
    }
}

fn is_list(name: &OsStr) -> bool {
    name == ACCESS_LIST || name == DEFAULT_ACCESS_LIST
}

/// Owner first: a change of it takes bits of the mode away.
fn change(file: &File, new: &NewAttr, is_archive: bool) -> io::Result<()> {
    if new.uid.is_some() || new.gid.is_some() {
        let (uid, gid) = (new.uid.map(Uid::from_raw), new.gid.map(Gid::from_raw));
        chownat(file, c"", uid, gid, AtFlags::EMPTY_PATH)?;
    }
    if let Some(mode) = new.mode {
        let mode = Mode::from(mode & 0o7777);
        match fchmod(file, mode) {
            // Open as a path only.
            Err(Errno::BADF) => chmod(handle_path(file), mode),
            changed => changed,
        }?;
    }
    let mut modified = new.mtime;
    if is_archive {
        if let Some(time) = modified.take() {
            set_modified(file, at(time))?;
        }
    } else if new.size.is_some() && modified.is_none() {
        return Ok(());
    }
    if new.atime.is_none() && modified.is_none() {
        return Ok(());
    }
    let times = Timestamps {
        last_access: new_time(new.atime),
        last_modification: new_time(modified),
    };
    Ok(utimensat(file, c"", &times, AtFlags::EMPTY_PATH)?)
}

fn at(time: NewTime) -> SystemTime {
    match time {
        NewTime::Now => SystemTime::now(),
        NewTime::At(time) => time,
    }
}

fn new_time(time: Option<NewTime>) -> Timespec {
    let special = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    match time {
        None => special(UTIME_OMIT),
        Some(NewTime::Now) => special(UTIME_NOW),
        Some(NewTime::At(time)) => timespec(time),
    }
}
