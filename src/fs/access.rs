//! What the kernel is told of who may do what: permissions that it can check by itself.
//!
//! The kernel decides for each inode by its mode and access list, for all callers alike, and checks the
//! directories that it walks through. So what it is told of an inode contains what it does not walk through:
//! the directories above the source, and those above an archive that is shown in the place of a link to it.
//! That concerns others than the user who mounts; who has the mount for himself is not told of it.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use super::attr::Attr;
use super::errno::{is_gone, stale};
use super::facts::Facts;
use super::model_tree::ModelTree;
use super::nodes::What;
use super::place::{ArchivePlace, Place};
use super::rights::{Permissions, Rights, names_all};
use super::source::local;
use crate::error::Result;
use crate::os::{ACCESS_LIST, access_list};

impl ModelTree {
    /// Says that the kernel does not ask for access lists, so that modes have to say all.
    pub fn show_no_access_lists(&self) {
        self.lists_are_asked_for.store(false, Ordering::Relaxed);
    }

    /// How an archive is shown that was found at a place, or by a link to it.
    pub(super) fn come_by(&self, place: Place, by_link: bool, facts: &Facts) -> ArchivePlace {
        let hindered = by_link && !self.hindrances(&place, by_link, facts).is_empty();
        let parent = place.path().parent().filter(|_| hindered);
        ArchivePlace {
            way: parent.map_or_else(Vec::new, |parent| parent.as_os_str().as_bytes().to_vec()),
            place,
            by_link,
        }
    }

    /// Attributes with the permissions that are shown of what is at a place, as its facts say.
    ///
    /// # Errors
    /// ESTALE if that is gone, or something else is there now.
    pub(super) fn permitted(
        &self,
        attr: Attr,
        at: &Place,
        by_link: bool,
        facts: &Facts,
    ) -> Result<Attr> {
        let above = self.hindrances(at, by_link, facts);
        self.with_permissions(attr, &above, || {
            local::rights_of(&at.open_same(&self.source, &facts.identity)?)
        })
    }

    /// The same of a file that is open, and was opened at a place.
    ///
    /// # Errors
    /// ESTALE if the system says so of it.
    pub(super) fn permitted_open(
        &self,
        attr: Attr,
        file: &File,
        at: &Place,
        facts: &Facts,
    ) -> Result<Attr> {
        let above = self.hindrances(at, false, facts);
        self.with_permissions(attr, &above, || local::rights_of(file))
    }

    fn with_permissions(
        &self,
        attr: Attr,
        above: &[Rights],
        own: impl FnOnce() -> io::Result<Rights>,
    ) -> Result<Attr> {
        let lists_are_asked_for = self.lists_are_asked_for.load(Ordering::Relaxed);
        if above.is_empty() && (lists_are_asked_for || !self.source.is_for_all_users()) {
            return Ok(attr);
        }
        let own = match own() {
            Ok(own) => own,
            Err(e) if is_gone(&e) => return Err(stale(attr.inode)),
            // Should the list not be told, nobody but the owner is known to be let in.
            Err(_) => Rights::new(attr.uid, attr.gid, attr.mode & 0o700, None),
        };
        let rights = own.behind(above);
        let Permissions { uid, gid, mode, .. } = if lists_are_asked_for {
            rights.permissions()
        } else {
            rights.without_list()
        };
        let mode = attr.mode & !0o777 | mode;
        Ok(Attr {
            uid,
            gid,
            mode,
            ..attr
        })
    }

    /// One of the access lists that are shown of something, of its file that is open, at least as a path.
    ///
    /// # Errors
    /// What the system answered. Nobody but the owner is let in then.
    pub(super) fn access_list(
        &self,
        what: &What,
        file: &File,
        name: &str,
    ) -> io::Result<Option<Vec<u8>>> {
        let (place, by_link) = match what {
            What::Directory(path) => (&Place::Inside(path.clone()), false),
            What::File(place) => (place, false),
            What::Archive(at) => (&at.place, at.by_link),
            // Links have none.
            What::Link(_) => return Ok(None),
        };
        let own = access_list(file, name)?;
        if name != ACCESS_LIST {
            return Ok(own);
        }
        let facts = place.facts_of(&self.source, file)?;
        let above = self.hindrances(place, by_link, &facts);
        if above.is_empty() && own.as_deref().is_none_or(names_all) {
            return Ok(own);
        }
        let rights = Rights::new(facts.uid, facts.gid, facts.mode, own.as_deref());
        Ok(if above.is_empty() {
            // With the mode that it had with the other list.
            Some(rights.list())
        } else {
            rights.behind(&above).permissions().list
        })
    }

    /// What keeps others from something that the kernel does not see.
    fn hindrances(&self, at: &Place, by_link: bool, facts: &Facts) -> Vec<Rights> {
        if !self.source.is_for_all_users() {
            return Vec::new();
        }
        match at {
            _ if by_link => at.hindrances(&self.source),
            Place::Inside(path) if path.as_os_str().is_empty() => self.source.hindrances(),
            Place::Inside(path) if facts.number.is_elsewhere() => {
                self.source.hindrance_of_mount(path).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}
