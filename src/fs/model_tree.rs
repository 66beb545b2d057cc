//! The tree itself: lookups, attributes, directories, reads.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use super::archives::Archives;
use super::attr::Attr;
use super::bases::OtherBases;
use super::errno::{errno, stale};
use super::facts::{Facts, Kind};
use super::in_vain::{InVain, Searchers};
use super::inode::{Inode, Numbers, ROOT_INODE};
use super::known_names::KnownNames;
use super::lately::{Found, Lately};
use super::nodes::{Node, Nodes, What};
use super::open_files::{Handle, OpenFile, OpenFiles, Opened, Way};
use super::place::{ArchivePlace, Place};
use super::source::Source;
use super::statistics::{MountStats, PackingStats};
use super::view::{MAX_LOOKS, Shown};
use super::writing::Changes;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::file::{ReadShared, ReadStats, VirtualFile};
use crate::os::{memory_bytes, read_full_at};
use crate::sync::{lock, together};

/// What a mount shows. All methods may be called from many threads at once; no lock that a reader
/// waits for is held while anything is read or decoded.
pub struct ModelTree {
    pub(super) source: Source,
    pub(super) shared: Arc<ReadShared>,
    pub(super) archives: Archives,
    pub(super) nodes: Mutex<Nodes>,
    pub(super) searchers: Searchers,
    /// What a search by number has seen of late; locked while one goes on, for which `searchers` alone wait.
    pub(super) searched_in_vain: Mutex<Option<InVain>>,
    /// True if the kernel asks for access lists and decides by them.
    pub(super) lists_are_asked_for: AtomicBool,
    pub(super) opened: OpenFiles,
    pub(super) lately: Lately,
    pub(super) known_names: KnownNames,
    /// Held by those who look for what a name stands for, and alone by who gives a file another form or name in more
    /// than one step. Nothing is decoded meanwhile, and whoever reads an open file does not wait for it.
    pub(super) forms: RwLock<()>,
    /// What a mount has that is written to.
    pub(super) changes: Option<Changes>,
    since: Instant,
    source_changed: AtomicBool,
    packing: Mutex<Option<PackingStats>>,
}

impl ModelTree {
    /// The tree of a source. `cache_bytes` is the budget of decoded blocks; about as many reads at
    /// once as there are `threads` find buffers ready.
    ///
    /// # Errors
    /// `Io` if the source cannot be read.
    pub fn new(source: Source, cache_bytes: usize, threads: NonZeroUsize) -> Result<Self> {
        let facts = source
            .facts(Path::new(""))
            .map_err(|e| Error::io("cannot read the source", e))?;
        Ok(Self {
            nodes: Mutex::new(Nodes::new(Attr::plain(ROOT_INODE, Kind::Directory, &facts))),
            source,
            shared: Arc::new(ReadShared::new(cache_bytes, threads)),
            searchers: Searchers::of(threads),
            searched_in_vain: Mutex::default(),
            lists_are_asked_for: AtomicBool::new(true),
            archives: Archives::new(Numbers::default()),
            opened: OpenFiles::default(),
            lately: Lately::new(),
            known_names: KnownNames::new(),
            forms: RwLock::default(),
            changes: None,
            since: Instant::now(),
            source_changed: AtomicBool::new(false),
            packing: Mutex::default(),
        })
    }

    /// Has all inode numbers fit 32 bits, for programs of old that know no others. To be said before anything
    /// is looked up.
    pub fn number_in_32_bits(&mut self) {
        self.archives = Archives::new(Numbers::narrow());
    }

    /// Has files of lossy archives not be read. To be said before anything is looked up.
    pub fn refuse_lossy(&mut self) {
        self.archives.refuse_lossy();
    }

    /// Says for how long the kernel believes what it is told of names. To be said before anything is looked up.
    pub fn names_are_believed_for(&mut self, ttl: Duration) {
        self.source.believe_for(ttl);
    }

    /// Has bases of archives be looked for in some directories as well. To be said before anything is looked up, and
    /// before the mount is there.
    ///
    /// # Errors
    /// `Io` if one of them cannot be read.
    pub fn look_for_bases_in(&mut self, directories: &[PathBuf]) -> Result<()> {
        let others = OtherBases::find(directories, &self.source)?;
        self.archives.look_for_bases_in(others);
        Ok(())
    }

