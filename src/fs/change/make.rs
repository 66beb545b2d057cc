//! Makes files, directories, links and what else has a name.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{OFlags, XattrFlags, setxattr};

use super::contents::Access;
use super::to_file::Keep;
use crate::error::Result;
use crate::format::{OWN_DIRECTORY, original_name};
use crate::fs::attr::Attr;
use crate::fs::errno::{at, errno, is_gone, stale};
use crate::fs::facts::Kind;
use crate::fs::inode::Inode;
use crate::fs::model_tree::ModelTree;
use crate::fs::nodes::What;
use crate::fs::open_files::{OpenFile, Opened};
use crate::fs::place::Place;
use crate::fs::view::{Located, Sought, leads_to_archive, locate, locate_archive};
use crate::fs::xattr::AS_IT_IS_XATTR;
use crate::os::{DEFAULT_ACCESS_LIST, User, access_list, act_as, handle_path};

/// What is to be made, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct New {
    /// Permission bits, those included that `umask` takes away.
    pub mode: u32,
    /// What is taken away where the directory has no access list for what is made in it.
    pub umask: u32,
    /// To whom it will belong.
    pub owner: User,
}

impl ModelTree {
    /// Makes a file and opens it; the caller must `forget` and `release` it.
    ///
    /// # Errors
    /// `Io` with EEXIST if something is shown under that name, EPERM for the name of what weightfs keeps for itself, or
    /// what the system answered.
    pub fn create(
        &self,
        parent: Inode,
        name: &OsStr,
        new: &New,
        access: Access,
    ) -> Result<(Attr, OpenFile)> {
        self.make_room(parent, name)?;
        let _forms = self.no_change_of_form();
        let path = self.path_in(parent, name)?;
        // If it is there itself, the system says so when it is to be made.
        self.check_no_archive(&path)?;
        let made = self.as_owner(new.owner, || {
            let mode = |directory: &File| mode_of_new(directory, new);
            let file = self.source.create(&path, access.flags(), mode)?;
            self.or_remove(&path, self.mark_if_named_as_archive(&path, &file))?;
            Ok(file)
        });
        let file = made.map_err(|e| at(&path, e))?;
        let place = Place::Inside(path.clone());
        let facts = self
            .source
            .facts_of(&file, &path)
            .map_err(|e| at(&path, e))?;
        let attr = Attr::plain(self.number(&facts, &[]), Kind::File, &facts);
        let attr = self.permitted_open(attr, &file, &place, &facts)?;
        let what = What::File(place.clone());
        self.tell(parent, name, (attr, what), path, &facts);
        let opened = Opened::File(file.into(), place, attr.inode);
        Ok((attr, self.hand_out(opened, access, false)))
    }

    /// Makes a directory; the caller must `forget` it, as with all that follow.
    ///
    /// # Errors
    /// As `create`, with all that follow.
    pub fn make_directory(&self, parent: Inode, name: &OsStr, new: &New) -> Result<Attr> {
        self.make(parent, name, new.owner, |path| {
            let mode = |directory: &File| mode_of_new(directory, new);
            self.source.make_directory(path, mode)
        })
    }

