//! The files that are open, by handle.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::errno::errno;
use super::inode::Inode;
use super::place::Place;
use crate::error::Result;
use crate::file::VirtualFile;

/// Names an open file.
pub type Handle = u64;

/// A file that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFile {
    /// Names it in `read` and `release`.
    pub handle: Handle,
    /// True if what the kernel has cached of the file is still right.
    pub keep_cache: bool,
}

/// What is behind a handle.
#[derive(Clone)]
pub(super) enum Opened {
    /// The file an archive stands for.
    Archive(Arc<VirtualFile>),
    /// A file as it is, with its place and its inode.
    File(Arc<File>, Place, Inode),
}

impl Opened {
    /// The file of the source that is open for it.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Self::Archive(file) => file.archive().file(),
            Self::File(file, ..) => Some(file),
        }
    }

    fn inode(&self) -> Inode {
        match self {
            Self::Archive(file) => file.generation(),
            Self::File(.., inode) => *inode,
        }
    }
}

/// All of them.
pub(super) struct OpenFiles {
    table: RwLock<HashMap<Handle, Opened>>,
    next: AtomicU64,
}

impl OpenFiles {
    pub(super) fn new() -> Self {
        Self {
            table: RwLock::default(),
            next: AtomicU64::new(1),
        }
    }

    pub(super) fn insert(&self, opened: Opened) -> Handle {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.table
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle, opened);
        handle
    }

    /// # Errors
    /// EBADF if it is not open.
    pub(super) fn get(&self, handle: Handle) -> Result<Opened> {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&handle)
            .cloned()
            .ok_or_else(|| errno("no such open file", libc::EBADF))
    }

    /// What is open of an inode.
    pub(super) fn of(&self, inode: Inode) -> Option<Opened> {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .find(|opened| opened.inode() == inode)
            .cloned()
    }

    pub(super) fn remove(&self, handle: Handle) -> Option<Opened> {
        self.table
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&handle)
    }

    pub(super) fn count(&self) -> usize {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}
