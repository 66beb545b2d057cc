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

    /// A file as it is that is open, by its inode.
    pub(super) fn file_of(&self, inode: Inode) -> Option<Arc<File>> {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .find_map(|opened| match opened {
                Opened::File(file, _, known) if *known == inode => Some(Arc::clone(file)),
                _ => None,
            })
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
