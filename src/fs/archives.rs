//! The archives of a mount: what was learnt of them when they were looked at, and those that are open.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use lru::LruCache;

use super::attr::Attr;
use super::bases::{OtherBases, find_base};
use super::errno::{errno, stale};
use super::facts::{Facts, Identity};
use super::inode::{Inode, Numbers};
use super::open_archive::open_archive;
use super::place::ArchivePlace;
use super::source::Source;
use crate::archive::{ArchiveReader, Base, MissingBase};
use crate::error::Result;
use crate::file::{ReadShared, VirtualFile};
use crate::format::{BaseRecord, FidelitySummary, Superblock};
use crate::sync::lock;

/// Superblocks of archives that were looked at, so that looking at them again opens none.
const SUPERBLOCKS_KEPT: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// All of them. No lock is held while an archive is opened.
pub(super) struct Archives {
    numbers: Numbers,
    /// With the time of last modification.
    superblocks: Mutex<LruCache<Identity, (Superblock, SystemTime)>>,
    open: Mutex<HashMap<Inode, Weak<VirtualFile>>>,
    /// The file that is expected to be opened next.
    expected: Mutex<Option<Arc<VirtualFile>>>,
    /// Whether lossy archives are not to be read.
    refuses_lossy: bool,
    /// Where bases are, beside the source.
    other_bases: OtherBases,
    /// Those that are told to be lossy, or to lack a base, already.
    told: Mutex<LruCache<Inode, ()>>,
}

impl Archives {
    pub(super) fn new(numbers: Numbers) -> Self {
        Self {
            numbers,
            superblocks: Mutex::new(LruCache::new(SUPERBLOCKS_KEPT)),
            open: Mutex::default(),
            expected: Mutex::default(),
            refuses_lossy: false,
            other_bases: OtherBases::default(),
            told: Mutex::new(LruCache::new(SUPERBLOCKS_KEPT)),
        }
    }

    /// Has files of lossy archives be there, and not be read.
    pub(super) fn refuse_lossy(&mut self) {
        self.refuses_lossy = true;
    }

    /// Has bases be looked for elsewhere as well.
    pub(super) fn look_for_bases_in(&mut self, others: OtherBases) {
        self.other_bases = others;
    }

    /// Says of a lossy archive that it is one, once; or refuses it.
    fn look_at_fidelity(&self, reader: &ArchiveReader, inode: Inode) -> Result<()> {
        if reader.superblock().lossy.is_none() {
            return Ok(());
        }
        if self.refuses_lossy {
            let path = reader.path().display();
            tracing::warn!("{path} is lossy and is not read (--refuse-lossy)");
            return Err(errno("the archive is lossy", libc::EACCES));
        }
        if lock(&self.told).put(inode, ()).is_none() {
            let fidelity = reader.fidelity().unwrap_or_default();
            let summary = FidelitySummary::of(&fidelity)
                .map_or_else(String::new, |summary| format!(": {summary}"));
            tracing::warn!(
                "{} is lossy; what is read is not what it was made from{summary}",
                reader.path().display()
            );
        }
        Ok(())
    }

    /// The number of an inode that is no archive's, or none that can be opened.
    pub(super) const fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The attributes of the file that an archive stands for.
    ///
    /// # Errors
    /// ESTALE if the archive is not the one any more that the facts are of; else as `open_archive`.
    pub(super) fn attr(&self, source: &Source, at: &ArchivePlace, facts: &Facts) -> Result<Attr> {
        let known = lock(&self.superblocks).get(&facts.identity).copied();
        let (superblock, modified) = match known {
            Some(known) => known,
            None => {
                let (reader, now) = open_archive(source, &at.place)?;
                let known = (*reader.superblock(), reader.modified());
                lock(&self.superblocks).put(now.identity, known);
                if now.identity != facts.identity {
                    // The size of one and the owner of another would be those of neither.
                    return Err(errno("the archive was replaced", libc::ESTALE));
                }
                known
            }
        };
        let inode = self.numbers.shown(self.generation(at, facts, &superblock));
        Ok(Attr::archived(inode, &superblock, modified, facts))
    }

    /// The file that an archive stands for, shared by all who have it open.
    ///
    /// # Errors
    /// ESTALE if the archive was replaced since it was looked up; else as `open_archive`.
    pub(super) fn open(
        &self,
        source: &Source,
        at: &ArchivePlace,
        inode: Inode,
        shared: &Arc<ReadShared>,
    ) -> Result<Arc<VirtualFile>> {
        let known = lock(&self.open).get(&inode).and_then(Weak::upgrade);
        // What it rests on may have come back.
        if let Some(file) = known.filter(|file| file.archive().has_its_bases()) {
            return Ok(file);
        }
        let (mut reader, facts) = open_archive(source, &at.place)?;
        let generation = self.generation(at, &facts, reader.superblock());
        if self.numbers.shown(generation) != inode {
            // The kernel looks again.
            return Err(stale(inode));
        }
        self.look_at_fidelity(&reader, inode)?;
        let bases = self.bases(source, (at, &facts), &reader, shared)?;
        reader.rest_on(bases);
        self.opened(reader, (inode, generation), shared)
            .ok_or_else(|| stale(inode))
    }

