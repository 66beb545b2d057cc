//! The files that are open, by handle.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, RwLock};

use super::errno::errno;
use super::inode::Inode;
use super::place::Place;
use crate::error::Result;
use crate::file::VirtualFile;
use crate::sync::{alone, together};

/// Names an open file.
pub type Handle = u64;

/// A file that was opened.
#[derive(Debug, Clone)]
pub struct OpenFile {
    /// Names it in `read` and `release`.
    pub handle: Handle,
    /// True if what the kernel has cached of the file is still right.
    pub keep_cache: bool,
    /// The file that the kernel is to read and write itself, if that is the way it is open.
    pub passed: Option<Arc<File>>,
}

/// Who reads and writes an open file. The kernel wants one way for all who have an inode open at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The mount, request by request.
    Served,
    /// The kernel, in the file below.
    Passed,
}

/// What is behind a handle.
#[derive(Clone)]
pub(super) enum Opened {
    /// The file an archive stands for, with its inode.
    Archive(Arc<VirtualFile>, Inode),
    /// A file as it is, with its place and its inode.
    File(Arc<File>, Place, Inode),
}

impl Opened {
    /// The file of the source that is open for it.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Self::Archive(file, _) => file.archive().file(),
            Self::File(file, ..) => Some(file),
        }
    }

    pub(super) const fn inode(&self) -> Inode {
        match self {
            Self::Archive(_, inode) | Self::File(.., inode) => *inode,
        }
    }
}

/// Who has an inode open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) handles: usize,
    /// Of those, the ones that may write.
    pub(super) writers: usize,
    /// Of those, the ones that the kernel serves.
    pub(super) passed: usize,
}

/// What was closed.
pub(super) struct Closed {
    pub(super) opened: Opened,
    /// It was one that may write.
    pub(super) wrote: bool,
    pub(super) way: Way,
    /// Who has its inode open still.
    pub(super) left: Uses,
}

struct Use {
    opened: Opened,
    writes: bool,
    way: Way,
}

/// An inode that is open.
#[derive(Default)]
struct OfInode {
    uses: Uses,
    handles: Vec<Handle>,
}

#[derive(Default)]
struct Table {
    files: HashMap<Handle, Use>,
    inodes: HashMap<Inode, OfInode>,
    last: Handle,
}

/// All of them.
#[derive(Default)]
pub(super) struct OpenFiles {
    table: RwLock<Table>,
}

impl OpenFiles {
    /// Adds one. It is opened in the way in which the inode is open already, else as `prefers` says.
    pub(super) fn insert(&self, opened: Opened, writes: bool, prefers: Way) -> (Handle, Way) {
        let mut table = alone(&self.table);
        table.last += 1;
        let handle = table.last;
        let inode = table.inodes.entry(opened.inode()).or_default();
        let way = match inode.uses {
            Uses { handles: 0, .. } => prefers,
            Uses { passed: 0, .. } => Way::Served,
            _ => Way::Passed,
        };
        inode.uses.add(writes, way);
        inode.handles.push(handle);
        let used = Use {
            opened,
            writes,
            way,
        };
        table.files.insert(handle, used);
        (handle, way)
    }

    /// # Errors
    /// EBADF if it is not open.
    pub(super) fn get(&self, handle: Handle) -> Result<Opened> {
        let table = together(&self.table);
        let used = table.files.get(&handle);
        used.map(|used| used.opened.clone())
            .ok_or_else(|| errno("no such open file", libc::EBADF))
    }

    /// What is open of an inode, for writing if it is for anybody.
    pub(super) fn of(&self, inode: Inode) -> Option<Opened> {
        let table = together(&self.table);
        let open = table.inodes.get(&inode)?;
        let uses = || {
            open.handles
                .iter()
                .filter_map(|handle| table.files.get(handle))
        };
        let used = match open.uses.writers {
            0 => uses().next(),
            _ => uses().find(|used| used.writes),
        };
        used.map(|used| used.opened.clone())
    }

    /// Who has an inode open.
    pub(super) fn uses(&self, inode: Inode) -> Uses {
        let table = together(&self.table);
        table
            .inodes
            .get(&inode)
            .map_or_else(Uses::default, |open| open.uses)
    }

    /// Says that the kernel does not serve a file after all.
    pub(super) fn serve(&self, handle: Handle) {
        let mut table = alone(&self.table);
        let Some(used) = table.files.get_mut(&handle) else {
            return;
        };
        if std::mem::replace(&mut used.way, Way::Served) == Way::Passed {
            let inode = used.opened.inode();
            table.inodes.entry(inode).or_default().uses.passed -= 1;
        }
    }

    /// Has all who have an inode open go on with another form of it; what they had is returned.
    pub(super) fn change_form(&self, reading: &Opened, writing: &Opened) -> Vec<Opened> {
        let mut table = alone(&self.table);
        let inode = reading.inode();
        let uses = table.files.values_mut();
        uses.filter(|used| used.opened.inode() == inode)
            .map(|used| {
                let now = if used.writes { writing } else { reading };
                std::mem::replace(&mut used.opened, now.clone())
            })
            .collect()
    }

    /// Changes where those files are that were opened by names that have changed.
    pub(super) fn moved(&self, change: impl Fn(&mut Place)) {
        let mut table = alone(&self.table);
        for used in table.files.values_mut() {
            if let Opened::File(_, place, _) = &mut used.opened {
                change(place);
            }
        }
    }

    /// Takes one out, and tells who has its inode open still.
    pub(super) fn remove(&self, handle: Handle) -> Option<Closed> {
        let mut table = alone(&self.table);
        let used = table.files.remove(&handle)?;
        let inode = used.opened.inode();
        let open = table.inodes.entry(inode).or_default();
        open.uses.take(used.writes, used.way);
        open.handles.retain(|other| *other != handle);
        let left = open.uses;
        if left.handles == 0 {
            table.inodes.remove(&inode);
        }
        Some(Closed {
            opened: used.opened,
            wrote: used.writes,
            way: used.way,
            left,
        })
    }

    pub(super) fn count(&self) -> usize {
        let table = together(&self.table);
        table.files.len()
    }
}

impl Uses {
    fn add(&mut self, writes: bool, way: Way) {
        self.handles += 1;
        self.writers += usize::from(writes);
        self.passed += usize::from(way == Way::Passed);
    }

    fn take(&mut self, writes: bool, way: Way) {
        self.handles -= 1;
        self.writers -= usize::from(writes);
        self.passed -= usize::from(way == Way::Passed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_is_open_in_one_way_at_a_time() {
        let files = OpenFiles::default();
        let file = |inode| {
            let file = tempfile::tempfile().unwrap();
            Opened::File(file.into(), Place::Inside("f".into()), inode)
        };
        let (first, way) = files.insert(file(7), true, Way::Passed);
        assert_eq!(way, Way::Passed);
        let (second, way) = files.insert(file(7), false, Way::Served);
        assert_eq!(way, Way::Passed);
        assert_eq!(files.insert(file(8), false, Way::Served).1, Way::Served);
        let all = Uses {
            handles: 2,
            writers: 1,
            passed: 2,
        };
        assert_eq!(files.uses(7), all);
        files.serve(second);
        files.serve(second);
        let Closed { wrote, left, .. } = files.remove(first).unwrap();
        let served = Uses {
            handles: 1,
            ..Uses::default()
        };
        assert_eq!((wrote, left), (true, served));
        assert_eq!(files.insert(file(7), false, Way::Passed).1, Way::Served);
        assert!(files.remove(first).is_none() && files.get(first).is_err());
    }
}
