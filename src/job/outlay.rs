//! After packing: what each tensor takes, what it was changed by, and how near that is to the limit. All of it is
//! found from the archives, compared with the files they were made from.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::archives::{archive_path, named_archive};
use super::base_search::BaseSearch;
use super::inspect::inspect;
use super::lossy::{Measured, measure};
use super::monitor::Monitor;
use super::pipeline;
use super::source_file::SourceFile;
use super::walk::{EntryKind, walk};
use crate::archive::{ArchiveReader, ArchivedFile};
use crate::error::{Error, Result};
use crate::format::{TensorFidelity, checksum};
use crate::model::{self, Tensor};

/// A model that was packed, or kept as it is because it would not have become smaller.
#[derive(Debug)]
pub struct FileOutlay {
    /// Its path below the directory that was packed; its name if it was packed by itself.
    pub path: PathBuf,
    /// Its bytes.
    pub original_bytes: u64,
    /// The bytes of the archive, or of the file that was kept.
    pub stored_bytes: u64,
    /// Its tensors by place.
    pub tensors: Vec<TensorOutlay>,
}

/// A tensor of it.
#[derive(Debug)]
pub struct TensorOutlay {
    /// Name, dtype, shape and place.
    pub tensor: Tensor,
    /// Its share of the stored bytes. A block that holds several tensors is shared by length.
    pub stored_bytes: u64,
    /// What the archive says of it, if it is lossy.
    pub fidelity: Option<TensorFidelity>,
    /// Numbers that were compared and are past the bound, if there is a bound.
    pub past: Option<u64>,
    /// Bits a number below which no coder of independent numbers keeps the bound.
    pub limit_bits: Option<f64>,
}

