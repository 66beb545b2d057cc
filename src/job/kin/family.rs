//! What a job packs against: bases that somebody named, or what is found among the archives at the destination.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::base_file::BaseFile;
use super::plan::KinPlan;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::file::Entries;
use crate::job::base_search::{BaseSearch, CACHE_BYTES};
use crate::job::monitor::Monitor;
use crate::job::output::refuse_source;
use crate::job::source_file::SourceFile;
use crate::job::walk::walk;
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
    known: Option<Mutex<HashMap<PathBuf, Option<Shapes>>>>,
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

    /// Whether bases are what was found, and nobody has named them.
    pub fn is_found(&self) -> bool {
        self.known.is_some()
    }

    /// Whether somebody has named a base that is not the file itself.
    pub fn has_named_for(&self, source: &SourceFile) -> bool {
        self.named.iter().any(|base| !base.source.is_same(source))
    }

    /// # Errors
    /// `InvalidInput` if that is a base that somebody has named: it would be gone under that name.
    pub fn refuse_as_destination(&self, to: &Path) -> Result<()> {
        let mut bases = self.named.iter();
        bases.try_for_each(|base| refuse_source(&base.source.path, to))
    }

    /// What of a file may rest on what, for an archive somewhere below `root`.
    ///
    /// # Errors
    /// As `ReadAt::read_at`.
    pub fn plan(&self, source: &SourceFile, root: &Path, monitor: &Monitor<'_>) -> Result<KinPlan> {
        let is_other = |base: &&Arc<BaseFile>| !base.source.is_same(source);
        if self.known.is_none() {
            let bases: Vec<_> = self.named.iter().filter(is_other).cloned().collect();
            return KinPlan::new(source, &bases);
        }
        let Some(header) = model::read(source)? else {
            return Ok(KinPlan::default());
        };
        let least = LEAST_COMMON_BYTES.min(source.file_bytes() as f64 * LEAST_COMMON);
        let mut near = self.candidates(&header.tensors, root, monitor)?;
        near.retain(|(common, ..)| *common > least);
        near.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut bases: Vec<Arc<BaseFile>> = Vec::new();
        for (_, path) in near {
            if bases.len() == MOST_CLOSE {
                break;
            }
            let open = SourceFile::open_archived(&path, &self.search, &self.entries);
            let base = match open.and_then(|source| BaseFile::of(source, monitor)) {
                Err(error) if is_no_hindrance(&error) => continue,
                base => Arc::new(base?),
            };
            if is_other(&&base) && bases.iter().all(|other| other.sha256 != base.sha256) {
                bases.push(base);
            }
        }
        KinPlan::new(source, &bases)
    }

    /// The archives below a directory that may be bases, with how many bytes of tensors they have in common.
    fn candidates(
        &self,
        own: &[Tensor],
        root: &Path,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<(f64, PathBuf)>> {
        let Some(known) = &self.known else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for path in walk(root)?.archives() {
            monitor.check()?;
            let is_new = !lock(known).contains_key(path);
            if is_new {
                let shapes = self.shapes(path)?;
                lock(known).insert(path.to_path_buf(), shapes);
            }
            if let Some(Some(shapes)) = lock(known).get(path) {
                found.push((shapes.common_bytes(own), path.to_path_buf()));
            }
        }
        Ok(found)
    }

    /// The tensors of an archive, if it can be a base.
    fn shapes(&self, path: &Path) -> Result<Option<Shapes>> {
        let shapes = || {
            let superblock = *ArchiveReader::open(path)?.superblock();
            if superblock.bases.is_some() {
                return Ok(None);
            }
            let source = SourceFile::open_archived(path, &self.search, &self.entries)?;
            Ok(model::read(&source)?.map(|header| Shapes::of(&header.tensors)))
        };
        match shapes() {
            Err(error) if is_no_hindrance(&error) => Ok(None),
            shapes => shapes,
        }
    }
}

/// Of what was found: one that is damaged, of a newer version, or gone again is no base, and no hindrance either.
fn is_no_hindrance(error: &Error) -> bool {
    match error {
        Error::Corrupt(_) | Error::NotThisFormat(_) | Error::Unsupported(_) => true,
        Error::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The shapes of the tensors of an archive, with names and without: hashes, as there may be many archives.
struct Shapes {
    named: HashSet<u64>,
    unnamed: HashSet<u64>,
}

impl Shapes {
    fn of(tensors: &[Tensor]) -> Self {
        Self {
            named: tensors.iter().map(named).collect(),
            unnamed: tensors.iter().map(unnamed).collect(),
        }
    }

    /// Bytes of tensors that have a namesake of the same shape, and half of those of which another has the shape.
    fn common_bytes(&self, own: &[Tensor]) -> f64 {
        let common = |tensor: &Tensor| {
            let bytes = (tensor.range.end - tensor.range.start) as f64;
            if self.named.contains(&named(tensor)) {
                bytes
            } else if self.unnamed.contains(&unnamed(tensor)) {
                bytes / 2.0
            } else {
                0.0
            }
        };
        own.iter().map(common).sum()
    }
}

fn named(tensor: &Tensor) -> u64 {
    hash((&tensor.name, &tensor.shape))
}

fn unnamed(tensor: &Tensor) -> u64 {
    hash(&tensor.shape)
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
