//! What a mount must show of the source, told from the source alone, in the simplest way there is: by
//! asking the system where links lead, and by the bytes that archives were made of.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::source::{Original, Source, without_suffix};

/// As many links behind each other as are followed.
const MAX_LINKS: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File,
    Link,
}

/// Attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub kind: Kind,
    pub size: u64,
    pub blocks: u64,
    pub mtime: SystemTime,
    pub ctime: (i64, i64),
    pub mode: u32,
    pub nlink: u64,
    pub uid: u32,
    pub gid: u32,
}

impl Stat {
    pub fn of(meta: &Metadata) -> Self {
        Self {
            kind: if meta.is_dir() {
                Kind::Directory
            } else if meta.is_symlink() {
                Kind::Link
            } else {
                Kind::File
            },
            size: meta.size(),
            blocks: meta.blocks(),
            mtime: meta.modified().unwrap(),
            ctime: (meta.ctime(), meta.ctime_nsec()),
            mode: meta.mode() & 0o7777,
            nlink: meta.nlink(),
            uid: meta.uid(),
            gid: meta.gid(),
        }
    }
}

/// What stands under a name.
#[derive(Debug, Clone)]
pub enum Shown {
    /// What is at this path, as it is: a directory or a file.
    AsIs(PathBuf),
    /// The file that this archive stands for.
    Archive(PathBuf, usize, Arc<Original>),
    /// A file that has an archive's name and is none.
    Damaged,
    /// The link at this path, with this target.
    Link(PathBuf, PathBuf),
}

impl Shown {
    pub fn kind(&self) -> Kind {
        match self {
            Self::AsIs(path) if path.symlink_metadata().unwrap().is_dir() => Kind::Directory,
            Self::Link(..) => Kind::Link,
            _ => Kind::File,
        }
    }

    /// Its attributes, or the error that looking at it gives.
    pub fn stat(&self) -> Result<Stat, i32> {
        let of = |path: &Path| Stat::of(&path.symlink_metadata().unwrap());
        match self {
            Self::AsIs(path) => Ok(of(path)),
            Self::Damaged => Err(libc::EIO),
            Self::Archive(path, _, original) => Ok(Stat {
                size: original.bytes.len() as u64,
                mtime: original.mtime,
                ..of(path)
            }),
            Self::Link(path, target) => Ok(Stat {
                size: target.as_os_str().len() as u64,
                ..of(path)
            }),
        }
    }

    /// The bytes of a file.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::AsIs(path) => fs::read(path).ok(),
            Self::Archive(_, _, original) => Some(original.bytes.clone()),
            Self::Damaged | Self::Link(..) => None,
        }
    }

    /// What has the same inode number whenever it is seen, and nothing else has it.
    pub fn identity(&self) -> Option<(u64, u64, Vec<u8>)> {
        let of = |path: &Path, more: &[u8]| {
            let meta = path.symlink_metadata().unwrap();
            Some((meta.dev(), meta.ino(), more.to_vec()))
        };
        match self {
            Self::AsIs(path) => of(path, b""),
            Self::Archive(path, number, _) => of(path, format!("archive {number}").as_bytes()),
            Self::Link(path, target) => of(path, &[b"to ", target.as_os_str().as_bytes()].concat()),
            Self::Damaged => None,
        }
    }
}

/// What a directory, relative to the source, shows.
pub fn listing(source: &Source, directory: &Path) -> BTreeMap<OsString, Shown> {
    let mut shown = BTreeMap::new();
    for entry in fs::read_dir(source.path.join(directory)).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let original = without_suffix(path.clone());
        let alone = original != path && original.symlink_metadata().is_err();
        let what = if meta.is_symlink() {
            link(source, directory, &path)
        } else if alone && meta.is_file() {
            archive(source, path.clone())
        } else if meta.is_file() || meta.is_dir() {
            Shown::AsIs(path.clone())
        } else {
            // FIFOs and sockets are not shown.
            continue;
        };
        let leads_to_archive = || exact_end(source, &path).is_some_and(|end| is_archive(&end));
        let hidden = alone && (meta.is_file() || (meta.is_symlink() && leads_to_archive()));
        let name = if hidden { &original } else { &path };
        shown.insert(name.file_name().unwrap().to_owned(), what);
    }
    shown
}

