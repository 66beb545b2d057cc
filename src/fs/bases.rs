//! The bases of the archives of a mount: pins in the source and above it, names in the source, and directories that
//! somebody has named.
//!
//! They are opened as all archives of the source are, never by a path that leads into the mount.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::facts::Facts;
use super::open_archive::open_archive;
use super::place::{ArchivePlace, Place};
use super::source::Source;
use crate::archive::{ArchiveReader, Hindrances};
use crate::error::{Error, Result};
use crate::format::{BaseRecord, archive_name, original_name, pin_path};

/// Directories deeper than this are not looked into: links to above would lead on for ever.
const MOST_DEPTH: usize = 32;

/// Where bases are looked for beside the source.
#[derive(Debug, Default)]
pub(super) struct OtherBases {
    directories: Vec<Place>,
    /// Archives that were there when mounting.
    known: HashMap<[u8; 32], Place>,
}

impl OtherBases {
    /// Looks at all archives of some directories, before there is a mount.
    ///
    /// # Errors
    /// `Io` if one of them cannot be read.
    pub fn find(directories: &[PathBuf], source: &Source) -> Result<Self> {
        let mut found = Self::default();
        for directory in directories {
            let cannot = |e| Error::io(format!("cannot read {}", directory.display()), e);
            let canonical = directory.canonicalize().map_err(cannot)?;
            fs::read_dir(&canonical).map_err(cannot)?;
            found.look_into(&canonical, source, 0);
            found.directories.push(place(&canonical, source));
        }
        Ok(found)
    }

    pub fn count(&self) -> usize {
        self.directories.len()
    }

    fn look_into(&mut self, directory: &Path, source: &Source, depth: usize) {
        let Ok(entries) = fs::read_dir(directory) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let kind = entry.file_type().ok();
            if kind.is_some_and(|kind| kind.is_dir()) && depth < MOST_DEPTH {
                self.look_into(&path, source, depth + 1);
            } else if kind.is_some_and(|kind| kind.is_file())
                && original_name(&entry.file_name()).is_some()
                && let Ok(reader) = ArchiveReader::open(&path)
                && reader.superblock().bases.is_none()
            {
                let sha256 = reader.superblock().sha256;
                self.known.insert(sha256, place(&path, source));
            }
        }
    }
}

/// A canonical path as the mount reaches it.
fn place(path: &Path, source: &Source) -> Place {
    match path.strip_prefix(source.path()) {
        Ok(inside) => Place::Inside(inside.to_path_buf()),
        Err(_) => Place::Outside(path.to_path_buf()),
    }
}

/// The base of a record, for an archive at a place that belongs to somebody; or what may have kept it from being found.
pub(super) fn find_base(
    source: &Source,
    (at, owner): (&ArchivePlace, u32),
    record: &BaseRecord,
    others: &OtherBases,
) -> std::result::Result<(ArchiveReader, Facts, Place), Hindrances> {
    let mut hindrances = Hindrances::default();
    let mut is_it = |place: Place| {
        let (reader, facts) = match open_archive(source, &place) {
            Ok(open) => open,
            Err(error) => {
                hindrances.note(&error);
                return None;
            }
        };
        let is_it = reader.is_base_of(record);
        if is_it && !may_rest_on(source, owner, &facts, &place) {
            hindrances.add(format!(
                "{} is not read for {}: whoever made that one may not read it; make it readable to all, or have \
                 both belong to one user",
                place.full_path(source).display(),
                at.place.full_path(source).display()
            ));
            return None;
        }
        is_it.then_some((reader, facts, place))
    };
    let pin = pin_path(&record.sha256);
    let directory = at.place.clone().parent(source);
    let mut next = Some(directory.clone());
    let above = std::iter::from_fn(|| {
        let here = next.take()?;
        if here.path() != Path::new("/") {
            next = Some(here.clone().parent(source));
        }
        Some(here.join(pin.as_os_str()))
    });
    let beside = others.directories.iter().flat_map(|directory| {
        let own = pin.file_name().map(|name| directory.join(name));
        std::iter::once(directory.join(pin.as_os_str())).chain(own)
    });
    let known = others.known.get(&record.sha256).cloned();
    let found = above
        .chain(named(&directory, &record.name).into_iter().flatten())
        .chain(beside)
        .chain(known)
        .find_map(&mut is_it);
    found.ok_or(hindrances)
}

/// Whether an archive that belongs to somebody may rest on a base: whoever makes one decides what is read for it, and learns
/// by its checksums what that was. So in a mount for all users it must be root, or the base's owner, or the base
/// must be for everybody.
fn may_rest_on(source: &Source, owner: u32, base: &Facts, place: &Place) -> bool {
    let is_for_everybody = || base.mode & 0o004 != 0 && place.hindrances(source).is_empty();
    !source.is_for_all_users() || owner == 0 || owner == base.uid || is_for_everybody()
}

/// Where a base was last known to be, if that is in the source: what archives say must not lead anywhere else.
fn named(directory: &Place, name: &str) -> Option<[Place; 2]> {
    let Place::Inside(directory) = directory else {
        return None;
    };
    let mut path = directory.clone();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    let last = path.file_name().map(OsStr::to_os_string)?;
    Some([
        Place::Inside(path.with_file_name(archive_name(&last))),
        Place::Inside(path),
    ])
}
