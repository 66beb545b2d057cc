//! Follows symbolic links in the source the way the kernel would, but watched at each step: it
//! tells whether the end is inside the source, and never walks into the mount itself (a request to
//! the file system from its own thread could wait for itself for ever).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::source::Source;
use crate::format::archive_name;

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the root of the source, relative to it.
    Inside(PathBuf),
    /// Elsewhere; the path is canonical.
    Outside(PathBuf),
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Inside(path) | Self::Outside(path) => path,
        }
    }

    pub(super) fn metadata(&self, source: &Source) -> io::Result<Metadata> {
        match self {
            Self::Inside(path) => source.metadata(path),
            Self::Outside(path) => path.symlink_metadata(),
        }
    }

    pub(super) fn open_file(&self, source: &Source) -> io::Result<File> {
        match self {
            Self::Inside(path) => source.open_file(path),
            // As `Source::open_file`: what was a file when it was looked at may be a FIFO now.
            Self::Outside(path) => File::options()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path),
        }
    }

    fn read_link(&self, source: &Source) -> io::Result<PathBuf> {
        match self {
            Self::Inside(path) => source.read_link(path),
            Self::Outside(path) => path.read_link(),
        }
    }

    fn join(&self, name: &OsStr) -> Self {
        match self {
            Self::Inside(path) => Self::Inside(path.join(name)),
            Self::Outside(path) => Self::Outside(path.join(name)),
        }
    }

    fn parent(self, source: &Source) -> Self {
        match self {
            Self::Inside(path) if path.as_os_str().is_empty() => {
                let parent = source.path().parent().unwrap_or(Path::new("/"));
                Self::Outside(parent.to_path_buf())
            }
            Self::Inside(mut path) => {
                path.pop();
                Self::Inside(path)
            }
            Self::Outside(mut path) => {
                path.pop();
                Self::Outside(path)
            }
        }
    }
}

/// What a link leads to in the end: something that exists and is no link.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) place: Place,
    pub(super) meta: Metadata,
    /// Owners of the links on the way, that of the first one not included.
    pub(super) owners: Vec<u32>,
}

/// Follows the target of a link that stands in `directory`. A target that does not exist stands for
/// the archive of that name, if there is one, because that is what the mount shows there.
///
/// `None` if it leads nowhere, in circles, or into the mount.
pub(super) fn follow(source: &Source, directory: &Path, target: &Path) -> Option<Followed> {
    let mut at = Place::Inside(directory.to_path_buf());
    let mut meta = None;
    let mut rest = VecDeque::new();
    let mut owners = Vec::new();
    prepend(&mut rest, target);
    while let Some(step) = rest.pop_front() {
        meta = None;
        let name = match step {
            Step::Root => {
                at = Place::Outside(PathBuf::from("/"));
                continue;
            }
            Step::Up => {
                at = at.parent(source);
                continue;
            }
            Step::Down(name) => name,
        };
        let mut next = at.join(&name);
        if let Place::Outside(path) = &next {
            if path == source.path() {
                at = Place::Inside(PathBuf::new());
                continue;
            }
            if source.is_mountpoint(path) {
                return None;
            }
        }
        let found = match next.metadata(source) {
            Err(_) if rest.is_empty() => {
                next = at.join(&archive_name(&name));
                next.metadata(source).ok()?
            }
            other => other.ok()?,
        };
        if found.is_symlink() {
            owners.push(found.uid());
            if owners.len() > MAX_LINKS {
                return None;
            }
            let target = next.read_link(source).ok()?;
            prepend(&mut rest, &target);
            continue;
        }
        if !rest.is_empty() && !found.is_dir() {
            return None;
        }
        at = next;
        meta = Some(found);
    }
    let meta = meta.or_else(|| at.metadata(source).ok())?;
    Some(Followed {
        place: at,
        meta,
        owners,
    })
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn prepend(rest: &mut VecDeque<Step>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Prefix(_) | Component::CurDir => {}
            Component::RootDir => rest.push_front(Step::Root),
            Component::ParentDir => rest.push_front(Step::Up),
            Component::Normal(name) => rest.push_front(Step::Down(name.to_os_string())),
        }
    }
}