/// What is shown under a name.
pub fn lookup(source: &Source, directory: &Path, name: &OsStr) -> Result<Shown, i32> {
    if name.len() > 255 {
        return Err(libc::ENAMETOOLONG);
    }
    let mut listing = listing(source, directory);
    listing.remove(name).ok_or(libc::ENOENT)
}

fn archive(source: &Source, path: PathBuf) -> Shown {
    let bytes = fs::read(&path).unwrap();
    match source.original(&bytes) {
        Some((number, original)) => Shown::Archive(path, *number, Arc::clone(original)),
        None => Shown::Damaged,
    }
}

/// Where the link at a path leads in the end, links not among it; a name that is not there stands for
/// the archive that is shown under it. `None` if it leads nowhere or into the mount.
pub fn end(source: &Source, path: &Path) -> Option<PathBuf> {
    end_within(source, path, MAX_LINKS, true)
}

/// The same, but each name stands for itself alone.
fn exact_end(source: &Source, path: &Path) -> Option<PathBuf> {
    end_within(source, path, MAX_LINKS, false)
}

fn end_within(source: &Source, path: &Path, links: usize, may_be_archive: bool) -> Option<PathBuf> {
    let Some((parent, name)) = path.parent().zip(last_name(path)) else {
        return outside_mount(source, path.canonicalize().ok()?);
    };
    let parent = outside_mount(source, parent.canonicalize().ok()?)?;
    let at = outside_mount(source, parent.join(name))?;
    let follow = |at: PathBuf, may_be_archive| match at.read_link() {
        Ok(target) => {
            let links = links.checked_sub(1)?;
            end_within(source, &parent.join(target), links, may_be_archive)
        }
        Err(_) => Some(at),
    };
    if at.symlink_metadata().is_ok() {
        return follow(at, may_be_archive);
    }
    if !may_be_archive {
        return None;
    }
    let archive = [name.as_bytes(), b".wfz"].concat();
    let archive = parent.join(OsStr::from_bytes(&archive));
    archive.symlink_metadata().ok()?;
    // A link that leads to an archive by another name is shown with the suffix.
    follow(archive, false).filter(|end| is_archive(end))
}

/// The last name of a path, unless it ends in `..` or `.`.
fn last_name(path: &Path) -> Option<&OsStr> {
    match path.components().next_back()? {
        Component::Normal(name) => Some(name),
        _ => None,
    }
}

fn outside_mount(source: &Source, path: PathBuf) -> Option<PathBuf> {
    (!path.starts_with(&source.mountpoint)).then_some(path)
}

/// True for a file with an archive's name that is shown without the suffix.
pub fn is_archive(path: &Path) -> bool {
    let original = without_suffix(path.to_path_buf());
    original != path
        && path.symlink_metadata().is_ok_and(|meta| meta.is_file())
        && original.symlink_metadata().is_err()
}

/// How a way leads out of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// By a link that leads out in the mount too.
    ByLink,
    /// By the `..` of the root, which is another directory in the mount.
    Above,
}