    /// Shares what was opened with whoever opens it next; somebody else may have opened it meanwhile. `None` if the file
    /// has another form by now.
    fn opened(
        &self,
        reader: ArchiveReader,
        (inode, generation): (Inode, Inode),
        shared: &Arc<ReadShared>,
    ) -> Option<Arc<VirtualFile>> {
        let file = Arc::new(VirtualFile::new(reader, generation, Arc::clone(shared)));
        let mut open = lock(&self.open);
        if self.numbers.shown(generation) != inode {
            return None;
        }
        // Those that were still being decoded ahead when they were closed.
        open.retain(|_, file| file.strong_count() > 0);
        let first = open.get(&inode).and_then(Weak::upgrade);
        if let Some(first) = first.filter(|file| file.archive().has_its_bases()) {
            return Some(first);
        }
        open.insert(inode, Arc::downgrade(&file));
        Some(file)
    }

    /// A base is shared too, unless it is open under this number in a former form.
    fn opened_base(
        &self,
        base: ArchiveReader,
        generation: Inode,
        shared: &Arc<ReadShared>,
    ) -> Arc<VirtualFile> {
        let file = Arc::new(VirtualFile::new(base, generation, Arc::clone(shared)));
        let mut open = lock(&self.open);
        open.retain(|_, file| file.strong_count() > 0);
        let inode = self.numbers.shown(generation);
        match open.get(&inode).and_then(Weak::upgrade) {
            Some(first) if first.generation() == generation => first,
            Some(_) => file,
            None => {
                open.insert(inode, Arc::downgrade(&file));
                file
            }
        }
    }

    /// What an archive rests on, opened as files of the mount are, and in the same cache.
    fn bases(
        &self,
        source: &Source,
        (at, facts): (&ArchivePlace, &Facts),
        reader: &ArchiveReader,
        shared: &Arc<ReadShared>,
    ) -> Result<Vec<Arc<dyn Base>>> {
        let records = reader.base_records()?;
        let mut all_missing = Vec::new();
        let open = |record: &BaseRecord| -> Arc<dyn Base> {
            let found = find_base(source, (at, facts.uid), record, &self.other_bases);
            let (base, facts, place) = match found {
                Ok(found) => found,
                Err(hindrances) => {
                    let path = at.place.full_path(source);
                    let directory = path.parent().unwrap_or(&path);
                    let others = self.other_bases.count();
                    let missing = MissingBase::new(record, directory, others, &hindrances);
                    all_missing.push(Arc::clone(&missing));
                    return missing;
                }
            };
            let place = ArchivePlace {
                place,
                by_link: false,
                way: Vec::new(),
            };
            let generation = self.generation(&place, &facts, base.superblock());
            let known = lock(&self.open)
                .get(&self.numbers.shown(generation))
                .and_then(Weak::upgrade)
                .filter(|file| file.generation() == generation);
            known.unwrap_or_else(|| self.opened_base(base, generation, shared))
        };
        let bases = records.iter().map(open).collect();
        // There may be thousands.
        if let Some(first) = all_missing.first()
            && lock(&self.told)
                .put(self.generation(at, facts, reader.superblock()), ())
                .is_none()
        {
            let path = at.place.full_path(source);
            let others = all_missing.len() - 1;
            tracing::warn!(
                "{}: {}; others missing: {others}",
                path.display(),
                first.what()
            );
        }
        Ok(bases)
    }

    /// Keeps a file open that is expected to be opened next, in place of the one of before.
    pub(super) fn expect(&self, file: &Arc<VirtualFile>) {
        let before = lock(&self.expected).replace(Arc::clone(file));
        drop(before);
    }

    /// Takes back what `open` gave to one who had it open.
    pub(super) fn close(&self, file: Arc<VirtualFile>, inode: Inode) {
        let generation = file.generation();
        drop(file);
        // What was expected has come and gone.
        let gone = lock(&self.expected).take_if(|file| file.generation() == generation);
        drop(gone);
        let mut open = lock(&self.open);
        if open
            .get(&inode)
            .is_some_and(|file| file.strong_count() == 0)
        {
            open.remove(&inode);
        }
    }

    /// Has a file keep its number in a new form, and whoever opens it from now on open that one.
    pub(super) fn change_form(&self, former: Inode, now: Inode) {
        let mut open = lock(&self.open);
        open.remove(&self.numbers.shown(former));
        self.numbers.keep(former, now);
    }

    /// The inode of the file an archive stands for, which names the archive's generation; the kernel may know it by that
    /// of a form that it had before.
    pub(super) fn generation(
        &self,
        at: &ArchivePlace,
        facts: &Facts,
        superblock: &Superblock,
    ) -> Inode {
        let mut generation = superblock.encode().to_vec();
        generation.extend_from_slice(&at.way);
        self.numbers.of(facts.number, &generation)
    }

    /// How many of the files that are open are such that `is_one` holds.
    pub(super) fn open_count_of(&self, is_one: impl Fn(&ArchiveReader) -> bool) -> usize {
        let files: Vec<_> = lock(&self.open)
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        let archives = files.iter().map(|file| file.archive());
        archives.filter(|archive| is_one(archive)).count()
    }

    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        lock(&self.open).len()
    }
}
