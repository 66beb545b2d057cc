//! Who rests on whom.

use std::path::{Path, PathBuf};

use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::{BaseRecord, Superblock, is_own, pins_directory};
use crate::job::archives::is_archive_name;
use crate::job::base_search::BaseSearch;
use crate::job::monitor::Monitor;
use crate::job::walk::{EntryKind, walk};

/// Archives of a directory, and what they rest on.
#[derive(Debug, Default)]
pub struct Relations {
    /// The archives, those that are only pins left out.
    pub archives: Vec<Relation>,
    /// The pins.
    pub pins: Vec<Pin>,
    /// The directories that pins are kept in for archives below.
    pub with_pins: Vec<PathBuf>,
    /// What could not be read, but for pins: it may rest on anything.
    pub failures: Vec<Error>,
    /// Pins that could not be read.
    pub unread_pins: Vec<Error>,
}

/// An archive.
#[derive(Debug)]
pub struct Relation {
    /// Its path.
    pub path: PathBuf,
    /// What it says of itself.
    pub superblock: Superblock,
    /// What it rests on.
    pub rests_on: Vec<Rest>,
    /// Whether it lies in the directory itself, where no link led.
    pub is_inside: bool,
}

/// What an archive rests on.
#[derive(Debug)]
pub struct Rest {
    /// What it says of it.
    pub record: BaseRecord,
    /// The archive that was found, and its bytes; nothing if it is missing.
    pub found: Option<(PathBuf, u64)>,
}

/// A base that is kept for others.
#[derive(Debug)]
pub struct Pin {
    /// Its path.
    pub path: PathBuf,
    /// What it says of itself.
    pub superblock: Superblock,
    /// Another name of the same file below the directory.
    pub name: Option<PathBuf>,
}

impl Relation {
    /// Bytes that resting on others saves, about: what it would take at the ratio that its bases have themselves. `None`
    /// if it rests on nothing that is there.
    pub fn saved(&self) -> Option<i64> {
        let found = self.rests_on.iter().filter_map(|rest| {
            let (_, stored) = rest.found.as_ref()?;
            Some((rest.record.bytes as f64, *stored as f64))
        });
        let (bytes, stored) = found.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let alone = self.superblock.original_bytes as f64 * stored / bytes;
        #[expect(clippy::cast_possible_truncation, reason = "bytes of a file")]
        let saved = (alone - self.superblock.archive_bytes as f64) as i64;
        (bytes > 0.0).then_some(saved)
    }
}

/// Looks at the tables of all archives below a directory. Nothing is decoded.
///
/// # Errors
/// `Io` if the directory cannot be read; `Interrupted`.
pub fn relations(
    directory: &Path,
    search: &BaseSearch,
    monitor: &Monitor<'_>,
) -> Result<Relations> {
    let walked = walk(directory)?;
    let mut relations = Relations {
        failures: walked.failures,
        ..Relations::default()
    };
    for entry in &walked.entries {
        monitor.check()?;
        let path = directory.join(&entry.relative);
        let name = match &entry.kind {
            EntryKind::File => None,
            EntryKind::Again(first) => Some(directory.join(first)),
            EntryKind::Directory if entry.relative.ends_with(pins_directory()) => {
                relations
                    .with_pins
                    .extend(path.ancestors().nth(2).map(Path::to_path_buf));
                continue;
            }
            _ => continue,
        };
        let is_pin = is_own(&entry.relative);
        if !is_archive_name(&path) || (name.is_some() && !is_pin) {
            continue;
        }
        let read = || {
            let reader = ArchiveReader::open(&path)?;
            let records = reader.base_records()?;
            Ok((*reader.superblock(), records))
        };
        let (superblock, records) = match read() {
            Ok(found) => found,
            Err(Error::NotThisFormat(_)) if !is_pin => continue,
            Err(failure) => {
                let failures = match is_pin {
                    true => &mut relations.unread_pins,
                    false => &mut relations.failures,
                };
                failures.push(failure);
                continue;
            }
        };
        if is_pin {
            relations.pins.push(Pin {
                path,
                superblock,
                name,
            });
            continue;
        }
        let rests_on = records.into_iter().map(|record| {
            let found = search.find(&path, &record).ok().map(|found| {
                let stored = found.superblock().archive_bytes;
                (found.path().to_path_buf(), stored)
            });
            Rest { record, found }
        });
        let rests_on = rests_on.collect();
        relations.archives.push(Relation {
            is_inside: entry.from == path,
            path,
            superblock,
            rests_on,
        });
    }
    Ok(relations)
}
