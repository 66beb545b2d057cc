//! Finds inodes again by their numbers alone.
//!
//! The kernel forgets inodes; who holds a handle of a file (NFS, `open_by_handle_at`) does not, and may come
//! with a number that this mount never told anybody. Where it was seen last is looked at first. Else the tree
//! is searched: numbers are the same in every mount, so what exists is found.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::attr::Attr;
use super::errno::stale;
use super::facts::Kind;
use super::in_vain::InVain;
use super::inode::{Inode, ROOT_INODE};
use super::model_tree::ModelTree;
use super::nodes::What;
use super::view::list;
use crate::error::{Error, Result};
use crate::sync::lock;

impl ModelTree {
    /// Looks up an inode by its number, as `lookup` does.
    pub(super) fn find_again(&self, inode: Inode) -> Result<Attr> {
        if inode == ROOT_INODE {
            return self.find_parent(&PathBuf::new());
        }
        if let Some(attr) = self.look_where_seen(inode) {
            return Ok(attr);
        }
        // Where half of the threads are at it already, the others are for those who read.
        let _searcher = self.searchers.join().ok_or_else(|| stale(inode))?;
        // One search at a time: who waits for it finds what it has seen.
        let mut in_vain = lock(&self.searched_in_vain);
        if let Some(attr) = self.look_where_seen(inode) {
            return Ok(attr);
        }
        if in_vain
            .as_ref()
            .is_some_and(|search| search.is_believed_of(inode))
        {
            return Err(stale(inode));
        }
        let started = Instant::now();
        let (path, all_noted) = self.search_for(inode);
        *in_vain = path
            .is_none()
            .then(|| InVain::since(started, inode, all_noted));
        path.and_then(|path| self.look_at(inode, path))
            .ok_or_else(|| stale(inode))
    }

    /// Looks up the directory that a directory of the source is in; of the root, that is the root.
    pub(super) fn find_parent(&self, directory: &Path) -> Result<Attr> {
        let parent = directory.parent().unwrap_or(directory);
        if parent.file_name().is_none() {
            let attr = self.attr(ROOT_INODE)?;
            lock(&self.nodes).found(attr, What::Directory(PathBuf::new()), PathBuf::new(), None);
            return Ok(attr);
        }
        let (facts, described) = self
            .look_closely(parent)
            .map_err(|e| Error::io(parent.display().to_string(), e))?;
        let (attr, what) = described?;
        lock(&self.nodes).found(attr, what, parent.to_path_buf(), Some(facts.identity));
        Ok(attr)
    }

    fn look_where_seen(&self, inode: Inode) -> Option<Attr> {
        let path = lock(&self.nodes).seen_at(inode)?;
        self.look_at(inode, path)
    }

    fn look_at(&self, inode: Inode, path: PathBuf) -> Option<Attr> {
        path.file_name()?;
        let (facts, described) = self.look_closely(&path).ok()?;
        let (attr, what) = described.ok()?;
        if attr.inode != inode {
            return None;
        }
        lock(&self.nodes).found(attr, what, path, Some(facts.identity));
        Some(attr)
    }

    /// Where an inode is, and whether all was noted that was seen until it was found.
    fn search_for(&self, inode: Inode) -> (Option<PathBuf>, bool) {
        let mut all_noted = true;
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            // What cannot be read is not found.
            for listed in list(&self.source, &directory).unwrap_or_default().names {
                let path = directory.join(&listed.name);
                let Ok((_, Ok((attr, _)))) = self.look_closely(&path) else {
                    continue;
                };
                if attr.inode == inode {
                    return (Some(path), all_noted);
                }
                if attr.kind == Kind::Directory {
                    directories.push(path.clone());
                }
                all_noted &= lock(&self.nodes).note(attr.inode, path);
            }
        }
        (None, all_noted)
    }
}
