//! Walks a directory that is to be turned into another as a whole.
//!
//! A symbolic link stays as it is if by its names it leads to another place inside the directory:
//! what it leads to stands there in the result as well, whatever that is. Others that lead into it
//! are links to what stands there; those that lead out of it are followed, as their targets would not
//! be there beside the result. (The snapshots of the Hugging Face hub cache are such links.) In a
//! directory that was reached through a link, inside means inside that directory. Each file comes
//! once, by however many names and links it is met.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::links::{follow, leads_nowhere};
use super::output::{is_temporary_name, names_in};
use crate::error::{Error, Result};
use crate::format::{OWN_DIRECTORY, original_name};
use crate::os::leads_out;

/// Something in the directory.
#[derive(Debug)]
pub(super) struct WalkEntry {
    /// Its path below the directory.
    pub(super) relative: PathBuf,
    /// Where it is in truth, links that were followed resolved.
    pub(super) from: PathBuf,
    pub(super) kind: EntryKind,
}

#[derive(Debug)]
pub(super) enum EntryKind {
    Directory,
    File,
    /// Another name of a file that came before, by its path below the directory.
    Again(PathBuf),
    /// A link to be made again with this target.
    Link(PathBuf),
    /// A link to be made to what becomes of another thing, by its path below the directory.
    LinkTo(PathBuf),
    /// A FIFO, socket or device.
    Special,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Everything below the directory, sorted, directories before what is in them.
    pub(super) entries: Vec<WalkEntry>,
    /// What could not be looked at, and links that lead nowhere. (Those are entries as well.)
    pub(super) failures: Vec<Error>,
    /// The directory, and those outside that links led to: canonical paths, and where they are met.
    pub(super) bases: HashMap<PathBuf, PathBuf>,
}

impl Walked {
    /// Where the archives are in truth, by their names; each once.
    pub(super) fn archives(&self) -> impl Iterator<Item = &Path> {
        let files = self.entries.iter();
        let files = files.filter(|entry| matches!(entry.kind, EntryKind::File));
        let paths = files.map(|entry| entry.from.as_path());
        paths.filter(|path| path.file_name().and_then(original_name).is_some())
    }
}

/// Walks a directory.
///
/// # Errors
/// `Io` if it cannot be read. What is wrong below it is among the failures.
pub(super) fn walk(root: &Path) -> Result<Walked> {
    let path = root.canonicalize().map_err(|e| cannot_read(root, e))?;
    let meta = fs::metadata(root).map_err(|e| cannot_read(root, e))?;
    let mut walk = Walk {
        found: Walked {
            bases: HashMap::from([(path, PathBuf::new())]),
            ..Walked::default()
        },
        above: HashSet::new(),
        files: HashMap::new(),
        own: Vec::new(),
    };
    walk.directory(root, Path::new(""), 0, &meta)?;
    // Last of all: of what has a name beside its pin, that comes first.
    for (path, relative, base_depth) in std::mem::take(&mut walk.own) {
        if let Err(failure) = walk.entry(path, relative, base_depth) {
            walk.found.failures.push(failure);
        }
    }
    Ok(walk.found)
}

struct Walk {
    found: Walked,
    /// The directories the walk is in, by device and inode.
    above: HashSet<(u64, u64)>,
    /// The files that were met, by device, inode, and whether they are named as archives: a name says what
    /// becomes of a file.
    files: HashMap<((u64, u64), bool), PathBuf>,
    /// The directories that weightfs keeps for itself, which are looked at last: paths, paths below the root, depths.
    own: Vec<(PathBuf, PathBuf, usize)>,
}

