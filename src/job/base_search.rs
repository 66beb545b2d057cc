//! Where the bases of an archive are, for who reads it.
//!
//! A base is an archive that gives the bytes with the SHA-256 of the record and rests on nothing itself: so nobody waits for
//! himself, whatever the records say.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::output::parent;
use super::walk::walk;
use crate::archive::{ArchiveReader, Base, Hindrances, MissingBase};
use crate::error::Result;
use crate::file::Entries;
use crate::format::{BaseRecord, archive_name, pin_path};

/// Decoded blocks of the bases of an archive that are kept while it is read.
pub(super) const CACHE_BYTES: usize = 48 << 20;

/// Where bases are looked for beside the places that every archive has.
#[derive(Debug, Clone, Default)]
pub struct BaseSearch {
    /// Directories, searched to the bottom.
    directories: Vec<PathBuf>,
    /// The archives of them that may be bases, by the SHA-256 of what they give, once somebody wants to know: an archive
    /// may rest on thousands that are nowhere.
    known: Arc<OnceLock<HashMap<[u8; 32], PathBuf>>>,
}

impl BaseSearch {
    /// Looks in some directories as well, to their bottom.
    pub fn beside(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            known: Arc::default(),
        }
    }

    /// Opens an archive with what it rests on. What is not found is missing to the blocks that rest on it.
    ///
    /// # Errors
    /// As `ArchiveReader::open`.
    pub fn open(&self, path: &Path, threads: NonZeroUsize) -> Result<ArchiveReader> {
        self.with_bases(ArchiveReader::open(path)?, threads)
    }

    /// As `open`, for an archive that is open already.
    ///
    /// # Errors
    /// As `ArchiveReader::base_records`.
    pub(super) fn with_bases(
        &self,
        reader: ArchiveReader,
        threads: NonZeroUsize,
    ) -> Result<ArchiveReader> {
        if reader.superblock().bases.is_none() {
            return Ok(reader);
        }
        self.open_from(reader, &Entries::new(CACHE_BYTES, threads))
    }

    /// As `with_bases`, where bases share a cache with others.
    ///
    /// # Errors
    /// As `ArchiveReader::base_records`.
    pub(super) fn open_from(
        &self,
        mut reader: ArchiveReader,
        entries: &Entries,
    ) -> Result<ArchiveReader> {
        let records = reader.base_records()?;
        let bases = records.iter().map(|record| -> Arc<dyn Base> {
            match self.find(reader.path(), record) {
                Ok(base) => Arc::new(entries.entry(base)),
                Err(hindrances) => {
                    let directory = parent(reader.path());
                    MissingBase::new(record, directory, self.directories.len(), &hindrances)
                }
            }
        });
        let bases = bases.collect();
        reader.rest_on(bases);
        Ok(reader)
    }

    /// The base of a record, for an archive at a path; or what may have kept it from being found.
    pub(super) fn find(
        &self,
        dependent: &Path,
        record: &BaseRecord,
    ) -> std::result::Result<ArchiveReader, Hindrances> {
        let mut hindrances = Hindrances::default();
        let mut is_it = |path: PathBuf| match ArchiveReader::open(&path) {
            Ok(reader) => reader.is_base_of(record).then_some(reader),
            Err(error) => {
                hindrances.note(&error);
                None
            }
        };
        let pin = pin_path(&record.sha256);
        // It may have lost its name since it was opened; its bases are still where it was.
        let moved = || {
            let name = dependent.file_name()?;
            Some(parent(dependent).canonicalize().ok()?.join(name))
        };
        let end = dependent.canonicalize().ok().or_else(moved);
        // One whose place cannot be told has no pins.
        let end = end.unwrap_or_default();
        let above = end.ancestors().skip(1).map(|above| above.join(&pin));
        let hint = (!record.name.is_empty()).then(|| {
            let named = dependent.with_file_name("").join(&record.name);
            [PathBuf::from(archive_name(named.as_os_str())), named]
        });
        let beside = self.directories.iter().flat_map(|directory| {
            let own = pin.file_name().map(|name| directory.join(name));
            std::iter::once(directory.join(&pin)).chain(own)
        });
        let mut places = above.chain(hint.into_iter().flatten()).chain(beside);
        let found = places.find_map(&mut is_it).or_else(|| {
            let known = self.known.get_or_init(|| self.look_into_all());
            known.get(&record.sha256).cloned().and_then(is_it)
        });
        found.ok_or(hindrances)
    }

    /// Looks at all archives of the directories.
    fn look_into_all(&self) -> HashMap<[u8; 32], PathBuf> {
        let mut known = HashMap::new();
        let walked = self
            .directories
            .iter()
            .filter_map(|directory| walk(directory).ok());
        for found in walked {
            for path in found.archives() {
                if let Ok(reader) = ArchiveReader::open(path)
                    && reader.superblock().bases.is_none()
                {
                    let sha256 = reader.superblock().sha256;
                    known.entry(sha256).or_insert_with(|| path.to_path_buf());
                }
            }
        }
        known
    }
}
