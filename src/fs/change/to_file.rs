//! An archive becomes the file it stands for: decoded beside it, durable, and then in its place under each of its names.
//!
//! Who had the file open goes on with it, as with any file that somebody else writes to. The kernel knows it by the number
//! that it had, so that its pages stay.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{FallocateFlags, OFlags, RenameFlags, Timestamps, fallocate, futimens};

use super::begun::check_inside;
use super::forms::{Change, MAX_TRIES, path_of_archive};
use crate::error::{Error, Result};
use crate::file::VirtualFile;
use crate::format::{OWN_XATTRS, original_name};
use crate::fs::attr::Attr;
use crate::fs::errno::{at, errno, stale};
use crate::fs::facts::Kind;
use crate::fs::inode::Inode;
use crate::fs::model_tree::ModelTree;
use crate::fs::nodes::What;
use crate::fs::open_files::Opened;
use crate::fs::place::Place;
use crate::fs::writing::forget;
use crate::model::ReadAt;
use crate::os::{copy_attributes, timespec, write_all_at};
use crate::sync::{alone, lock};

/// Read and written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    /// It is to be empty.
    Nothing,
}

/// A file that was made, as it will be open for those who have that of the archive open.
struct Made {
    reading: Arc<File>,
    writing: Arc<File>,
}

impl ModelTree {
    /// Has the archive that is shown under a path become a file, if there is one. A link to one gets the name that it is
    /// shown under, which leads to the same.
    pub(super) fn become_plain_at(&self, path: &Path) -> Result<()> {
        let forms = alone(&self.forms);
        let below = self.find_below(path)?;
        if below.is_archive && below.facts.is_link() {
            let renamed = self
                .source
                .rename(&below.path, path, RenameFlags::NOREPLACE);
            return renamed.map_err(|e| at(path, e));
        }
        let (facts, described) = self.look_meanwhile(path).map_err(|e| at(path, e))?;
        let (attr, what) = described?;
        // It has to be known to be found.
        lock(&self.nodes).found(attr, what, path.to_path_buf(), Some(facts.identity));
        drop(forms);
        let done = self.become_plain_if_archive(attr.inode, Keep::All);
        lock(&self.nodes).forget(attr.inode, 1);
        done
    }

    /// Has the file of an archive become a plain one; of a plain file nothing is to be done.
    ///
    /// # Errors
    /// As the archive's reading; `Io` with ENOSPC if there is no room for it beside the archive; ESTALE if the archive is
    /// gone. All is as before then.
    pub(super) fn become_plain_if_archive(&self, inode: Inode, keep: Keep) -> Result<()> {
        // Most who ask have plain files, and wait for nobody.
        match self.is_of_archive(inode) {
            true => self.become_plain(inode, keep),
            false => Ok(()),
        }
    }

    /// The same, after whoever is at it.
    ///
    /// # Errors
    /// As `become_plain_if_archive`.
    pub(super) fn become_plain(&self, inode: Inode, keep: Keep) -> Result<()> {
        let changes = self.changes()?;
        let _one_at_a_time = lock(&changes.converting);
        let What::Archive(place) = self.node(inode)?.what else {
            return Ok(());
        };
        check_inside(&place)?;
        // Who has it open has it by a name that it may not have any more.
        let archive = self.open_archive(inode, &place)?;
        let path = place.place.path();
        let directory = path.parent().unwrap_or(Path::new(""));
        let temporary = changes
            .work
            .temporary(&self.source, directory)
            .map_err(|e| at(path, e))?;
        let made = self.decode_to(&archive, &temporary, keep);
        let changed = made.and_then(|made| self.take_place(inode, &archive, (&temporary, &made)));
        if changed.is_err() {
            let _ = self.source.remove_file(&temporary);
        }
        self.close(Opened::Archive(archive, inode));
        changed
    }

    fn decode_to(&self, archive: &VirtualFile, temporary: &Path, keep: Keep) -> Result<Made> {
        let cannot = |e: io::Error| {
            let path = archive.archive().path().display();
            Error::io(format!("cannot unpack {path}"), e)
        };
        let file = self
            .source
            .create(temporary, OFlags::RDWR, |_| Ok(0o600))
            .map_err(cannot)?;
        // As long as it may be opened: whoever had it open may have made it read-only.
        let reading = self.source.open_file(temporary).map_err(cannot)?;
        if keep == Keep::All {
            write_decoded(archive, &file)?;
        }
        let reader = archive.archive();
        let below = reader
            .file()
            .ok_or_else(|| errno("no file", libc::ESTALE))?;
        copy_attributes(below, &file, OWN_XATTRS).map_err(cannot)?;
        let meta = below.metadata().map_err(cannot)?;
        file.set_permissions(meta.permissions()).map_err(cannot)?;
        let accessed = meta.accessed().map_err(cannot)?;
        let modified = match keep {
            Keep::All => reader.modified(),
            Keep::Nothing => SystemTime::now(),
        };
        let times = Timestamps {
            last_access: timespec(accessed),
            last_modification: timespec(modified),
        };
        futimens(&file, &times).map_err(|e| cannot(e.into()))?;
        file.sync_all().map_err(cannot)?;
        Ok(Made {
            reading: reading.into(),
            writing: file.into(),
        })
    }

