//! The inodes the kernel knows of.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use lru::LruCache;

use super::attr::Attr;
use super::facts::Identity;
use super::inode::{Inode, ROOT_INODE};
use super::place::{ArchivePlace, Place, move_path};

/// Places of inodes the kernel forgot, some 150 bytes each.
const FORGOTTEN_KEPT: NonZeroUsize = NonZeroUsize::new(16 << 10).expect("not zero");

/// An inode the kernel knows of.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) attr: Attr,
    pub(super) what: What,
    /// The file of the source that it was found to be, and in which state.
    pub(super) identity: Option<Identity>,
    /// A plain file's state when it was opened last: while it is the same, what the kernel has
    /// cached of it is right.
    pub(super) opened: Option<Identity>,
    /// What the kernel has cached of it is of another state of the file that has become an archive.
    pub(super) cache_is_old: bool,
    /// Where it was found last, by the names of the mount.
    pub(super) path: PathBuf,
    /// How often the kernel was told of it and did not forget it yet.
    lookups: u64,
}

impl Node {
    fn moved(&mut self, from: &Path, to: &Path) {
        move_path(&mut self.path, from, to);
        match &mut self.what {
            What::Directory(path) => {
                move_path(path, from, to);
            }
            What::File(place) | What::Archive(ArchivePlace { place, .. }) => {
                place.move_to(from, to);
            }
            What::Link(_) => {}
        }
    }

    /// Where the file of the source is that it was found to be. The root is always there, and a link
    /// is nothing but its target.
    pub(super) fn place(&self) -> Option<Place> {
        match &self.what {
            What::Directory(path) => Some(Place::Inside(path.clone())),
            What::File(place) => Some(place.clone()),
            What::Archive(at) => Some(at.place.clone()),
            What::Link(_) => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Directory(PathBuf),
    File(Place),
    Archive(ArchivePlace),
    Link(PathBuf),
}

/// All of them.
#[derive(Debug)]
pub(super) struct Nodes {
    table: HashMap<Inode, Node>,
    /// Where those were that the kernel forgot: others may still know them by their numbers.
    forgotten: LruCache<Inode, PathBuf>,
}

impl Nodes {
    pub(super) fn new(root: Attr) -> Self {
        let node = Node {
            attr: root,
            what: What::Directory(PathBuf::new()),
            identity: None,
            opened: None,
            cache_is_old: false,
            path: PathBuf::new(),
            lookups: 1,
        };
        Self {
            table: HashMap::from([(ROOT_INODE, node)]),
            forgotten: LruCache::new(FORGOTTEN_KEPT),
        }
    }

    pub(super) fn get(&self, inode: Inode) -> Option<&Node> {
        self.table.get(&inode)
    }

    pub(super) fn get_mut(&mut self, inode: Inode) -> Option<&mut Node> {
        self.table.get_mut(&inode)
    }

    /// Remembers what a look found, once more.
    pub(super) fn found(
        &mut self,
        attr: Attr,
        what: What,
        path: PathBuf,
        identity: Option<Identity>,
    ) {
        let node = self.table.entry(attr.inode).or_insert(Node {
            attr,
            what: What::Directory(PathBuf::new()),
            identity: None,
            opened: None,
            cache_is_old: false,
            path: PathBuf::new(),
            lookups: 0,
        });
        node.lookups += 1;
        node.attr = attr;
        // It may have been moved since.
        node.what = what;
        if attr.inode != ROOT_INODE {
            node.path = path;
            node.identity = identity;
        }
    }

    /// Takes back `count` finds.
    pub(super) fn forget(&mut self, inode: Inode, count: u64) {
        if let Some(node) = self.table.get_mut(&inode) {
            node.lookups = node.lookups.saturating_sub(count);
            if node.lookups == 0 && inode != ROOT_INODE {
                let gone = self.table.remove(&inode);
                if let Some(gone) = gone {
                    self.forgotten.put(inode, gone.path);
                }
            }
        }
    }

    /// Notes that what was at a path of the mount, and below it, is at another one. If that is the file of one inode, which
    /// has nothing below it, the others need not be looked at.
    pub(super) fn moved(&mut self, one: Option<Inode>, from: &Path, to: &Path) {
        if let Some(one) = one {
            if let Some(node) = self.table.get_mut(&one) {
                node.moved(from, to);
            }
            return;
        }
        for node in self.table.values_mut() {
            node.moved(from, to);
        }
    }

    /// Where an inode was seen last, by the names of the mount.
    pub(super) fn seen_at(&mut self, inode: Inode) -> Option<PathBuf> {
        let known = self.table.get(&inode).map(|node| node.path.clone());
        known.or_else(|| self.forgotten.get(&inode).cloned())
    }

    /// Notes where something is that nobody asked for. False if something else is forgotten for it.
    pub(super) fn note(&mut self, inode: Inode, path: PathBuf) -> bool {
        let pushed_out = self.forgotten.push(inode, path);
        pushed_out.is_none_or(|(other, _)| other == inode)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