/// Looks at what packing `from` made at `to`: a file, or the models of a directory. Models that are not there, since
/// packing them failed, are left out.
///
/// # Errors
/// `Io` if something cannot be read, `Corrupt` if an archive is damaged, `Environment` if a source has changed,
/// `Interrupted`.
pub fn outlay(
    from: &Path,
    to: &Path,
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Vec<FileOutlay>> {
    let mut found = Vec::new();
    each_model(from, monitor, |source, path| {
        let kept = to.join(&path);
        let archive = if from.is_dir() {
            archive_path(&kept)
        } else {
            to.into()
        };
        if archive.is_file() {
            found.push(archived(source, path, &archive, threads, monitor)?);
        } else if kept.is_file() {
            found.push(as_it_was(source, path)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// What tells a model, as a file or a directory of some, from another and from what it was before it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// Follows from the names, lengths and modification times of its files.
    pub key: String,
    /// Bytes of the files.
    pub bytes: u64,
    /// Tensors in all of them.
    pub tensors: usize,
}

/// Looks at the files of a model that is to be packed.
///
/// # Errors
/// `InvalidInput` if there are none, `Io` if they cannot be read, `Interrupted`.
pub fn model_files(from: &Path, monitor: &Monitor<'_>) -> Result<ModelFiles> {
    let mut told = Vec::new();
    let (mut bytes, mut tensors) = (0, 0);
    each_model(from, monitor, |source, path| {
        let (seconds, nanoseconds) = source.mtime;
        told.extend(path.as_os_str().as_encoded_bytes());
        told.push(0);
        told.extend(source.stamp.size.to_le_bytes());
        told.extend(seconds.to_le_bytes());
        told.extend(nanoseconds.to_le_bytes());
        bytes += source.stamp.size;
        tensors += model::read(source)?.map_or(0, |header| header.tensors.len());
        Ok(())
    })?;
    if tensors == 0 {
        return Err(Error::InvalidInput(format!(
            "{}: no tensors that this version can read; name a .safetensors or .gguf file, or a \
             directory of them",
            from.display()
        )));
    }
    Ok(ModelFiles {
        key: format!("{:016x}", checksum(&told)),
        bytes,
        tensors,
    })
}

/// Goes through the files that packing `from` packs, each with its path in the directory or its name.
fn each_model(
    from: &Path,
    monitor: &Monitor<'_>,
    mut visit: impl FnMut(&SourceFile, PathBuf) -> Result<()>,
) -> Result<()> {
    if !from.is_dir() {
        let name = from.file_name().unwrap_or(from.as_os_str());
        return visit(&SourceFile::open(&named_archive(from)?)?, name.into());
    }
    for entry in walk(from)?.entries {
        monitor.check()?;
        if !matches!(entry.kind, EntryKind::File) {
            continue;
        }
        let source = SourceFile::open(&entry.from)?;
        if source.is_model()? && !source.is_archive()? {
            visit(&source, entry.relative)?;
        }
    }
    Ok(())
}

/// A model that was copied.
fn as_it_was(source: &SourceFile, path: PathBuf) -> Result<FileOutlay> {
    let header = model::read(source)?;
    let tensors = header.map_or_else(Vec::new, |header| header.tensors);
    Ok(FileOutlay {
        path,
        original_bytes: source.stamp.size,
        stored_bytes: source.stamp.size,
        tensors: tensors
            .into_iter()
            .map(|tensor| TensorOutlay {
                stored_bytes: tensor.range.end - tensor.range.start,
                tensor,
                fidelity: None,
                past: None,
                limit_bits: None,
            })
            .collect(),
    })
}

fn archived(
    source: &SourceFile,
    path: PathBuf,
    archive: &Path,
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<FileOutlay> {
    let bases = BaseSearch::default();
    let inspected = inspect(archive, &bases)?;
    let superblock = &inspected.superblock;
    let reader = bases.open(archive, threads)?;
    if superblock.original_bytes != source.stamp.size {
        return Err(source.changed());
    }
    let mut found = FileOutlay {
        path,
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        tensors: Vec::new(),
    };
    for total in &inspected.tensors {
        found.tensors.push(TensorOutlay {
            tensor: total.tensor.clone(),
            stored_bytes: total.stored_bytes,
            fidelity: inspected.fidelity_of(&total.tensor).copied(),
            past: None,
            limit_bits: None,
        });
    }
    measure_all(source, &reader, &mut found.tensors, threads, monitor)?;
    source.check_unchanged()?;
    Ok(found)
}

struct Worker<'a> {
    archived: ArchivedFile<'a>,
    tensor: usize,
    measured: Option<Measured>,
}

/// Fills in what only comparing tells.
fn measure_all(
    source: &SourceFile,
    reader: &ArchiveReader,
    tensors: &mut [TensorOutlay],
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let lossy = |(number, tensor): (usize, &TensorOutlay)| {
        let fidelity = tensor.fidelity?;
        Some((number, tensor.tensor.clone(), fidelity))
    };
    let lossy: Vec<_> = tensors.iter().enumerate().filter_map(lossy).collect();
    let workers = (0..threads.get().min(lossy.len()))
        .map(|_| {
            Ok(Worker {
                archived: ArchivedFile::new(reader)?,
                tensor: 0,
                measured: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut next = 0..lossy.len();
    pipeline::run(
        workers,
        monitor.cancel,
        |worker| {
            let Some(tensor) = next.next() else {
                return Ok(false);
            };
            worker.tensor = tensor;
            Ok(true)
        },
        |worker| {
            let (_, tensor, fidelity) = &lossy[worker.tensor];
            let measured = measure(source, &worker.archived, tensor, fidelity, monitor);
            worker.measured = measured.map_err(|error: Error| error.at(reader.path()))?;
            Ok(())
        },
        |worker| {
            let tensor = &mut tensors[lossy[worker.tensor].0];
            tensor.past = worker.measured.map(|found| found.past);
            tensor.limit_bits = worker.measured.map(|found| found.limit_bits);
            Ok(())
        },
    )
}
