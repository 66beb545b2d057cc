//! The tree itself: lookups, attributes, directories, reads.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::archives::Archives;
use super::attr::Attr;
use super::errno::{errno, stale};
use super::facts::{Facts, Identity, Kind};
use super::inode::{Inode, ROOT_INODE, inode_number};
use super::nodes::{Node, Nodes, What};
use super::open_files::{Handle, OpenFile, OpenFiles, Opened};
use super::place::Place;
use super::source::{Source, local};
use super::statistics::MountStats;
use super::view::{Shown, look, names};
use super::xattr::{self, STATS_XATTR};
use crate::error::{Error, Result};
use crate::file::{ReadShared, VirtualFile};
use crate::os::{memory_bytes, read_full_at};
use crate::sync::lock;

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

/// What a mount shows. All methods may be called from many threads at once; no lock is held while
/// anything is read or decoded.
pub struct ModelTree {
    pub(super) source: Source,
    pub(super) shared: Arc<ReadShared>,
    pub(super) archives: Archives,
    nodes: Mutex<Nodes>,
    opened: OpenFiles,
    since: Instant,
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
            archives: Archives::new(),
            opened: OpenFiles::new(),
            since: Instant::now(),
        })
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
        let current = |kind, facts: io::Result<Facts>| {
            let facts = facts.map_err(|e| Error::io(format!("inode {inode}"), e))?;
            if inode != ROOT_INODE && inode_number(facts.identity.file, &[]) != inode {
                return Err(stale(inode));
            }
            Ok(Attr::plain(inode, kind, &facts))
        };
        match what {
            What::Directory(path) => current(Kind::Directory, self.source.facts(&path)),
            // The kernel asks in this way for open files too, which need not have their name any more.
            What::File(place) => current(Kind::File, place.facts(&self.source)).or_else(|gone| {
                let file = self.opened.file_of(inode).ok_or(gone)?;
                open_file_attr(inode, &file)
            }),
            // A generation does not change: what may is the owner and the permissions, as long as
            // the archive is still there.
            What::Archive(place) => Ok(place
                .facts(&self.source)
                .map_err(|e| Error::io("archive", e))
                .and_then(|facts| self.archives.attr(&self.source, &place, &facts))
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
        match self.opened.get(handle)? {
            Opened::Archive(_) => self.attr(inode),
            Opened::File(file, _) => open_file_attr(inode, &file),
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
                Shown::Archive { facts, .. } => inode_number(facts.identity.file, b"damaged"),
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
                let (file, identity) = self.open_plain(inode, &place)?;
                let mut nodes = lock(&self.nodes);
                let before = nodes
                    .get_mut(inode)
                    .and_then(|node| node.opened.replace(identity));
                (
                    Opened::File(Arc::new(file), inode),
                    before == Some(identity),
                )
            }
            What::Directory(_) => return Err(errno("open", libc::EISDIR)),
            What::Link(_) => return Err(errno("open", libc::ELOOP)),
        };
        let handle = self.opened.insert(opened);
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
        let read = match self.opened.get(handle)? {
            Opened::Archive(file) => file.read(offset, len, direct, reply),
            Opened::File(file, _) => self.shared.with_buffer(len, |buffer| {
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
                // Where it is now: who has it open may know it by another name.
                let path = place.full_path(&self.source);
                xattr::of_archive(archive.archive(), &path, name).ok_or_else(missing)
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
            open_files: self.opened.count(),
            reads: self.shared.read_stats(),
            cache: self.shared.cache_stats(),
            prefetch: self.shared.prefetch_stats(),
        }
    }

    /// Closes an open file.
    pub fn release(&self, handle: Handle) {
        if let Some(Opened::Archive(file)) = self.opened.remove(handle) {
            self.archives.close(file);
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

    fn directory(&self, inode: Inode) -> Result<PathBuf> {
        match self.node(inode)?.what {
            What::Directory(path) => Ok(path),
            _ => Err(errno("not a directory", libc::ENOTDIR)),
        }
    }

    /// Attributes and place of what a look found.
    pub(super) fn describe(&self, shown: Shown) -> Result<(Attr, What)> {
        let plain = |kind, facts: &Facts| {
            let inode = inode_number(facts.identity.file, &[]);
            Attr::plain(inode, kind, facts)
        };
        Ok(match shown {
            Shown::Directory { path, facts } => {
                (plain(Kind::Directory, &facts), What::Directory(path))
            }
            Shown::File { place, facts } => (plain(Kind::File, &facts), What::File(place)),
            Shown::Archive { place, facts } => {
                let attr = self.archives.attr(&self.source, &place, &facts)?;
                (attr, What::Archive(place))
            }
            Shown::Link { target, facts } => {
                // Hard links to one symbolic link may lead to other places.
                let inode = inode_number(facts.identity.file, target.as_os_str().as_bytes());
                let mut attr = Attr::plain(inode, Kind::Link, &facts);
                attr.size = target.as_os_str().len() as u64;
                (attr, What::Link(target))
            }
        })
    }

    pub(super) fn open_archive(&self, inode: Inode, place: &Place) -> Result<Arc<VirtualFile>> {
        self.archives.open(&self.source, place, inode, &self.shared)
    }

    fn open_plain(&self, inode: Inode, place: &Place) -> Result<(File, Identity)> {
        let cannot = |e| Error::io(format!("cannot open {}", place.path().display()), e);
        let file = place.open_file(&self.source).map_err(cannot)?;
        let facts = local::facts_of(&file).map_err(cannot)?;
        if !facts.is_file() || inode_number(facts.identity.file, &[]) != inode {
            return Err(stale(inode));
        }
        Ok((file, facts.identity))
    }
}

fn open_file_attr(inode: Inode, file: &File) -> Result<Attr> {
    let facts = local::facts_of(file).map_err(|e| Error::io("open file", e))?;
    Ok(Attr::plain(inode, Kind::File, &facts))
}