impl Walk {
    fn directory(
        &mut self,
        path: &Path,
        relative: &Path,
        base_depth: usize,
        meta: &Metadata,
    ) -> Result<()> {
        let mut names = names_in(path).map_err(|e| cannot_read(path, e))?;
        // What another run is making, or has left.
        names.retain(|name| !is_temporary_name(name));
        names.sort();
        self.above.insert(identity(meta));
        for name in names {
            if name == OWN_DIRECTORY {
                let later = (path.join(&name), relative.join(name), base_depth);
                self.own.push(later);
                continue;
            }
            if let Err(failure) = self.entry(path.join(&name), relative.join(name), base_depth) {
                self.found.failures.push(failure);
            }
        }
        self.above.remove(&identity(meta));
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, relative: PathBuf, base_depth: usize) -> Result<()> {
        let meta = fs::symlink_metadata(&path).map_err(|e| cannot_read(&path, e))?;
        if !meta.is_symlink() {
            return self.thing(path, relative, base_depth, &meta);
        }
        let target = fs::read_link(&path).map_err(|e| cannot_read(&path, e))?;
        let end = match follow(&path) {
            Ok(end) => end,
            Err(e) if leads_nowhere(&e) => {
                self.found.failures.push(Error::InvalidInput(format!(
                    "{}: the link leads nowhere: {} is not there",
                    path.display(),
                    target.display()
                )));
                // It may as well do so elsewhere.
                self.push(relative, path, EntryKind::Link(target));
                return Ok(());
            }
            Err(e) => return Err(cannot_read(&path, e)),
        };
        let depth = relative.components().count();
        let inner_depth = depth - 1 - base_depth;
        if goes_straight(&target) && !leads_out(inner_depth, &target) {
            self.push(relative, path, EntryKind::Link(target));
            return Ok(());
        }
        if let Some(inside) = self.inside(&end) {
            self.push(relative, path, EntryKind::LinkTo(inside));
            return Ok(());
        }
        let meta = fs::metadata(&end).map_err(|e| cannot_read(&path, e))?;
        if meta.is_file()
            && let Some(first) = self.files.get(&file_key(&end, &meta))
        {
            let first = first.clone();
            self.push(relative, path, EntryKind::LinkTo(first));
            return Ok(());
        }
        if meta.is_dir() {
            self.found.bases.insert(end.clone(), relative.clone());
        }
        self.thing(end, relative, depth, &meta)
    }

    /// Where the walk meets a place, by its canonical path.
    fn inside(&self, end: &Path) -> Option<PathBuf> {
        end.ancestors().find_map(|base| {
            let relative = self.found.bases.get(base)?;
            Some(relative.join(end.strip_prefix(base).ok()?))
        })
    }

    fn thing(
        &mut self,
        from: PathBuf,
        relative: PathBuf,
        base_depth: usize,
        meta: &Metadata,
    ) -> Result<()> {
        if meta.is_dir() {
            if self.above.contains(&identity(meta)) {
                return Err(Error::InvalidInput(format!(
                    "{}: symbolic links lead in a circle",
                    from.display()
                )));
            }
            self.push(relative.clone(), from.clone(), EntryKind::Directory);
            return self.directory(&from, &relative, base_depth, meta);
        }
        let kind = if !meta.is_file() {
            EntryKind::Special
        } else if let Some(first) = self.files.get(&file_key(&from, meta)) {
            EntryKind::Again(first.clone())
        } else {
            self.files.insert(file_key(&from, meta), relative.clone());
            EntryKind::File
        };
        self.push(relative, from, kind);
        Ok(())
    }

    fn push(&mut self, relative: PathBuf, from: PathBuf, kind: EntryKind) {
        self.found.entries.push(WalkEntry {
            relative,
            from,
            kind,
        });
    }
}

/// What a file or directory is told by.
pub(super) fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

fn file_key(path: &Path, meta: &Metadata) -> ((u64, u64), bool) {
    let is_archive = path.file_name().and_then(original_name).is_some();
    (identity(meta), is_archive)
}