    fn take_place(
        &self,
        inode: Inode,
        archive: &VirtualFile,
        (temporary, made): (&Path, &Made),
    ) -> Result<()> {
        let source = &self.source;
        for _ in 0..MAX_TRIES {
            let What::Archive(place) = self.node(inode)?.what else {
                break;
            };
            let known = place.place.path();
            let cannot = |e| at(known, e);
            // By its descriptor: it need not have the name any more that it is known by.
            let open = archive.archive().file().ok_or_else(|| stale(inode))?;
            let goes = source.facts_of(open, known).map_err(cannot)?;
            if goes.nlink == 0 {
                // Only those who have it open have it: as long as they do.
                source.remove_file(temporary).map_err(cannot)?;
                let forms = alone(&self.forms);
                let path = known.to_path_buf();
                let closed = self.is_plain_now(inode, archive.generation(), path, made)?;
                drop(forms);
                self.close_opened(closed);
                return Ok(());
            }
            let all = self.all_names(known, goes.number, goes.nlink);
            let is_free = |(file, _): &(PathBuf, PathBuf)| source.facts(file).is_err();
            let names: Vec<_> = all
                .map_err(cannot)?
                .into_iter()
                .filter_map(pair)
                // Where there is a file too, both are shown, as they are.
                .filter(is_free)
                .collect();
            if names.is_empty() {
                continue;
            }
            for (file, _) in &names {
                self.mark_if_named_as_archive(file, &made.writing)
                    .map_err(cannot)?;
            }
            let comes = source.facts_of(&made.writing, temporary).map_err(cannot)?;
            let change = Change {
                temporary,
                names,
                comes: comes.number,
                goes: goes.number,
                links: goes.nlink,
            };
            if self.change_places(inode, archive.generation(), &change, made)? {
                return Ok(());
            }
        }
        Err(stale(inode))
    }

    /// False if somebody has given it another name.
    fn change_places(
        &self,
        inode: Inode,
        former: Inode,
        change: &Change<'_>,
        made: &Made,
    ) -> Result<bool> {
        let source = &self.source;
        let (path, archive) = &change.names[0];
        let cannot = |e| at(archive, e);
        let record = change.note(&self.changes()?.work, source).map_err(cannot)?;
        let forms = alone(&self.forms);
        if !change.is_as_it_was(source) {
            drop(forms);
            forget(source, &record);
            return Ok(false);
        }
        let outcome = change.make(source);
        let closed = outcome
            .made
            .is_ok()
            .then(|| self.is_plain_now(inode, former, path.clone(), made))
            .transpose();
        drop(forms);
        change.end(source, &record, &outcome);
        outcome.made.map_err(cannot)?;
        self.close_opened(closed?.unwrap_or_default());
        Ok(true)
    }

    fn close_opened(&self, closed: Vec<Opened>) {
        for opened in closed {
            self.close(opened);
        }
    }

    /// Notes what the file is from now on; returns what was open of it.
    fn is_plain_now(
        &self,
        inode: Inode,
        former: Inode,
        path: PathBuf,
        made: &Made,
    ) -> Result<Vec<Opened>> {
        let facts = self.source.facts_of(&made.writing, &path);
        let facts = facts.map_err(|e| at(&path, e))?;
        let now = self.archives.numbers().of(facts.number, &[]);
        self.archives.change_form(former, now);
        let place = Place::Inside(path.clone());
        if let Some(node) = lock(&self.nodes).get_mut(inode) {
            node.attr = Attr::plain(inode, Kind::File, &facts);
            node.what = What::File(place.clone());
            node.identity = Some(facts.identity);
            node.opened = None;
        }
        let reading = Opened::File(Arc::clone(&made.reading), place.clone(), inode);
        let writing = Opened::File(Arc::clone(&made.writing), place, inode);
        Ok(self.opened.change_form(&reading, &writing))
    }
}

/// The file and the archive of it.
fn pair(archive: PathBuf) -> Option<(PathBuf, PathBuf)> {
    let name = archive.file_name().and_then(original_name)?;
    let file = archive.with_file_name(name);
    debug_assert_eq!(path_of_archive(&file), archive);
    Some((file, archive))
}

fn write_decoded(archive: &VirtualFile, file: &File) -> Result<()> {
    let entry = archive.entry();
    let cannot = |e| {
        let path = archive.archive().path().display();
        Error::io(format!("no room to unpack {path} beside it"), e)
    };
    // That there is no room is known before anything is decoded, where the file system can tell.
    if let Err(e) = fallocate(file, FallocateFlags::empty(), 0, entry.bytes().max(1))
        && e == rustix::io::Errno::NOSPC
    {
        return Err(cannot(e.into()));
    }
    let mut piece = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < entry.bytes() {
        let left = usize::try_from(entry.bytes() - offset).unwrap_or(usize::MAX);
        let piece = &mut piece[..left.min(PIECE_BYTES)];
        entry.read_at(piece, offset)?;
        write_all_at(file, piece, offset).map_err(cannot)?;
        offset += piece.len() as u64;
    }
    // One that is empty was given a byte of room.
    file.set_len(entry.bytes()).map_err(cannot)
}
