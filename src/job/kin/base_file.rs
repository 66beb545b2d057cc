//! A file that others are packed against.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::ArchiveReader;
use crate::error::{Error, Remark, Result};
use crate::file::Entries;
use crate::format::{BaseRecord, is_own};
use crate::job::archives::{is_archive_name, original_path};
use crate::job::base_search::BaseSearch;
use crate::job::monitor::Monitor;
use crate::job::source_file::SourceFile;
use crate::job::walk::{EntryKind, walk};
use crate::model::{self, ReadAt, Tensor, names};
use crate::printable::hex;

/// A base, open.
#[derive(Debug)]
pub(in crate::job) struct BaseFile {
    /// What it gives.
    pub source: SourceFile,
    pub sha256: [u8; 32],
    pub tensors: Vec<Tensor>,
    /// A name that it is known by, where its path is that of a pin.
    name: Option<String>,
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

impl BaseFile {
    /// The bases that somebody names: a model, its archive, or a directory of them. For what rests on others, those.
    ///
    /// # Errors
    /// `InvalidInput` if there is no model, `MissingBase` if what an archive rests on is not there, `Io` if one cannot be read.
    pub fn all_of(
        path: &Path,
        search: &BaseSearch,
        entries: &Entries,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<Arc<Self>>> {
        let mut paths = vec![path.to_path_buf()];
        if path.is_dir() {
            let is_one = |path: &Path| is_archive_name(path) || names::is_model_name(path);
            let found = walk(path)?.entries.into_iter();
            paths = found
                .filter(|entry| matches!(entry.kind, EntryKind::File) && is_one(&entry.from))
                .map(|entry| entry.from)
                .collect();
        }
        let mut bases = Vec::new();
        for one in &paths {
            match Self::open(one, search, entries, monitor) {
                Ok(found) => bases.extend(found),
                // Beside models there are other archives.
                Err(Error::InvalidInput(_)) if path.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        bases.sort_by_key(|base| base.sha256);
        bases.dedup_by_key(|base| base.sha256);
        if bases.is_empty() {
            return Err(Error::InvalidInput(format!(
                "{}: there is no model to be a base",
                path.display()
            )));
        }
        Ok(bases)
    }

    fn open(
        path: &Path,
        search: &BaseSearch,
        entries: &Entries,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<Arc<Self>>> {
        let plain = SourceFile::open(path)?;
        if !plain.is_archive()? {
            return Ok(vec![Arc::new(Self::of(plain, monitor)?)]);
        }
        let reader = ArchiveReader::open(path)?;
        let records = reader.base_records()?;
        if records.is_empty() {
            let source = SourceFile::open_archived(path, search, entries)?;
            return Ok(vec![Arc::new(Self::of(source, monitor)?)]);
        }
        let mut bases = Vec::new();
        for record in &records {
            let found = search.find(path, record).map_err(|hindrances| {
                let what = format!(
                    "rests on {} (SHA-256 {}), which is not there; name that one with --base, or where it is with --bases{hindrances}",
                    record.name,
                    hex(&record.sha256)
                );
                Error::MissingBase(Box::new(Remark::new(what))).at(path)
            })?;
            let source = SourceFile::open_archived(found.path(), search, entries)?;
            bases.push(Arc::new(Self {
                name: is_own(found.path()).then(|| record.name.clone()),
                ..Self::of(source, monitor)?
            }));
        }
        Ok(bases)
    }

    /// A file as a base.
    ///
    /// # Errors
    /// `InvalidInput` if it is no model; as `SourceFile::sha256`.
    pub fn of(source: SourceFile, monitor: &Monitor<'_>) -> Result<Self> {
        let header = model::read(&source)?.ok_or_else(|| {
            Error::InvalidInput(format!(
                "{} is no model whose tensors are known, and no base",
                source.path.display()
            ))
        })?;
        Ok(Self {
            sha256: source.sha256(|| monitor.check())?,
            tensors: header.tensors,
            name: None,
            source,
        })
    }

    /// The record of it in an archive at `dependent`: its name as seen from there if both lie below `root`, else its
    /// last names.
    pub fn record(&self, dependent: &Path, root: &Path) -> BaseRecord {
        let record = |name| BaseRecord {
            sha256: self.sha256,
            bytes: self.source.file_bytes(),
            name,
        };
        if let Some(name) = &self.name {
            return record(name.clone());
        }
        let path = &self.source.path;
        let original = if self.source.archive().is_some() {
            original_path(path).unwrap_or_else(|| path.clone())
        } else {
            path.clone()
        };
        let root = absolute(root);
        let below = |path: &Path| absolute(path).strip_prefix(&root).map(Path::to_path_buf);
        let name: PathBuf = match (below(dependent), below(&original)) {
            (Ok(dependent), Ok(original)) => {
                let up = dependent.iter().count().saturating_sub(1);
                std::iter::repeat_n(Path::new(".."), up)
                    .chain([original.as_path()])
                    .collect()
            }
            _ => {
                let last: Vec<_> = original.iter().rev().take(2).collect();
                last.into_iter().rev().collect()
            }
        };
        record(name.to_string_lossy().into_owned())
    }
}
