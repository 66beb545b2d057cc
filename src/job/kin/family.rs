//! What a job packs against: bases that somebody named, or what is found among the archives at the destination.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::base_file::BaseFile;
use super::plan::KinPlan;
use crate::archive::ArchiveReader;
use crate::error::Result;
use crate::file::Entries;
use crate::job::archives::is_archive_name;
use crate::job::base_search::{BaseSearch, CACHE_BYTES};
use crate::job::monitor::Monitor;
use crate::job::source_file::SourceFile;
use crate::job::walk::{EntryKind, walk};
use crate::model::{self, ReadAt, Tensor};
use crate::sync::lock;

/// What to pack against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseAsked {
    /// This model, its archive, or all of a directory.
    Named(PathBuf),
    /// Whatever archive below the destination is most alike.
    Auto,
}

/// Of a file, so much must be in tensors that an archive has of the same shape, to be looked at closer; and so many bytes.
const LEAST_COMMON: f64 = 0.02;
const LEAST_COMMON_BYTES: f64 = 1e6;
/// Archives that are looked at closer.
const MOST_CLOSE: usize = 4;

/// The bases that a job has opened; nothing before it begins.
#[derive(Debug, Clone, Default)]
pub struct OpenedBases(pub(in crate::job) Option<Arc<Family>>);

/// The bases of a job, and what they are read through.
pub(in crate::job) struct Family {
    named: Vec<Arc<BaseFile>>,
    /// With `BaseAsked::Auto`, the archives that may be bases by their paths.
    known: Option<Mutex<HashMap<PathBuf, Option<Arc<BaseFile>>>>>,
    search: BaseSearch,
    entries: Entries,
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family")
            .field("named", &self.named)
            .finish_non_exhaustive()
    }
}

impl Family {
    /// Opens what was asked for.
    ///
    /// # Errors
    /// As `BaseFile::all_of`.
    pub fn open(
        asked: &BaseAsked,
        search: &BaseSearch,
        threads: NonZeroUsize,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let entries = Entries::new(CACHE_BYTES, threads);
        let named = match asked {
            BaseAsked::Named(path) => BaseFile::all_of(path, search, &entries, monitor)?,
            BaseAsked::Auto => Vec::new(),
        };
        Ok(Self {
            named,
            known: (*asked == BaseAsked::Auto).then(Mutex::default),
            search: search.clone(),
            entries,
        })
    }

    /// Bases that are open.
    pub fn of(named: Vec<Arc<BaseFile>>, search: &BaseSearch, threads: NonZeroUsize) -> Self {
        Self {
            named,
            known: None,
            search: search.clone(),
            entries: Entries::new(0, threads),
        }
    }

    /// What of a file may rest on what, for an archive somewhere below `root`.
    ///
    /// # Errors
    /// As `ReadAt::read_at`.
    pub fn plan(&self, source: &SourceFile, root: &Path, monitor: &Monitor<'_>) -> Result<KinPlan> {
        let own = source.sha_if_known();
        let is_other = |base: &&Arc<BaseFile>| Some(base.sha256) != own;
        if self.known.is_none() {
            let bases: Vec<_> = self.named.iter().filter(is_other).cloned().collect();
            return KinPlan::new(source, &bases);
        }
        let Some(header) = model::read(source)? else {
            return Ok(KinPlan::default());
        };
        let candidates = self.candidates(root, monitor)?;
        let least = LEAST_COMMON_BYTES.min(source.file_bytes() as f64 * LEAST_COMMON);
        let mut near: Vec<_> = candidates
            .into_iter()
            .filter(|base| Some(base.sha256) != own)
            .map(|base| (common_bytes(&header.tensors, &base.tensors), base))
            .filter(|(common, _)| *common > least)
            .collect();
        near.sort_by(|one, other| other.0.total_cmp(&one.0));
        near.truncate(MOST_CLOSE);
        let bases: Vec<_> = near.into_iter().map(|(_, base)| base).collect();
        KinPlan::new(source, &bases)
    }

    /// The archives below a directory that may be bases.
    fn candidates(&self, root: &Path, monitor: &Monitor<'_>) -> Result<Vec<Arc<BaseFile>>> {
        let Some(known) = &self.known else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for entry in walk(root)?.entries {
            monitor.check()?;
            if !matches!(entry.kind, EntryKind::File) || !is_archive_name(&entry.from) {
                continue;
            }
            let before = lock(known).get(&entry.from).cloned();
            let base = match before {
                Some(base) => base,
                None => {
                    let base = self.candidate(&entry.from, monitor);
                    lock(known).insert(entry.from, base.clone());
                    base
                }
            };
            let is_new = |base: &Arc<BaseFile>| {
                found
                    .iter()
                    .all(|other: &Arc<BaseFile>| other.sha256 != base.sha256)
            };
            let base = base.filter(is_new);
            found.extend(base);
        }
        Ok(found)
    }

    /// An archive, if it can be a base.
    fn candidate(&self, path: &Path, monitor: &Monitor<'_>) -> Option<Arc<BaseFile>> {
        let superblock = *ArchiveReader::open(path).ok()?.superblock();
        if superblock.bases.is_some() {
            return None;
        }
        let source = SourceFile::open_archived(path, &self.search, &self.entries).ok()?;
        BaseFile::of(source, monitor).ok().map(Arc::new)
    }
}

/// Bytes of tensors that have a namesake of the same shape, and half of those of which another has the shape.
fn common_bytes(own: &[Tensor], others: &[Tensor]) -> f64 {
    let named: HashSet<_> = others
        .iter()
        .map(|one| (one.name.as_str(), one.shape.as_slice()))
        .collect();
    let shaped: HashSet<_> = others.iter().map(|one| one.shape.as_slice()).collect();
    let common = |tensor: &Tensor| {
        let bytes = (tensor.range.end - tensor.range.start) as f64;
        if named.contains(&(tensor.name.as_str(), tensor.shape.as_slice())) {
            bytes
        } else if shaped.contains(tensor.shape.as_slice()) {
            bytes / 2.0
        } else {
            0.0
        }
    };
    own.iter().map(common).sum()
}
