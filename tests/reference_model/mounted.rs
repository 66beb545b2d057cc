//! The two ways to ask for what is shown: the tree, in this process and without a kernel, and a mount.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use weightfs::fs::{Attr, Handle, Inode, ModelTree, ROOT_INODE};

use super::expected::{Kind, Stat};

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: OsString,
    pub kind: Kind,
    pub inode: u64,
}

/// Paths are relative to the root of the mount, and none but the last of their names may be a link
/// (`read_through` follows). Errors are errnos.
pub trait Mounted {
    type Open;

    fn stat(&mut self, path: &Path) -> Result<(u64, Stat), i32>;
    fn list(&mut self, path: &Path) -> Result<Vec<Listed>, i32>;
    fn read_link(&mut self, path: &Path) -> Result<PathBuf, i32>;
    fn open(&mut self, path: &Path) -> Result<Self::Open, i32>;
    fn stat_open(&mut self, open: &Self::Open) -> Result<(u64, Stat), i32>;
    fn read(&mut self, open: &Self::Open, offset: u64, len: usize) -> Result<Vec<u8>, i32>;
    fn close(&mut self, open: Self::Open);
    fn xattr_names(&mut self, path: &Path) -> Result<Vec<OsString>, i32>;
    fn xattr(&mut self, path: &Path, name: &str) -> Result<Vec<u8>, i32>;
    /// The bytes of the file that a path leads to.
    fn read_through(&mut self, path: &Path) -> Result<Vec<u8>, i32>;
    /// The names in the directory that a path leads to.
    fn list_through(&mut self, path: &Path) -> Result<Vec<OsString>, i32>;
    /// The bytes of a file by the number of an inode that was seen once; `None` if nobody but the
    /// kernel can ask in this way.
    fn read_inode(&mut self, inode: u64) -> Option<Result<Vec<u8>, i32>>;
    /// The path by which the kernel knows the mount, if it does.
    fn mountpoint(&self) -> Option<&Path>;
}

/// The tree in this process. It is asked as the kernel would, and told to forget now and then.
pub struct InProcess {
    pub tree: ModelTree,
    pub mountpoint: PathBuf,
    lookups: HashMap<Inode, u64>,
}

impl InProcess {
    pub fn new(tree: ModelTree, mountpoint: &Path) -> Self {
        Self {
            tree,
            mountpoint: mountpoint.to_path_buf(),
            lookups: HashMap::new(),
        }
    }

    /// What the kernel does when it needs memory.
    pub fn forget_all(&mut self) {
        for (inode, count) in self.lookups.drain() {
            self.tree.forget(inode, count);
        }
    }

    fn find(&mut self, path: &Path) -> Result<Attr, i32> {
        let mut attr = self.tree.attr(ROOT_INODE).map_err(|e| e.errno())?;
        for name in path {
            attr = self.tree.lookup(attr.inode, name).map_err(|e| e.errno())?;
            *self.lookups.entry(attr.inode).or_default() += 1;
        }
        Ok(attr)
    }

    /// Follows links as the kernel does: to a path in the mount, or to one outside.
    fn resolve(&mut self, path: &Path) -> Result<Result<PathBuf, PathBuf>, i32> {
        let mut at = PathBuf::new();
        let mut rest: Vec<OsString> = path.iter().rev().map(OsStr::to_owned).collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            let on_from = |at: &Path| {
                at.iter()
                    .chain(rest.iter().rev().map(OsString::as_os_str))
                    .collect::<PathBuf>()
            };
            if name == "." {
                continue;
            }
            if name == ".." {
                if at.pop() {
                    continue;
                }
                let above = self.mountpoint.parent().unwrap();
                return Ok(Err(on_from(above)));
            }
            let next = at.join(&name);
            let attr = self.find(&next)?;
            if attr.kind != weightfs::fs::Kind::Link {
                if !rest.is_empty() && attr.kind == weightfs::fs::Kind::File {
                    return Err(libc::ENOTDIR);
                }
                at = next;
                continue;
            }
            links += 1;
            if links > 40 {
                return Err(libc::ELOOP);
            }
            let target = self.tree.read_link(attr.inode).map_err(|e| e.errno())?;
            if target.is_absolute() {
                return Ok(Err(on_from(&target)));
            }
            for component in target.components().rev() {
                if component != Component::CurDir {
                    rest.push(component.as_os_str().to_owned());
                }
            }
        }
        Ok(Ok(at))
    }
}

