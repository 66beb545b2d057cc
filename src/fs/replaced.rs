//! Files that are replaced while they are looked at: by a newer one, or by their other form, when an archive
//! takes the place of its file or the file that of its archive.
//!
//! The kernel believes a name for a while, and even where it does not, the file can go between its look
//! at the name and its next question. It is never told that something is missing which is there by
//! another form, nor given one generation's size with another's bytes: ESTALE has it look again, and what
//! that look finds is kept until it was asked for.

use std::fs::File;
use std::io;
use std::path::Path;

use super::attr::Attr;
use super::errno::{errno, stale};
use super::facts::Facts;
use super::inode::Inode;
use super::lately::Found;
use super::model_tree::ModelTree;
use super::nodes::{Node, What};
use super::open_files::Opened;
use super::place::Place;
use super::view::{MAX_LOOKS, look};
use crate::error::{Error, Result};

impl ModelTree {
    /// What is shown under a path, looked at as one thing: again if that was replaced meanwhile.
    ///
    /// # Errors
    /// As `look`; within, as `describe`.
    pub(super) fn look_closely(&self, name: &Path) -> io::Result<(Facts, Result<(Attr, What)>)> {
        let _forms = self.no_change_of_form();
        self.look_meanwhile(name)
    }

    /// The same for a caller who has no name changed by way of the mount meanwhile.
    ///
    /// # Errors
    /// As `look_closely`.
    pub(super) fn look_meanwhile(&self, name: &Path) -> io::Result<(Facts, Result<(Attr, What)>)> {
        let directory = name.parent().unwrap_or(Path::new(""));
        let name = name.file_name().unwrap_or_default();
        let mut looks = 0;
        loop {
            let shown = look(&self.source, directory, name)?;
            let facts = *shown.facts();
            let place = shown.place().cloned();
            let described = self.describe(shown);
            looks += 1;
            match place {
                Some(place) if described.is_err() && !self.is_at(&place, &facts) => {
                    self.source.forget_reached(directory);
                    if looks == MAX_LOOKS {
                        let changes = errno("the name changes all the time", libc::ESTALE);
                        return Ok((facts, Err(changes)));
                    }
                }
                _ => return Ok((facts, described)),
            }
        }
    }

    /// Has the kernel look again if what a node was found to be is not there any more, whatever
    /// came of that; else the error is what it is. An archive that was written to is another one, a file or
    /// directory is the same.
    pub(super) fn stale_if_replaced(&self, inode: Inode, node: &Node, error: Error) -> Error {
        let is_there = match (node.place(), node.identity) {
            (Some(place), Some(identity)) => place.facts(&self.source).is_ok_and(|now| {
                let now = now.identity;
                now == identity
                    || now.file == identity.file && !matches!(node.what, What::Archive(_))
            }),
            _ => true,
        };
        if is_there && error.errno() != libc::ESTALE {
            return error;
        }
        if let Some(directory) = node.path.parent() {
            self.source.forget_reached(directory);
        }
        self.lately.name_changed();
        stale(inode)
    }

    /// A file as it is, unless it has another length than the kernel was told and will be told when it
    /// looks again: it would read past the end of this one, or not to it. The length of one that grows all
    /// the time is as it was a moment ago. No name has changed then, so nothing but this file is kept.
    ///
    /// # Errors
    /// ESTALE then.
    pub(super) fn as_the_kernel_knows_it(
        &self,
        file: File,
        place: &Place,
        node: &Node,
    ) -> Result<Opened> {
        let inode = node.attr.inode;
        let meta = file.metadata().map_err(|e| Error::io("open file", e))?;
        let opened = Opened::File(file.into(), place.clone(), inode);
        if meta.len() != node.attr.size && self.lately.get(inode).is_none() {
            self.told(inode, |attr| attr.size = meta.len());
            self.close_all(self.lately.keep(inode, Found::File(opened)));
            return Err(stale(inode));
        }
        Ok(opened)
    }

    /// While names change, keeps what a look has found for the questions that follow. False if it
    /// is gone already.
    pub(super) fn keep_for_questions(&self, inode: Inode, what: &What, facts: &Facts) -> bool {
        if !self.lately.is_restless() {
            return true;
        }
        let (opened, place) = match what {
            What::Directory(_) => return true,
            What::Link(_) => {
                self.close_all(self.lately.keep(inode, Found::Link));
                return true;
            }
            What::Archive(at) => {
                let file = self.open_archive(inode, at);
                (file.map(|file| Opened::Archive(file, inode)), &at.place)
            }
            What::File(place) => {
                let file = self.open_plain(inode, place);
                let opened = |file: File| Opened::File(file.into(), place.clone(), inode);
                (file.map(opened), place)
            }
        };
        match opened {
            Ok(opened) => {
                self.close_all(self.lately.keep(inode, Found::File(opened)));
                true
            }
            // It is there, and may not be opened.
            Err(_) => self.is_at(place, facts),
        }
    }

    /// What is open of an inode, or was found lately.
    pub(super) fn kept_open(&self, inode: Inode) -> Option<Opened> {
        self.opened
            .of(inode)
            .or_else(|| match self.lately.get(inode) {
                Some(Found::File(opened)) => Some(opened),
                _ => None,
            })
    }

    /// Lets go of files that nobody has asked for, and directories that nobody looks into. Lookups, opening and whoever asks
    /// for statistics do so, so that it depends on no thread that a source may hold up; to be called now and then where
    /// nobody comes.
    pub fn let_go(&self) {
        self.source.let_go();
        self.close_all(self.lately.take_old());
    }

    fn close_all(&self, found: Vec<Found>) {
        for found in found {
            if let Found::File(opened) = found {
                self.close(opened);
            }
        }
    }

    fn is_at(&self, place: &Place, facts: &Facts) -> bool {
        place
            .facts(&self.source)
            .is_ok_and(|now| now.identity == facts.identity)
    }
}