    /// Has the source be written to. To be said before anything is looked up, and before the mount is there.
    ///
    /// # Errors
    /// `InvalidInput` if the source is one archive, `Environment` if another mount writes to it, `Io` if it cannot be
    /// written.
    pub fn write_to_source(&mut self) -> Result<()> {
        self.source.set_writable()?;
        self.changes = Some(Changes::begin(&self.source)?);
        let facts = self.source.facts(Path::new(""));
        let facts = facts.map_err(|e| Error::io("cannot read the source", e))?;
        let root = Attr::plain(ROOT_INODE, Kind::Directory, &facts);
        self.nodes = Mutex::new(Nodes::new(root));
        Ok(())
    }

    /// Has no file take another form or name in two steps as long as this lives.
    pub(super) fn no_change_of_form(&self) -> RwLockReadGuard<'_, ()> {
        together(&self.forms)
    }

    /// The source.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Looks up a name; the caller must `forget` each success once. `.` is the inode itself, also if it was
    /// forgotten, and `..` the directory that it is in.
    ///
    /// # Errors
    /// `Io` with ENOENT if nothing is shown under it; `Corrupt` or `Unsupported` if the archive
    /// cannot be opened.
    pub fn lookup(&self, parent: Inode, name: &OsStr) -> Result<Attr> {
        self.let_go();
        if name == "." {
            return self.find_again(parent);
        }
        if name == ".." {
            return self.find_parent(&self.directory(parent)?);
        }
        for _ in 0..MAX_LOOKS {
            // What is found is noted by a path that still is its own.
            let _forms = self.no_change_of_form();
            let path = self.path_in(parent, name)?;
            let (facts, described) = self
                .look_meanwhile(&path)
                .map_err(|e| Error::io(format!("{}", path.display()), e))?;
            let (attr, what) = described?;
            if self.keep_for_questions(attr.inode, &what, &facts) {
                self.tell(parent, name, (attr, what), path, &facts);
                return Ok(attr);
            }
        }
        Err(errno("the name changes all the time", libc::ESTALE))
    }

    /// Notes that the kernel is told what is under a name.
    pub(super) fn tell(
        &self,
        parent: Inode,
        name: &OsStr,
        (attr, what): (Attr, What),
        path: PathBuf,
        facts: &Facts,
    ) {
        if matches!(what, What::Directory(_) | What::File(_)) {
            let file = facts.identity.file;
            self.known_names
                .note(parent, name, file, attr.kind, attr.inode);
        }
        lock(&self.nodes).found(attr, what, path, Some(facts.identity));
    }

    /// Takes back `count` successes of `lookup`.
    pub fn forget(&self, inode: Inode, count: u64) {
        lock(&self.nodes).forget(inode, count);
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    /// `Io` with ESTALE if it is gone or is something else now.
    pub fn attr(&self, inode: Inode) -> Result<Attr> {
        // It is where it is known to be; who holds it by a descriptor cannot look again.
        let _forms = self.no_change_of_form();
        let node = self.node(inode)?;
        let current = |kind, place: &Place| {
            let facts = place
                .facts(&self.source)
                .map_err(|e| Error::io(format!("inode {inode}"), e))?;
            if inode != ROOT_INODE && self.number(&facts, &[]) != inode {
                return Err(stale(inode));
            }
            let kind = facts.kind.unwrap_or(kind);
            let now = Attr::plain(inode, kind, &facts);
            let now = self.permitted(now, place, false, &facts)?;
            self.told(inode, |attr| *attr = now);
            Ok(now)
        };
        match &node.what {
            What::Directory(path) => current(Kind::Directory, &Place::Inside(path.clone())),
            // The kernel asks in this way for open files too, which need not have their name any more.
            What::File(place) => match self.opened.of(inode) {
                Some(Opened::File(file, ..)) => {
                    let now = self.open_file_attr(inode, &file, place)?;
                    self.told(inode, |attr| *attr = now);
                    Ok(now)
                }
                _ => current(Kind::File, place).or_else(|gone| {
                    let opened = self.kept_open(inode).ok_or(gone)?;
                    let file = opened.file().ok_or_else(|| stale(inode))?;
                    self.open_file_attr(inode, file, place)
                }),
            },
            // A generation does not change: what may is the owner and the permissions, as long as
            // the archive is still there.
            What::Archive(at) => {
                let now = |facts: Facts| {
                    let attr = self.archives.attr(&self.source, at, &facts).ok()?;
                    if attr.inode != inode {
                        return None;
                    }
                    self.permitted(attr, &at.place, at.by_link, &facts).ok()
                };
                let facts = at.place.facts(&self.source).ok();
                match facts.and_then(now) {
                    None if self.changes.is_some() => self.open_archive_attr(inode, at),
                    now => Ok(now.unwrap_or(node.attr)),
                }
            }
            // It has no place, and may have got other names and owners.
            What::Link(_) if self.changes.is_some() => {
                let now = self.look_meanwhile(&node.path).ok();
                let now = now.and_then(|(_, described)| Some(described.ok()?.0));
                now.filter(|now| now.inode == inode)
                    .ok_or_else(|| stale(inode))
            }
            What::Link(_) => Ok(node.attr),
        }
        .map_err(|error| self.stale_if_replaced(inode, &node, error))
    }

    /// The attributes of an open file.
    ///
    /// # Errors
    /// As `attr`.
    pub fn open_attr(&self, inode: Inode, handle: Handle) -> Result<Attr> {
        match self.opened.get(handle)? {
            Opened::Archive(..) => self.attr(inode),
            Opened::File(file, place, _) => self.open_file_attr(inode, &file, &place),
        }
    }

    /// The target of a link.
    ///
    /// # Errors
    /// `InvalidInput` if it is no link, `Io` with ESTALE if its name is that of something else now.
    pub fn read_link(&self, inode: Inode) -> Result<PathBuf> {
        let node = self.node(inode)?;
        let What::Link(target) = node.what else {
            return Err(Error::InvalidInput(format!("inode {inode} is no link")));
        };
        if self.lately.get(inode).is_some() {
            return Ok(target);
        }
        // One that led out to a file is that file once it is an archive.
        let now = match self.look_closely(&node.path) {
            Ok((_, described)) => described.map(|(attr, _)| attr.inode).ok(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(inode),
        };
        if now == Some(inode) {
            return Ok(target);
        }
        self.lately.name_changed();
        Err(stale(inode))
    }

    /// Opens a file for reading; the caller must `release` it.
    ///
    /// # Errors
    /// `Io` with ESTALE if it is not there any more as it was looked up.
    pub fn open(&self, inode: Inode) -> Result<OpenFile> {
        self.let_go();
        let node = self.node(inode)?;
        let opened = match &node.what {
            What::Archive(at) => self
                .open_archive(inode, at)
                .map(|file| Opened::Archive(file, inode)),
            What::File(place) => match self.open_plain(inode, place) {
                Ok(file) => Ok(self.as_the_kernel_knows_it(file, place, &node)?),
                Err(error) => Err(error),
            },
            What::Directory(_) => return Err(errno("open", libc::EISDIR)),
            What::Link(_) => return Err(errno("open", libc::ELOOP)),
        };
        let opened = opened.or_else(|error| match self.lately.get(inode) {
            Some(Found::File(opened)) => Ok(opened),
            _ => Err(self.stale_if_replaced(inode, &node, error)),
        })?;
        let keep_cache = match &opened {
            Opened::Archive(..) => true,
            Opened::File(file, place, _) => {
                let facts = place
                    .facts_of(&self.source, file)
                    .map_err(|e| Error::io("open file", e))?;
                let identity = facts.identity;
                let mut nodes = lock(&self.nodes);
                let before = nodes
                    .get_mut(inode)
                    .and_then(|node| node.opened.replace(identity));
                before == Some(identity)
            }
        };
        let (handle, _) = self.opened.insert(opened, false, Way::Served);
        Ok(OpenFile {
            handle,
            keep_cache,
            passed: None,
        })
    }

    /// Passes `len` bytes from `offset` of an open file on to `reply`, fewer only where it ends.
    /// `direct` is true for a reader that goes past the page cache.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if a byte cannot be had; `reply` is not called then.
    pub fn read<R>(
        &self,
        handle: Handle,
        offset: u64,
        len: usize,
        direct: bool,
        reply: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let reply = |bytes: &[u8]| {
            // Before whoever reads can ask for it.
            self.shared.count(Some(bytes.len()));
            reply(bytes)
        };
        let read = match self.opened.get(handle)? {
            Opened::Archive(file, _) => file.read(offset, len, direct, reply),
            Opened::File(file, ..) => self.shared.with_buffer(len, |buffer| {
                let read = read_full_at(&file, buffer, offset)
                    .map_err(|e| Error::io("cannot read a file of the source", e))?;
                Ok(reply(&buffer[..read]))
            }),
        };
        if read.is_err() {
            self.shared.count(None);
        }
        read
    }

    /// What the mount has done so far.
    pub fn stats(&self) -> MountStats {
        let is_lossy = |archive: &ArchiveReader| archive.superblock().lossy.is_some();
        let lacks_base = |archive: &ArchiveReader| !archive.has_its_bases();
        self.let_go();
        MountStats {
            seconds: self.since.elapsed().as_secs_f64(),
            memory_bytes: memory_bytes("RssAnon").ok(),
            open_files: self.opened.count(),
            open_lossy_files: self.archives.open_count_of(is_lossy),
            open_files_without_base: self.archives.open_count_of(lacks_base),
            source_changed: self.source_changed.load(Ordering::Relaxed),
            reads: self.read_stats(),
            cache: self.shared.cache_stats(),
            prefetch: self.shared.prefetch_stats(),
            packing: lock(&self.packing).clone(),
        }
    }

    /// What was read so far.
    pub fn read_stats(&self) -> ReadStats {
        self.shared.read_stats()
    }

    /// Notes what was packed behind those who wrote it.
    pub fn set_packing(&self, stats: PackingStats) {
        *lock(&self.packing) = Some(stats);
    }

    /// Notes whether SRC names something else now than what is shown.
    pub fn set_source_changed(&self, changed: bool) {
        self.source_changed.store(changed, Ordering::Relaxed);
    }

    /// Closes an open file.
    pub fn release(&self, handle: Handle) {
        let Some(closed) = self.opened.remove(handle) else {
            return;
        };
        if closed.wrote && closed.left.writers == 0 {
            self.written(&closed);
        }
        self.close(closed.opened);
    }

    pub(super) fn close(&self, opened: Opened) {
        if let Opened::Archive(file, inode) = opened {
            self.archives.close(file, inode);
        }
    }

    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.opened.count()
    }

    #[cfg(test)]
    pub(super) fn known_archives(&self) -> usize {
        self.archives.open_count()
    }

    #[cfg(test)]
    pub(super) fn known_inodes(&self) -> usize {
        lock(&self.nodes).len()
    }

    pub(super) fn node(&self, inode: Inode) -> Result<Node> {
        lock(&self.nodes)
            .get(inode)
            .cloned()
            .ok_or_else(|| stale(inode))
    }

    /// Notes what the kernel knows of an inode from now on.
    pub(super) fn told(&self, inode: Inode, change: impl FnOnce(&mut Attr)) {
        if let Some(node) = lock(&self.nodes).get_mut(inode) {
            change(&mut node.attr);
        }
    }

    pub(super) fn directory(&self, inode: Inode) -> Result<PathBuf> {
        let nodes = lock(&self.nodes);
        match &nodes.get(inode).ok_or_else(|| stale(inode))?.what {
            What::Directory(path) => Ok(path.clone()),
            _ => Err(errno("not a directory", libc::ENOTDIR)),
        }
    }

    /// The path of a name in a directory. It holds as long as nothing is renamed.
    ///
    /// # Errors
    /// ESTALE if by that path there is another directory by now, which the kernel has not asked whether the caller may change.
    pub(super) fn path_in(&self, parent: Inode, name: &OsStr) -> Result<PathBuf> {
        let directory = self.directory(parent)?;
        if self.source.is_for_all_users() && parent != ROOT_INODE {
            let is_it = |facts: Facts| self.number(&facts, &[]) == parent;
            if !self.source.facts(&directory).is_ok_and(is_it) {
                return Err(stale(parent));
            }
        }
        self.reach(parent, &directory);
        Ok(directory.join(name))
    }

    /// Has names be looked for in the directory that the kernel means, or else in the one that its path leads to now.
    pub(super) fn reach(&self, inode: Inode, directory: &Path) {
        if inode == ROOT_INODE {
            return;
        }
        let reached = self.source.facts_of_reached(directory);
        if reached.is_some_and(|facts| self.number(&facts, &[]) != inode) {
            self.source.forget_reached(directory);
        }
    }

    /// Attributes and place of what a look found.
    pub(super) fn describe(&self, shown: Shown) -> Result<(Attr, What)> {
        let plain = |kind, place: &Place, facts: &Facts| {
            let attr = Attr::plain(self.number(facts, &[]), kind, facts);
            self.permitted(attr, place, false, facts)
        };
        Ok(match shown {
            Shown::Directory { path, facts } => {
                let place = Place::Inside(path);
                let attr = plain(Kind::Directory, &place, &facts)?;
                (attr, What::Directory(place.into_path()))
            }
            Shown::File { place, facts } => {
                let kind = facts.kind.unwrap_or(Kind::File);
                (plain(kind, &place, &facts)?, What::File(place))
            }
            Shown::Archive {
                place,
                facts,
                by_link,
            } => {
                let at = self.come_by(place, by_link, &facts);
                let attr = self.archives.attr(&self.source, &at, &facts)?;
                let attr = self.permitted(attr, &at.place, by_link, &facts)?;
                (attr, What::Archive(at))
            }
            Shown::Link { target, facts } => {
                // Hard links to one symbolic link may lead to other places.
                let inode = self.number(&facts, target.as_os_str().as_bytes());
                let mut attr = Attr::plain(inode, Kind::Link, &facts);
                attr.size = target.as_os_str().len() as u64;
                (attr, What::Link(target))
            }
        })
    }

    pub(super) fn open_archive(&self, inode: Inode, at: &ArchivePlace) -> Result<Arc<VirtualFile>> {
        self.archives.open(&self.source, at, inode, &self.shared)
    }

    pub(super) fn open_plain(&self, inode: Inode, place: &Place) -> Result<File> {
        let cannot = |e| Error::io(format!("cannot open {}", place.path().display()), e);
        let file = place.open_file(&self.source).map_err(cannot)?;
        let facts = place.facts_of(&self.source, &file).map_err(cannot)?;
        if !facts.is_file() || self.number(&facts, &[]) != inode {
            return Err(stale(inode));
        }
        Ok(file)
    }

    /// The attributes of a file that was open at a place, and need not be there any more.
    pub(super) fn open_file_attr(&self, inode: Inode, file: &File, place: &Place) -> Result<Attr> {
        let facts = place
            .facts_of(&self.source, file)
            .map_err(|e| Error::io("open file", e))?;
        let kind = facts.kind.unwrap_or(Kind::File);
        let attr = Attr::plain(inode, kind, &facts);
        self.permitted_open(attr, file, place, &facts)
    }

    /// The attributes of the file of an archive that was at a place, and that somebody has open.
    fn open_archive_attr(&self, inode: Inode, at: &ArchivePlace) -> Result<Attr> {
        let Some(Opened::Archive(file, _)) = self.kept_open(inode) else {
            return Err(stale(inode));
        };
        let below = file.archive().file().ok_or_else(|| stale(inode))?;
        let facts = at.place.facts_of(&self.source, below);
        let facts = facts.map_err(|e| Error::io("open file", e))?;
        let archive = file.archive();
        let attr = Attr::archived(inode, archive.superblock(), archive.modified(), &facts);
        self.permitted_open(attr, below, &at.place, &facts)
    }

    pub(super) fn number(&self, facts: &Facts, generation: &[u8]) -> Inode {
        let numbers = self.archives.numbers();
        numbers.shown(numbers.of(facts.number, generation))
    }
}
