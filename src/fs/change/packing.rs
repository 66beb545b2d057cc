//! A file becomes an archive that somebody has made of it: in its place under each of its names, while whoever has it open
//! reads on, and the kernel keeps its number and its pages.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::contents::Access;
use super::forms::{Change, path_of_archive};
use crate::error::Result;
use crate::format::is_own;
use crate::fs::errno::{at, is_gone};
use crate::fs::facts::Facts;
use crate::fs::inode::Inode;
use crate::fs::model_tree::ModelTree;
use crate::fs::nodes::What;
use crate::fs::open_archive::open_archive;
use crate::fs::place::Place;
use crate::fs::writing::forget;
use crate::model::ModelFormat;
use crate::os::{is_open_for_writing, is_written_by_lease, read_full_at};
use crate::sync::{alone, lock};

/// Shorter files are not packed.
pub const LEAST_PACKED_BYTES: u64 = 1 << 20;

/// A file that is to be packed: where, where its archive is to be made, and in which state it was found.
#[derive(Debug)]
pub struct Packing {
    /// Its path below the root of the source.
    pub from: PathBuf,
    /// That of its archive to be, on the same file system. It is not there yet.
    pub to: PathBuf,
    facts: Facts,
    names: Vec<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// The archive is in the file's place.
    Swapped {
        /// Bytes of the disk that it takes less.
        saved_bytes: u64,
    },
    /// Somebody has written to the file, renamed or removed it: it may be tried again later.
    Changed,
    /// Somebody may write to the file, or the kernel reads it by itself: it may be tried again later.
    Busy,
}

impl ModelTree {
    /// Has `tell` be told the path, below the root of the source, of each file that its last writer has closed, and of
    /// whatever got another name. Files are packed from then on: the kernel does not read by itself what may be.
    pub fn tell_of_written(&self, tell: Box<dyn Fn(&Path) + Send + Sync>) {
        if let Some(changes) = &self.changes {
            // Only the first one is told.
            let _ = changes.tell.set(tell);
        }
    }