/// True if a target goes up first and then only down, so that by names alone it is known where it
/// leads, whatever those are links to.
fn goes_straight(target: &Path) -> bool {
    let mut down = target
        .components()
        .skip_while(|component| matches!(component, Component::ParentDir | Component::CurDir));
    down.all(|component| !matches!(component, Component::ParentDir))
}

fn cannot_read(path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot read {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn shown(root: &Path) -> (Vec<String>, Vec<String>) {
        let found = walk(root).unwrap();
        let show = |entry: WalkEntry| format!("{} {:?}", entry.relative.display(), entry.kind);
        (
            found.entries.into_iter().map(show).collect(),
            found.failures.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn links_inside_stay_and_links_out_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        fs::write(dir.path().join("blobs/a"), "a").unwrap();
        symlink("../../blobs/a", root.join("sub/out")).unwrap();
        symlink("../sub", root.join("sub/inside")).unwrap();
        symlink("gone", root.join("dangling")).unwrap();
        symlink("../blobs", root.join("dir")).unwrap();
        // In the directory behind that link, one that leads out of it, and one that does not.
        fs::create_dir(dir.path().join("more")).unwrap();
        fs::write(dir.path().join("more/b"), "b").unwrap();
        symlink("../more/b", dir.path().join("blobs/out")).unwrap();
        symlink("a", dir.path().join("blobs/same")).unwrap();
        let (entries, failures) = shown(&root);
        assert_eq!(
            entries,
            [
                "dangling Link(\"gone\")",
                "dir Directory",
                "dir/a File",
                "dir/out File",
                "dir/same Link(\"a\")",
                "sub Directory",
                "sub/inside Link(\"../sub\")",
                "sub/out LinkTo(\"dir/a\")",
            ]
        );
        assert_eq!(failures.len(), 1);
        assert!(failures[0].ends_with("root/dangling: the link leads nowhere: gone is not there"));
    }

    #[test]
    fn each_file_comes_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("blobs")).unwrap();
        fs::create_dir(dir.path().join("store")).unwrap();
        for file in ["store/x", "store/y", "root/plain"] {
            fs::write(dir.path().join(file), file).unwrap();
        }
        // A blob that is a link into a store, and names of it; two names of one file, inside and
        // outside; links with absolute targets, to a file and to the root.
        symlink("../../store/x", root.join("blobs/etag")).unwrap();
        symlink("blobs/etag", root.join("m1")).unwrap();
        symlink("blobs/etag", root.join("m2")).unwrap();
        fs::hard_link(root.join("plain"), root.join("second")).unwrap();
        symlink(dir.path().join("store/y"), root.join("n1")).unwrap();
        symlink(dir.path().join("store/y"), root.join("n2")).unwrap();
        symlink(root.join("plain"), root.join("absolute")).unwrap();
        symlink(&root, root.join("self")).unwrap();
        // Up, down and up again: where that leads depends on what is there.
        symlink("blobs/../plain", root.join("winding")).unwrap();
        assert_eq!(
            shown(&root),
            (
                [
                    "absolute LinkTo(\"plain\")",
                    "blobs Directory",
                    "blobs/etag File",
                    "m1 Link(\"blobs/etag\")",
                    "m2 Link(\"blobs/etag\")",
                    "n1 File",
                    "n2 LinkTo(\"n1\")",
                    "plain File",
                    "second Again(\"plain\")",
                    "self LinkTo(\"\")",
                    "winding LinkTo(\"plain\")",
                ]
                .map(String::from)
                .to_vec(),
                vec![]
            )
        );
    }

    #[test]
    fn a_circle_is_told_and_the_rest_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::write(dir.path().join("root/a"), "a").unwrap();
        symlink("..", dir.path().join("root/up")).unwrap();
        let (entries, failures) = shown(&dir.path().join("root"));
        assert_eq!(entries, ["a File", "up Directory"]);
        assert_eq!(failures.len(), 1);
        assert!(
            failures[0].ends_with("root: symbolic links lead in a circle"),
            "{failures:?}"
        );
    }
}
