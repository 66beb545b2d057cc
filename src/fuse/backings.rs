//! The files that the kernel reads and writes by itself: as long as anybody has one open, its backing is to be there, the same
//! for all.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use fuser::BackingId;

use crate::fs::{Handle, Inode};
use crate::sync::lock;

#[derive(Default)]
struct Table {
    inodes: HashMap<Inode, (Arc<BackingId>, usize)>,
    handles: HashMap<Handle, Inode>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Backings {
    /// False where the kernel does not do it, or not for this process or this file system.
    offered: AtomicBool,
    table: Mutex<Table>,
}

impl Backings {
    /// Says that the kernel does it.
    pub(super) fn offer(&self) {
        self.offered.store(true, Ordering::Relaxed);
    }

    pub(super) fn are_offered(&self) -> bool {
        self.offered.load(Ordering::Relaxed)
    }

    /// The backing of an open file; `None` if the kernel refuses, who is not asked again then.
    pub(super) fn of(
        &self,
        inode: Inode,
        handle: Handle,
        file: &File,
        make: impl FnOnce(&File) -> io::Result<BackingId>,
    ) -> Option<Arc<BackingId>> {
        let mut table = lock(&self.table);
        let backing = match table.inodes.get_mut(&inode) {
            Some((backing, users)) => {
                *users += 1;
                Arc::clone(backing)
            }
            None => match make(file) {
                Ok(backing) => {
                    let backing = Arc::new(backing);
                    table.inodes.insert(inode, (Arc::clone(&backing), 1));
                    backing
                }
                Err(error) => {
                    self.offered.store(false, Ordering::Relaxed);
                    tracing::debug!("files are not passed through: {error}");
                    return None;
                }
            },
        };
        table.handles.insert(handle, inode);
        Some(backing)
    }

    /// An open file is closed.
    pub(super) fn release(&self, handle: Handle) {
        let mut table = lock(&self.table);
        let Some(inode) = table.handles.remove(&handle) else {
            return;
        };
        if let Some((_, users)) = table.inodes.get_mut(&inode) {
            *users -= 1;
            if *users == 0 {
                table.inodes.remove(&inode);
            }
        }
    }
}
