//! The tree itself: inodes, open files, reads.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Instant;

use lru::LruCache;
use serde::Serialize;

use super::attr::{Attr, Kind};
use super::links::Place;
use super::nodes::{Inode, Node, Nodes, ROOT_INODE, What, inode_number};
use super::source::Source;
use super::view::{Shown, look, names};
use super::xattr::{self, STATS_XATTR};
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::file::cache::CacheStats;
use crate::file::{PageCache, PrefetchStats, ReadShared, ReadStats, Successor, VirtualFile};
use crate::format::Superblock;
use crate::os::{FileStamp, memory_bytes, read_full_at};
use crate::sync::lock;

/// Superblocks of archives that were looked at, so that looking at them again opens none.
const SUPERBLOCKS_KEPT: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Names an open file.
pub type Handle = u64;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
    /// Its inode.
    pub inode: Inode,
}

/// A file that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFile {
    /// Names it in `read` and `release`.
    pub handle: Handle,
    /// True if what the kernel has cached of the file is still right.
    pub keep_cache: bool,
}

/// What a mount has done since it was made.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MountStats {
    /// Time since then.
    pub seconds: f64,
    /// Files that are open.
    pub open_files: usize,
    /// Memory of the process that is its own, if the system tells.
    pub memory_bytes: Option<u64>,
    /// What was read.
    pub reads: ReadStats,
    /// What the cache of decoded blocks has done.
    pub cache: CacheStats,
    /// What was fetched ahead of readers.
    pub prefetch: PrefetchStats,
}

enum Opened {
    Archive(Arc<VirtualFile>),
    File(File),
}

/// What a mount shows. All methods may be called from many threads at once; no lock is held while
/// anything is read or decoded.
pub struct ModelTree {
    source: Source,
    shared: Arc<ReadShared>,
    nodes: Mutex<Nodes>,
    superblocks: Mutex<LruCache<FileStamp, Superblock>>,
    archives: Mutex<HashMap<Inode, Weak<VirtualFile>>>,
    opened: RwLock<HashMap<Handle, Arc<Opened>>>,
    next_handle: AtomicU64,
    /// The file that is expected to be opened next.
    expected: Mutex<Option<Arc<VirtualFile>>>,
    since: Instant,
}

impl ModelTree {
    /// The tree of a source. `cache_bytes` is the budget of decoded blocks; about as many reads at
    /// once as there are `threads` find buffers ready.
    ///
    /// # Errors
    /// `Io` if the source cannot be read.
    pub fn new(source: Source, cache_bytes: usize, threads: NonZeroUsize) -> Result<Self> {
        let meta = source
            .metadata(Path::new(""))
            .map_err(|e| Error::io("cannot read the source", e))?;
        Ok(Self {
            nodes: Mutex::new(Nodes::new(Attr::plain(ROOT_INODE, Kind::Directory, &meta))),
            source,
            shared: Arc::new(ReadShared::new(cache_bytes, threads)?),
            superblocks: Mutex::new(LruCache::new(SUPERBLOCKS_KEPT)),
            archives: Mutex::default(),
            opened: RwLock::default(),
            next_handle: AtomicU64::new(1),
            expected: Mutex::default(),
            since: Instant::now(),
        })
    }

    /// Fetches ahead of readers: what comes next in a file into the kernel's page cache, and the start
    /// of the model's next file.
    pub fn read_ahead(self: &Arc<Self>, page_cache: Option<PageCache>) {
        if let Some(page_cache) = page_cache {
            self.shared.push_into(page_cache);
        }
        let tree = Arc::downgrade(self);
        let find = move |inode| tree.upgrade()?.successor(inode);
        self.shared.find_successors(Box::new(find));
    }

