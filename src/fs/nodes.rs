//! The inodes the kernel knows of.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::attr::Attr;
use super::links::Place;
use crate::format::checksum;
use crate::os::FileStamp;

/// Number of an inode.
///
/// It is made of the device and inode of what is shown and, for an archive, of its superblock: the
/// same in each mount, another one for another generation of the archive.
pub type Inode = u64;

/// The root of the mount.
pub const ROOT_INODE: Inode = 1;

/// Makes the number of an inode.
pub(super) fn inode_number(meta: &Metadata, generation: &[u8]) -> Inode {
    let mut identity = Vec::with_capacity(16 + generation.len());
    identity.extend_from_slice(&meta.dev().to_le_bytes());
    identity.extend_from_slice(&meta.ino().to_le_bytes());
    identity.extend_from_slice(generation);
    // Programs keep inode numbers in signed integers; 0 and 1 have a meaning of their own.
    (checksum(&identity) >> 1).max(ROOT_INODE + 1)
}

/// An inode the kernel knows of.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) attr: Attr,
    pub(super) what: What,
    /// A plain file's state when it was opened last: while it is the same, what the kernel has
    /// cached of it is right.
    pub(super) opened: Option<FileStamp>,
    /// How often the kernel was told of it and did not forget it yet.
    lookups: u64,
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
    pub(super) fn found(&mut self, attr: Attr, what: What) {
        let node = self.table.entry(attr.inode).or_insert(Node {
            attr,
            what: What::Directory(PathBuf::new()),
            opened: None,
            lookups: 0,
        });
        node.lookups += 1;
        node.attr = attr;
        // It may have been moved since.
        node.what = what;
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