fn stat_of(attr: &Attr) -> (u64, Stat) {
    let kind = kind_of(attr.kind);
    let ctime = attr.ctime.duration_since(UNIX_EPOCH).unwrap();
    let stat = Stat {
        kind,
        size: attr.size,
        blocks: attr.blocks,
        mtime: attr.mtime,
        ctime: (ctime.as_secs() as i64, i64::from(ctime.subsec_nanos())),
        mode: attr.mode.into(),
        nlink: attr.nlink.into(),
        uid: attr.uid,
        gid: attr.gid,
    };
    (attr.inode, stat)
}

fn kind_of(kind: weightfs::fs::Kind) -> Kind {
    match kind {
        weightfs::fs::Kind::Directory => Kind::Directory,
        weightfs::fs::Kind::File => Kind::File,
        weightfs::fs::Kind::Link => Kind::Link,
        other => unreachable!("{other:?} is not shown where nothing is written"),
    }
}

impl Mounted for InProcess {
    type Open = (Inode, Handle);

    fn stat(&mut self, path: &Path) -> Result<(u64, Stat), i32> {
        let found = self.find(path)?;
        let now = self.tree.attr(found.inode).map_err(|e| e.errno())?;
        // Nothing has changed since, so the inode tells the same.
        assert_eq!(now, found, "{path:?}");
        Ok(stat_of(&found))
    }

    fn list(&mut self, path: &Path) -> Result<Vec<Listed>, i32> {
        let inode = self.find(path)?.inode;
        let mut entries = Vec::new();
        for listed in self.tree.list(inode).map_err(|e| e.errno())?.names {
            let entry = self
                .tree
                .entry(inode, &listed.name)
                .map_err(|e| e.errno())?;
            entries.extend(entry.map(|entry| Listed {
                name: listed.name,
                kind: kind_of(entry.kind),
                inode: entry.inode,
            }));
        }
        Ok(entries)
    }

    fn read_link(&mut self, path: &Path) -> Result<PathBuf, i32> {
        let inode = self.find(path)?.inode;
        self.tree.read_link(inode).map_err(|e| e.errno())
    }

    fn open(&mut self, path: &Path) -> Result<Self::Open, i32> {
        let inode = self.find(path)?.inode;
        let opened = self.tree.open(inode).map_err(|e| e.errno())?;
        Ok((inode, opened.handle))
    }

    fn stat_open(&mut self, &(inode, handle): &Self::Open) -> Result<(u64, Stat), i32> {
        let attr = self.tree.open_attr(inode, handle).map_err(|e| e.errno())?;
        Ok(stat_of(&attr))
    }

    fn read(&mut self, open: &Self::Open, offset: u64, len: usize) -> Result<Vec<u8>, i32> {
        self.tree
            .read(open.1, offset, len, len.is_multiple_of(7), <[u8]>::to_vec)
            .map_err(|e| e.errno())
    }

    fn close(&mut self, open: Self::Open) {
        self.tree.release(open.1);
    }

    fn xattr_names(&mut self, path: &Path) -> Result<Vec<OsString>, i32> {
        let inode = self.find(path)?.inode;
        self.tree.xattr_names(inode).map_err(|e| e.errno())
    }

    fn xattr(&mut self, path: &Path, name: &str) -> Result<Vec<u8>, i32> {
        let inode = self.find(path)?.inode;
        self.tree.xattr(inode, name.as_ref()).map_err(|e| e.errno())
    }

    fn read_through(&mut self, path: &Path) -> Result<Vec<u8>, i32> {
        let path = match self.resolve(path)? {
            Ok(path) => path,
            Err(outside) => return read(&outside),
        };
        let open = self.open(&path)?;
        let read = self.read(&open, 0, 1 << 20);
        self.close(open);
        read
    }

    fn list_through(&mut self, path: &Path) -> Result<Vec<OsString>, i32> {
        match self.resolve(path)? {
            Ok(path) => Ok(self.list(&path)?.into_iter().map(|e| e.name).collect()),
            Err(outside) => names(&outside),
        }
    }

    fn read_inode(&mut self, inode: u64) -> Option<Result<Vec<u8>, i32>> {
        if !self.lookups.contains_key(&inode) {
            // The kernel asks for none that it has forgotten.
            return Some(Err(libc::ESTALE));
        }
        let read = || {
            let handle = self.tree.open(inode)?.handle;
            let read = self.tree.read(handle, 0, 1 << 20, false, <[u8]>::to_vec);
            self.tree.release(handle);
            read
        };
        Some(read().map_err(|e| e.errno()))
    }