    /// The source.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Looks up a name; the caller must `forget` each success once.
    ///
    /// # Errors
    /// `Io` with ENOENT if nothing is shown under it; `Corrupt` or `Unsupported` if the archive
    /// cannot be opened.
    pub fn lookup(&self, parent: Inode, name: &OsStr) -> Result<Attr> {
        let directory = self.directory(parent)?;
        let shown = look(&self.source, &directory, name)
            .map_err(|e| Error::io(format!("{}", directory.join(name).display()), e))?;
        let (attr, what) = self.describe(shown)?;
        lock(&self.nodes).found(attr, what);
        Ok(attr)
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
        let Node { attr, what, .. } = self.node(inode)?;
        let current = |kind, meta: io::Result<Metadata>| {
            let meta = meta.map_err(|e| Error::io(format!("inode {inode}"), e))?;
            if inode != ROOT_INODE && inode_number(&meta, &[]) != inode {
                return Err(stale(inode));
            }
            Ok(Attr::plain(inode, kind, &meta))
        };
        match what {
            What::Directory(path) => current(Kind::Directory, self.source.metadata(&path)),
            What::File(place) => current(Kind::File, place.metadata(&self.source)),
            // A generation does not change: what may is the owner and the permissions, as long as
            // the archive is still there.
            What::Archive(place) => Ok(place
                .metadata(&self.source)
                .map_err(|e| Error::io("archive", e))
                .and_then(|meta| self.archive_attr(&place, &meta))
                .ok()
                .filter(|now| now.inode == inode)
                .unwrap_or(attr)),
            What::Link(_) => Ok(attr),
        }
    }

    /// The attributes of an open file.
    ///
    /// # Errors
    /// As `attr`.
    pub fn open_attr(&self, inode: Inode, handle: Handle) -> Result<Attr> {
        match &*self.open_file(handle)? {
            Opened::Archive(_) => self.attr(inode),
            Opened::File(file) => {
                let meta = file.metadata().map_err(|e| Error::io("open file", e))?;
                Ok(Attr::plain(inode, Kind::File, &meta))
            }
        }
    }

    /// The target of a link.
    ///
    /// # Errors
    /// `InvalidInput` if it is no link.
    pub fn read_link(&self, inode: Inode) -> Result<PathBuf> {
        match self.node(inode)?.what {
            What::Link(target) => Ok(target),
            _ => Err(Error::InvalidInput(format!("inode {inode} is no link"))),
        }
    }

    /// What a directory shows, sorted by name, without `.` and `..`. An archive that cannot be
    /// opened is listed; looking at it tells why it cannot.
    ///
    /// # Errors
    /// `Io` if the directory cannot be read.
    pub fn read_directory(&self, inode: Inode) -> Result<Vec<DirEntry>> {
        let directory = self.directory(inode)?;
        let names = names(&self.source, &directory)
            .map_err(|e| Error::io(format!("{}", directory.display()), e))?;
        let entry = |name: OsString| {
            let shown = look(&self.source, &directory, &name).ok()?;
            let damaged = match &shown {
                Shown::Archive { meta, .. } => inode_number(meta, b"damaged"),
                _ => 0,
            };
            let (kind, inode) = self
                .describe(shown)
                .map_or((Kind::File, damaged), |(attr, _)| (attr.kind, attr.inode));
            Some(DirEntry { name, kind, inode })
        };
        Ok(names.into_iter().filter_map(entry).collect())
    }