    /// Makes a file, a pipe, a socket or a device.
    ///
    /// # Errors
    /// As `create`.
    pub fn make_node(
        &self,
        parent: Inode,
        name: &OsStr,
        (kind, device): (Kind, (u32, u32)),
        new: &New,
    ) -> Result<Attr> {
        self.make(parent, name, new.owner, |path| {
            let mode = |directory: &File| mode_of_new(directory, new);
            self.source.make_node(path, kind, mode, device)?;
            if kind == Kind::File {
                let file = self.source.open_to_ask(path)?;
                self.or_remove(path, self.mark_if_named_as_archive(path, &file))?;
            }
            Ok(())
        })
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// As `create`; EPERM for a name that would be taken for that of an archive.
    pub fn make_link(
        &self,
        parent: Inode,
        name: &OsStr,
        target: &Path,
        owner: User,
    ) -> Result<Attr> {
        self.make(parent, name, owner, |path| {
            if self.would_be_hidden(path, target) {
                return Err(io::Error::from_raw_os_error(libc::EPERM));
            }
            self.source.make_link(path, target)
        })
    }

    /// Gives a file another name beside those that it has.
    ///
    /// # Errors
    /// As `create`; EXDEV for what lies outside of the source.
    pub fn add_name(&self, inode: Inode, parent: Inode, name: &OsStr) -> Result<Attr> {
        self.make_room(parent, name)?;
        let path = self.path_in(parent, name)?;
        let from = self.node(inode)?.path;
        // It may have lost that name; then the look below tells.
        let below = self.find_below(&from).ok();
        if let Some(below) = below.filter(|_| self.is_of_archive(inode)) {
            if below.is_archive && !self.can_have_archive(&path)? {
                self.become_plain_if_archive(inode, Keep::All)?;
            } else {
                self.take_pins_along(&from, &path)?;
            }
        }
        let forms = self.no_change_of_form();
        let path = self.path_in(parent, name)?;
        self.check_free(&path)?;
        let target = self.find_to_name(inode)?;
        let to = target.beside(&path);
        let add = || {
            if !target.is_archive && target.facts.is_file() {
                let file = self.source.open_to_ask(&target.path)?;
                self.mark_if_named_as_archive(&path, &file)?;
            }
            self.source.add_name(&target.path, &to)
        };
        add().map_err(|e: io::Error| at(&path, e))?;
        drop(forms);
        self.lookup(parent, name)
    }

    /// What stands below for an inode, by the name that it was looked up by last.
    ///
    /// # Errors
    /// ESTALE if that is gone, or something else has it now: the kernel looks again then, by the name that it means.
    fn find_to_name(&self, inode: Inode) -> Result<Located> {
        let path = self.node(inode)?.path;
        match self.look_meanwhile(&path) {
            Ok((_, Ok((attr, _)))) if attr.inode == inode => self.find_below(&path),
            Err(e) if !is_gone(&e) => Err(at(&path, e)),
            _ => Err(stale(inode)),
        }
    }

    fn make(
        &self,
        parent: Inode,
        name: &OsStr,
        owner: User,
        make: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<Attr> {
        self.make_room(parent, name)?;
        let forms = self.no_change_of_form();
        let path = self.path_in(parent, name)?;
        self.check_free(&path)?;
        self.as_owner(owner, || make(&path))
            .map_err(|e| at(&path, e))?;
        drop(forms);
        self.lookup(parent, name)
    }

    /// To be said of a name that is to be taken. If that is the name of an archive that is shown as something else, this
    /// becomes a file first.
    pub(super) fn make_room(&self, parent: Inode, name: &OsStr) -> Result<()> {
        self.changes()?;
        if name == OWN_DIRECTORY {
            return Err(errno("weightfs keeps this name for itself", libc::EPERM));
        }
        let directory = self.directory(parent)?;
        if let Some(original) = original_name(name)
            && matches!(locate(&self.source, &directory, name), Ok(Sought::Hidden))
        {
            self.become_plain_at(&directory.join(original))?;
        }
        Ok(())
    }

    fn check_free(&self, path: &Path) -> Result<()> {
        match self.sought(path).map_err(|e| at(path, e))? {
            Sought::Nothing => Ok(()),
            Sought::Found(_) => Err(at(path, io::Error::from_raw_os_error(libc::EEXIST))),
            Sought::Hidden => Err(errno("the name is that of an archive", libc::EPERM)),
        }
    }

    fn check_no_archive(&self, path: &Path) -> Result<()> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or_default();
        match locate_archive(&self.source, directory, name).map_err(|e| at(path, e))? {
            None => Ok(()),
            Some(_) => Err(at(path, io::Error::from_raw_os_error(libc::EEXIST))),
        }
    }

    fn as_owner<R>(&self, owner: User, make: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let _acting = act_as(owner)?;
        make()
    }

    /// A file that has the name of an archive would be taken for one. On a file system without attributes it cannot have
    /// that name.
    pub(super) fn mark_if_named_as_archive(&self, path: &Path, file: &File) -> io::Result<()> {
        if path.file_name().and_then(original_name).is_none() {
            return Ok(());
        }
        let flags = XattrFlags::empty();
        Ok(setxattr(handle_path(file), AS_IT_IS_XATTR, b"1", flags)?)
    }

    /// What was made and cannot be what it should be does not stay.
    fn or_remove<R>(&self, path: &Path, made: io::Result<R>) -> io::Result<R> {
        made.inspect_err(|_| {
            let _ = self.source.remove_file(path);
        })
    }

    /// A link that is named as archives are, and leads to one, is shown as one to the file of that.
    pub(super) fn would_be_hidden(&self, path: &Path, target: &Path) -> bool {
        let directory = path.parent().unwrap_or(Path::new(""));
        path.file_name().and_then(original_name).is_some()
            && leads_to_archive(&self.source, directory, target)
    }
}

/// Permission bits that what is made in a directory gets: without those of `umask`, unless the directory has a list that
/// says which.
fn mode_of_new(directory: &File, new: &New) -> io::Result<u32> {
    let mode = new.mode & 0o7777;
    let is_all = mode & new.umask == 0 || access_list(directory, DEFAULT_ACCESS_LIST)?.is_some();
    Ok(if is_all { mode } else { mode & !new.umask })
}

impl Access {
    /// As the system opens a file with this access.
    pub(super) const fn flags(self) -> OFlags {
        match (self.reads, self.writes) {
            (_, false) => OFlags::RDONLY,
            (false, true) => OFlags::WRONLY,
            (true, true) => OFlags::RDWR,
        }
    }
}