    fn mountpoint(&self) -> Option<&Path> {
        None
    }
}

/// A mount.
pub struct ThroughKernel {
    pub mountpoint: PathBuf,
}

fn errno(e: &io::Error) -> i32 {
    e.raw_os_error().unwrap_or(0)
}

fn read(path: &Path) -> Result<Vec<u8>, i32> {
    use std::io::Read;
    // A FIFO would be waited for.
    let mut options = File::options();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    let mut file = options.open(path).map_err(|e| errno(&e))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| errno(&e))?;
    Ok(bytes)
}

fn names(path: &Path) -> Result<Vec<OsString>, i32> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| errno(&e))? {
        names.push(entry.map_err(|e| errno(&e))?.file_name());
    }
    names.sort();
    Ok(names)
}

fn stat(meta: &fs::Metadata) -> (u64, Stat) {
    assert_eq!(meta.blksize(), 4096);
    assert_eq!(meta.accessed().unwrap(), meta.modified().unwrap());
    (meta.ino(), Stat::of(meta))
}

impl Mounted for ThroughKernel {
    type Open = File;

    fn stat(&mut self, path: &Path) -> Result<(u64, Stat), i32> {
        let meta = self.mountpoint.join(path).symlink_metadata();
        Ok(stat(&meta.map_err(|e| errno(&e))?))
    }

    fn list(&mut self, path: &Path) -> Result<Vec<Listed>, i32> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(self.mountpoint.join(path)).map_err(|e| errno(&e))? {
            let entry = entry.map_err(|e| errno(&e))?;
            // Told by the entry itself.
            let kind = entry.file_type().map_err(|e| errno(&e))?;
            listed.push(Listed {
                name: entry.file_name(),
                kind: if kind.is_dir() {
                    Kind::Directory
                } else if kind.is_symlink() {
                    Kind::Link
                } else {
                    Kind::File
                },
                inode: entry.ino(),
            });
        }
        Ok(listed)
    }

    fn read_link(&mut self, path: &Path) -> Result<PathBuf, i32> {
        self.mountpoint
            .join(path)
            .read_link()
            .map_err(|e| errno(&e))
    }

    fn open(&mut self, path: &Path) -> Result<File, i32> {
        File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.mountpoint.join(path))
            .map_err(|e| errno(&e))
    }

    fn stat_open(&mut self, open: &File) -> Result<(u64, Stat), i32> {
        Ok(stat(&open.metadata().map_err(|e| errno(&e))?))
    }

    fn read(&mut self, open: &File, offset: u64, len: usize) -> Result<Vec<u8>, i32> {
        let mut bytes = vec![0; len];
        // No short reads but at the end.
        let read = open.read_at(&mut bytes, offset).map_err(|e| errno(&e))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn close(&mut self, open: File) {
        drop(open);
    }

    fn xattr_names(&mut self, path: &Path) -> Result<Vec<OsString>, i32> {
        let mut buffer = [0; 4096];
        let path = self.mountpoint.join(path);
        let len = rustix::fs::llistxattr(path, &mut buffer[..]).map_err(|e| e.raw_os_error())?;
        let names = buffer[..len].split_inclusive(|byte| *byte == 0);
        Ok(names
            .map(|name| OsString::from_vec(name.strip_suffix(b"\0").unwrap().to_vec()))
            .collect())
    }

    fn xattr(&mut self, path: &Path, name: &str) -> Result<Vec<u8>, i32> {
        let mut buffer = [0; 4096];
        let path = self.mountpoint.join(path);
        let len =
            rustix::fs::lgetxattr(path, name, &mut buffer[..]).map_err(|e| e.raw_os_error())?;
        Ok(buffer[..len].to_vec())
    }

    fn read_through(&mut self, path: &Path) -> Result<Vec<u8>, i32> {
        read(&self.mountpoint.join(path))
    }

    fn list_through(&mut self, path: &Path) -> Result<Vec<OsString>, i32> {
        names(&self.mountpoint.join(path))
    }

    fn read_inode(&mut self, _: u64) -> Option<Result<Vec<u8>, i32>> {
        None
    }

    fn mountpoint(&self) -> Option<&Path> {
        Some(&self.mountpoint)
    }
}

/// The text of a name, as it can be printed.
pub fn printed(name: &OsStr) -> String {
    name.as_bytes().escape_ascii().to_string()
}