    /// Begins to pack a file; `None` if it cannot be: it is none any more, or no name is free for its archive, or it has
    /// names outside of the source.
    ///
    /// # Errors
    /// `Io` with what the system answered.
    pub fn begin_packing(&self, path: &Path) -> Result<Option<Packing>> {
        let changes = self.changes()?;
        let found = match self.source.facts(path) {
            Err(e) if is_gone(&e) => return Ok(None),
            found => found.map_err(|e| at(path, e))?,
        };
        if is_own(path) || !found.is_file() {
            return Ok(None);
        }
        let names = self.all_names(path, found.number, found.nlink);
        let names = names.map_err(|e| at(path, e))?;
        let all = usize::try_from(found.nlink).unwrap_or(usize::MAX);
        if names.len() != all {
            return Ok(None);
        }
        for name in &names {
            if !self.can_have_archive(name)? {
                return Ok(None);
            }
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        let to = changes.work.temporary(&self.source, directory);
        Ok(Some(Packing {
            from: path.to_path_buf(),
            to: to.map_err(|e| at(path, e))?,
            facts: found,
            names,
        }))
    }

    /// Opens the file to be read, if it is still what it was.
    ///
    /// # Errors
    /// `Io` with what the system answered.
    pub fn open_packing(&self, packing: &Packing) -> Result<Option<File>> {
        let path = &packing.from;
        let file = match self.source.open_file(path) {
            Err(e) if is_gone(&e) => return Ok(None),
            file => file.map_err(|e| at(path, e))?,
        };
        let now = self.source.facts_of(&file, path).map_err(|e| at(path, e))?;
        Ok((now.identity == packing.facts.identity).then_some(file))
    }

    /// Removes what was made of an archive, when whoever made it has ended.
    pub fn abandon_packing(&self, packing: Packing) {
        let source = &self.source;
        // What cannot be removed is so by the next mount.
        let _ = source.remove_file(&packing.to);
        let work = packing.to.parent().unwrap_or(Path::new(""));
        for name in source.names(work).unwrap_or_default() {
            // What is made as a whole is hidden until it is; files of our own begin otherwise.
            if name.as_encoded_bytes().starts_with(b".") {
                let _ = source.remove_file(&work.join(name));
            }
        }
    }

    /// Lets the archive that was made, whole and durable, take the file's place. Whatever comes of it, the archive is not
    /// left where it was made.
    ///
    /// # Errors
    /// `Io` with what the system answered; the file is what it was then.
    pub fn finish_packing(&self, packing: Packing) -> Result<Packed> {
        let packed = self.swap_in(&packing);
        if !matches!(packed, Ok(Packed::Swapped { .. })) {
            let _ = self.source.remove_file(&packing.to);
        }
        packed
    }

    fn swap_in(&self, packing: &Packing) -> Result<Packed> {
        let source = &self.source;
        let changes = self.changes()?;
        let _one_at_a_time = lock(&changes.converting);
        let cannot = |e: io::Error| at(&packing.from, e);
        let comes = source.facts(&packing.to).map_err(cannot)?;
        let pair = |name: &PathBuf| (path_of_archive(name), name.clone());
        let change = Change {
            temporary: &packing.to,
            names: packing.names.iter().map(pair).collect(),
            comes: comes.number,
            goes: packing.facts.number,
            links: packing.facts.nlink,
        };
        let (reader, _) = open_archive(source, &Place::Inside(packing.to.clone()))?;
        if reader.superblock().original_bytes != packing.facts.size {
            return Ok(Packed::Changed);
        }
        let file = match source.open_file(&packing.from) {
            Err(e) if is_gone(&e) => return Ok(Packed::Changed),
            file => file.map_err(cannot)?,
        };
        if is_open_for_writing(&file) {
            return Ok(Packed::Busy);
        }
        let inode = self.number(&packing.facts, &[]);
        let own = self.archives.numbers().of(packing.facts.number, &[]);
        let record = change.note(&changes.work, source).map_err(cannot)?;
        let forms = alone(&self.forms);
        let hindrance = self.hindrance(packing, &change, &file, inode);
        if let Some(hindrance) = hindrance.transpose() {
            drop(forms);
            forget(source, &record);
            return hindrance;
        }
        let outcome = change.make(source);
        let noted = match outcome.made {
            Ok(()) => self.is_archive_now(inode, own, &change.names[0].0, &packing.facts),
            Err(_) => Ok(()),
        };
        drop(forms);
        change.end(source, &record, &outcome);
        outcome.made.map_err(cannot)?;
        noted?;
        Ok(Packed::Swapped {
            saved_bytes: packing.facts.blocks.saturating_sub(comes.blocks) * 512,
        })
    }

    /// Why the archive may not take the file's place after all.
    fn hindrance(
        &self,
        packing: &Packing,
        change: &Change<'_>,
        file: &File,
        inode: Inode,
    ) -> Result<Option<Packed>> {
        let uses = self.opened.uses(inode);
        if uses.writers > 0 || uses.passed > 0 {
            return Ok(Some(Packed::Busy));
        }
        let now = self.source.facts_of(file, &packing.from);
        let now = now.map_err(|e| at(&packing.from, e))?;
        if now.identity != packing.facts.identity || !change.is_as_it_was(&self.source) {
            return Ok(Some(Packed::Changed));
        }
        Ok(is_open_for_writing(file).then_some(Packed::Busy))
    }

    /// Notes what the file is from now on.
    fn is_archive_now(
        &self,
        inode: Inode,
        former: Inode,
        archive: &Path,
        was: &Facts,
    ) -> Result<()> {
        let place = Place::Inside(archive.to_path_buf());
        let (reader, facts) = open_archive(&self.source, &place)?;
        let at = self.come_by(place, false, &facts);
        let now = self.archives.generation(&at, &facts, reader.superblock());
        self.archives.change_form(former, now);
        let attr = self.archives.attr(&self.source, &at, &facts)?;
        if let Some(node) = lock(&self.nodes).get_mut(inode) {
            node.cache_is_old = node.opened != Some(was.identity);
            node.attr = attr;
            node.what = What::Archive(at);
            node.identity = Some(facts.identity);
            node.opened = None;
        }
        Ok(())
    }

    /// True for a file that is opened to be read and is about to be packed: that the mount can let an archive take its place,
    /// the kernel must not read it by itself.
    pub(super) fn will_be_packed(&self, file: &File, access: Access) -> bool {
        let packs = self
            .changes
            .as_ref()
            .is_some_and(|changes| changes.tell.get().is_some());
        let bytes = || file.metadata().map_or(0, |meta| meta.len());
        packs
            && !access.writes
            && starts_as_model(file, bytes())
            // Whoever has mapped it past the mount's cache may write on.
            && is_written_by_lease(file) != Some(true)
    }
}

/// Whether a file of so many bytes is long enough to be packed, and starts as models do.
pub fn starts_as_model(file: &File, bytes: u64) -> bool {
    let mut first = [0; 8];
    bytes > LEAST_PACKED_BYTES
        && read_full_at(file, &mut first, 0).is_ok_and(|read| read == first.len())
        && ModelFormat::of_start(first, bytes).is_some()
}