/// How a link's target leads out of the source first, from a directory in the source.
fn departs(source: &Source, directory: &Path, target: &Path, links: usize) -> Option<Departure> {
    let mut at = directory.to_path_buf();
    let below = target.strip_prefix(&source.path);
    let (depth, path) = match below {
        Ok(below) => {
            at.clone_from(&source.path);
            (0, below)
        }
        Err(_) if target.is_absolute() => return Some(Departure::ByLink),
        Err(_) => (
            at.strip_prefix(&source.path).unwrap().iter().count(),
            target,
        ),
    };
    if !stays_below(depth, path) {
        return Some(Departure::ByLink);
    }
    for component in path.components() {
        match component {
            Component::ParentDir if at == source.path => return Some(Departure::Above),
            Component::ParentDir => {
                at.pop();
            }
            Component::Normal(name) => {
                let mut next = at.join(name);
                if next.symlink_metadata().is_err() {
                    next = at.join(OsStr::from_bytes(&[name.as_bytes(), b".wfz"].concat()));
                }
                if let Ok(target) = next.read_link() {
                    let departure = departs(source, &at, &target, links.checked_sub(1)?);
                    if departure.is_some() {
                        return departure;
                    }
                    next = end(source, &next)?;
                }
                at = next;
            }
            _ => {}
        }
    }
    None
}

/// What a link is shown as.
fn link(source: &Source, directory: &Path, path: &Path) -> Shown {
    let target = path.read_link().unwrap();
    let depth = directory.iter().count();
    let leads_to = end(source, path).filter(|end| is_archive(end));
    // As it holds in the mount, if by its names it stays in the source.
    let inside = match target.strip_prefix(&source.path) {
        Ok(below) if stays_below(0, below) => {
            let up: PathBuf = std::iter::repeat_n("..", depth).collect();
            let relative = up.join(below);
            Some(if relative.as_os_str().is_empty() {
                ".".into()
            } else {
                relative
            })
        }
        Ok(_) => None,
        Err(_) => (!target.is_absolute() && stays_below(depth, &target)).then(|| target.clone()),
    };
    let departs = departs(source, path.parent().unwrap(), &target, MAX_LINKS);
    let target = match (inside, leads_to) {
        (Some(inside), Some(_)) if departs.is_none() => {
            // The name is the archive's own, and not that of both, which are shown under their names.
            let named = path.parent().unwrap().join(&target);
            let is_own = exact_end(source, &named).is_some_and(|end| is_archive(&end))
                && without_suffix(named).symlink_metadata().is_err();
            if is_own {
                without_suffix(inside)
            } else {
                inside
            }
        }
        (_, Some(end)) => return archive(source, end),
        (Some(inside), None)
            if departs != Some(Departure::Above) || end(source, path).is_none() =>
        {
            inside
        }
        (_, None) => source.path.join(directory).join(target),
    };
    Shown::Link(path.to_path_buf(), target)
}

fn stays_below(depth: usize, path: &Path) -> bool {
    let mut depth = Some(depth);
    for component in path.components() {
        depth = match (component, depth) {
            (Component::Normal(_), Some(depth)) => Some(depth + 1),
            (Component::ParentDir, Some(depth)) => depth.checked_sub(1),
            (Component::CurDir, depth) => depth,
            _ => None,
        };
        if depth.is_none() {
            return false;
        }
    }
    true
}

/// True if on the way from a link something of the mount is met: what is there is another matter.
pub fn passes_mount(source: &Source, link: &Path) -> bool {
    let mut at = link.to_path_buf();
    for _ in 0..MAX_LINKS {
        if at.starts_with(&source.mountpoint) {
            return true;
        }
        let Ok(target) = at.read_link() else {
            return false;
        };
        at = at.parent().unwrap().join(target);
    }
    false
}

/// The directory at `end`, relative to the source, if the names of a link's target lead there and no
/// link is on the way.
pub fn goes_straight(source: &Source, link: &Path, target: &Path, end: &Path) -> Option<PathBuf> {
    let mut straight = link.parent()?.to_path_buf();
    for component in target.components() {
        match component {
            Component::Normal(name) => straight.push(name),
            Component::CurDir => {}
            Component::ParentDir if straight.pop() => {}
            _ => return None,
        }
    }
    (source.path.join(&straight) == end).then_some(straight)
}