    /// Opens a file for reading; the caller must `release` it.
    ///
    /// # Errors
    /// `Io` with ESTALE if it is not there any more as it was looked up.
    pub fn open(&self, inode: Inode) -> Result<OpenFile> {
        let (opened, keep_cache) = match self.node(inode)?.what {
            What::Archive(place) => (Opened::Archive(self.open_archive(inode, &place)?), true),
            What::File(place) => {
                let (file, stamp) = self.open_plain(inode, &place)?;
                let mut nodes = lock(&self.nodes);
                let before = nodes
                    .get_mut(inode)
                    .and_then(|node| node.opened.replace(stamp));
                (Opened::File(file), before == Some(stamp))
            }
            What::Directory(_) => return Err(errno("open", libc::EISDIR)),
            What::Link(_) => return Err(errno("open", libc::ELOOP)),
        };
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
        self.opened
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle, Arc::new(opened));
        Ok(OpenFile { handle, keep_cache })
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
        let read = match &*self.open_file(handle)? {
            Opened::Archive(file) => file.read(offset, len, direct, reply),
            Opened::File(file) => self.shared.with_buffer(len, |buffer| {
                let read = read_full_at(file, buffer, offset)
                    .map_err(|e| Error::io("cannot read a file of the source", e))?;
                Ok(reply(&buffer[..read]))
            }),
        };
        if read.is_err() {
            self.shared.count(None);
        }
        read
    }

    /// The names of the extended attributes of an inode.
    ///
    /// # Errors
    /// `Io` with ESTALE if it is gone.
    pub fn xattr_names(&self, inode: Inode) -> Result<Vec<&'static str>> {
        Ok(match self.node(inode)?.what {
            What::Archive(_) => xattr::OF_ARCHIVES.to_vec(),
            _ if inode == ROOT_INODE => vec![STATS_XATTR],
            _ => Vec::new(),
        })
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// `Io` with ENODATA if there is none of that name, or as `open`.
    pub fn xattr(&self, inode: Inode, name: &OsStr) -> Result<Vec<u8>> {
        let missing = || errno("no such attribute", libc::ENODATA);
        match self.node(inode)?.what {
            What::Archive(place) if xattr::OF_ARCHIVES.iter().any(|known| name == *known) => {
                let archive = self.open_archive(inode, &place)?;
                xattr::of_archive(archive.archive(), name).ok_or_else(missing)
            }
            _ if inode == ROOT_INODE && name == STATS_XATTR => {
                serde_json::to_vec(&self.stats()).map_err(|_| missing())
            }
            _ => Err(missing()),
        }
    }

    /// What the mount has done so far.
    pub fn stats(&self) -> MountStats {
        MountStats {
            seconds: self.since.elapsed().as_secs_f64(),
            memory_bytes: memory_bytes("RssAnon").ok(),
            open_files: self
                .opened
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .len(),
            reads: self.shared.read_stats(),
            cache: self.shared.cache_stats(),
            prefetch: self.shared.prefetch_stats(),
        }
    }

    /// Closes an open file.
    pub fn release(&self, handle: Handle) {
        let closed = self
            .opened
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&handle);
        let Some(Opened::Archive(file)) = closed.as_deref() else {
            return;
        };
        let generation = file.generation();
        drop(closed);
        // What was expected has come and gone.
        let gone = lock(&self.expected).take_if(|file| file.generation() == generation);
        drop(gone);
        let mut archives = lock(&self.archives);
        if archives
            .get(&generation)
            .is_some_and(|file| file.strong_count() == 0)
        {
            archives.remove(&generation);
        }
    }

    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.opened
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    fn node(&self, inode: Inode) -> Result<Node> {
        lock(&self.nodes)
            .get(inode)
            .cloned()
            .ok_or_else(|| stale(inode))
    }

    fn directory(&self, inode: Inode) -> Result<PathBuf> {
        match self.node(inode)?.what {
            What::Directory(path) => Ok(path),
            _ => Err(errno("not a directory", libc::ENOTDIR)),
        }
    }

    fn open_file(&self, handle: Handle) -> Result<Arc<Opened>> {
        self.opened
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&handle)
            .cloned()
            .ok_or_else(|| errno("no such open file", libc::EBADF))
    }

    /// Attributes and place of what a look found.
    fn describe(&self, shown: Shown) -> Result<(Attr, What)> {
        let plain = |kind, meta: &Metadata| Attr::plain(inode_number(meta, &[]), kind, meta);
        Ok(match shown {
            Shown::Directory { path, meta } => {
                (plain(Kind::Directory, &meta), What::Directory(path))
            }
            Shown::File { place, meta } => (plain(Kind::File, &meta), What::File(place)),
            Shown::Archive { place, meta } => {
                (self.archive_attr(&place, &meta)?, What::Archive(place))
            }
            Shown::Link { target, meta } => {
                // Hard links to one symbolic link may lead to other places.
                let inode = inode_number(&meta, target.as_os_str().as_bytes());
                let mut attr = Attr::plain(inode, Kind::Link, &meta);
                attr.size = target.as_os_str().len() as u64;
                (attr, What::Link(target))
            }
        })
    }

    fn archive_attr(&self, place: &Place, meta: &Metadata) -> Result<Attr> {
        let stamp = FileStamp::from_metadata(meta);
        let known = lock(&self.superblocks).get(&stamp).copied();
        let superblock = match known {
            Some(superblock) => superblock,
            None => {
                let (reader, now) = self.open_reader(place)?;
                let superblock = *reader.superblock();
                lock(&self.superblocks).put(FileStamp::from_metadata(&now), superblock);
                superblock
            }
        };
        let inode = inode_number(meta, &superblock.encode());
        Ok(Attr::archived(inode, &superblock, meta))
    }

    fn open_reader(&self, place: &Place) -> Result<(ArchiveReader, Metadata)> {
        let path = match place {
            Place::Inside(path) => self.source.path().join(path),
            Place::Outside(path) => path.clone(),
        };
        let open = || {
            let file = place.open_file(&self.source)?;
            let meta = file.metadata()?;
            Ok((file, meta))
        };
        let (file, meta) =
            open().map_err(|e| Error::io(format!("cannot open {}", path.display()), e))?;
        if !meta.is_file() {
            return Err(Error::InvalidInput(format!(
                "{} is not a regular file any more",
                path.display()
            )));
        }
        Ok((ArchiveReader::from_file(&file, &path)?, meta))
    }

    /// The file of an archive, shared by all who have it open.
    fn open_archive(&self, inode: Inode, place: &Place) -> Result<Arc<VirtualFile>> {
        let known = lock(&self.archives).get(&inode).and_then(Weak::upgrade);
        if let Some(file) = known {
            return Ok(file);
        }
        let (reader, meta) = self.open_reader(place)?;
        if inode_number(&meta, &reader.superblock().encode()) != inode {
            // Replaced since it was looked up: the kernel looks again.
            return Err(stale(inode));
        }
        let file = Arc::new(VirtualFile::new(reader, inode, Arc::clone(&self.shared)));
        let mut archives = lock(&self.archives);
        // Those that were still being decoded ahead when they were closed.
        archives.retain(|_, file| file.strong_count() > 0);
        if let Some(first) = archives.get(&inode).and_then(Weak::upgrade) {
            // Somebody else has opened it meanwhile.
            return Ok(first);
        }
        archives.insert(inode, Arc::downgrade(&file));
        drop(archives);
        Ok(file)
    }

    /// The next file of the model that an archive is a part of.
    fn successor(&self, inode: Inode) -> Option<Successor> {
        let What::Archive(Place::Inside(path)) = self.node(inode).ok()?.what else {
            return None;
        };
        let next = next_shard(Path::new(path.file_stem()?))?;
        let shown = look(&self.source, path.parent()?, next.as_ref()).ok()?;
        let (attr, what) = self.describe(shown).ok()?;
        let What::Archive(place) = what else {
            return None;
        };
        let file = self.open_archive(attr.inode, &place).ok()?;
        let before = lock(&self.expected).replace(Arc::clone(&file));
        drop(before);
        Some(Successor {
            file,
            is_known: self.node(attr.inode).is_ok(),
        })
    }

    fn open_plain(&self, inode: Inode, place: &Place) -> Result<(File, FileStamp)> {
        let cannot = |e| Error::io(format!("cannot open {}", place.path().display()), e);
        let file = place.open_file(&self.source).map_err(cannot)?;
        let meta = file.metadata().map_err(cannot)?;
        if !meta.is_file() || inode_number(&meta, &[]) != inode {
            return Err(stale(inode));
        }
        Ok((file, FileStamp::from_metadata(&meta)))
    }

    #[cfg(test)]
    pub(super) fn known_archives(&self) -> usize {
        lock(&self.archives).len()
    }

    #[cfg(test)]
    pub(super) fn known_inodes(&self) -> usize {
        lock(&self.nodes).len()
    }
}

/// The name of the part behind `NAME-00001-of-00002.safetensors`, if that is not the last one.
fn next_shard(name: &Path) -> Option<String> {
    let (before, total) = name.to_str()?.rsplit_once("-of-")?;
    let (name, number) = before.rsplit_once('-')?;
    let next = number.parse::<u32>().ok()?.checked_add(1)?;
    let last: String = total.chars().take_while(char::is_ascii_digit).collect();
    (next <= last.parse().ok()?)
        .then(|| format!("{name}-{next:0width$}-of-{total}", width = number.len()))
}

fn stale(inode: Inode) -> Error {
    errno(&format!("inode {inode} is gone"), libc::ESTALE)
}

fn errno(what: &str, errno: i32) -> Error {
    Error::io(what, io::Error::from_raw_os_error(errno))
}
