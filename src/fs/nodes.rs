//! The inodes the kernel knows of.

use std::collections::HashMap;
use std::path::PathBuf;

use super::attr::Attr;
use super::facts::Identity;
use super::inode::{Inode, ROOT_INODE};
use super::place::Place;

/// An inode the kernel knows of.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) attr: Attr,
    pub(super) what: What,
    /// The path of the source under whose name it was found last.
    pub(super) name: PathBuf,
    /// The file of the source that it was found to be, and in which state.
    pub(super) identity: Option<Identity>,
    /// A plain file's state when it was opened last: while it is the same, what the kernel has
    /// cached of it is right.
    pub(super) opened: Option<Identity>,
    /// How often the kernel was told of it and did not forget it yet.
    lookups: u64,
}

impl Node {
    /// Where the file of the source is that it was found to be. The root is always there, and a link
    /// is nothing but its target.
    pub(super) fn place(&self) -> Option<Place> {
        match &self.what {
            What::Directory(path) => Some(Place::Inside(path.clone())),
            What::File(place) | What::Archive(place) => Some(place.clone()),
            What::Link(_) => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Directory(PathBuf),
    File(Place),
    Archive(Place),
    Link(PathBuf),
}

/// All of them.
#[derive(Debug)]
pub(super) struct Nodes {
    table: HashMap<Inode, Node>,
}

impl Nodes {
    pub(super) fn new(root: Attr) -> Self {
        let node = Node {
            attr: root,
            what: What::Directory(PathBuf::new()),
            name: PathBuf::new(),
            identity: None,
            opened: None,
            lookups: 1,
        };
        Self {
            table: HashMap::from([(ROOT_INODE, node)]),
        }
    }

    pub(super) fn get(&self, inode: Inode) -> Option<&Node> {
        self.table.get(&inode)
    }

    pub(super) fn get_mut(&mut self, inode: Inode) -> Option<&mut Node> {
        self.table.get_mut(&inode)
    }

    /// Remembers what a look found, once more.
    pub(super) fn found(&mut self, attr: Attr, what: What, name: PathBuf, identity: Identity) {
        let node = self.table.entry(attr.inode).or_insert(Node {
            attr,
            what: What::Directory(PathBuf::new()),
            name: PathBuf::new(),
            identity: None,
            opened: None,
            lookups: 0,
        });
        node.lookups += 1;
        node.attr = attr;
        // It may have been moved since.
        node.what = what;
        node.name = name;
        node.identity = Some(identity);
    }

    /// Takes back `count` finds.
    pub(super) fn forget(&mut self, inode: Inode, count: u64) {
        if let Some(node) = self.table.get_mut(&inode) {
            node.lookups = node.lookups.saturating_sub(count);
            if node.lookups == 0 && inode != ROOT_INODE {
                self.table.remove(&inode);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
