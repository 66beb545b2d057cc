//! Replacing files by their archives and archives by their files, where they are.
//!
//! Invariant: at every moment the file, the archive, or both are there whole and durable. What is
//! replaced goes last, after every byte of what stays was compared with it. A run that was stopped
//! in between left both: the next one compares them and goes on.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::archives::{archive_path, is_archive_name, original_path};
use super::attributes;
use super::blocks::{BlockWorker, for_each_block};
use super::monitor::Monitor;
use super::output::{OutputFile, remove_abandoned, sync_directory_of};
use super::pack::{PackOptions, pack_to};
use super::source_file::SourceFile;
use super::totals::Totals;
use super::unpack::{UnpackOptions, unpack_to};
use super::walk::{self, EntryKind};
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::os::FileStamp;

/// A file that something else takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// What goes.
    pub from: PathBuf,
    /// What comes.
    pub to: PathBuf,
    /// Bytes of `from`.
    pub bytes: u64,
}

/// What `replace_by_archives` would replace: a file, or the models in a directory.
///
/// # Errors
/// `InvalidInput` if there is nothing to replace, `Io` if the system refuses.
pub fn archives_to_make(path: &Path, monitor: &Monitor<'_>) -> Result<Vec<Replacement>> {
    find(path, monitor, "model", |path| {
        Ok(
            (!is_archive_name(path) && SourceFile::open(path)?.is_model()?)
                .then(|| archive_path(path)),
        )
    })
}

/// What `replace_by_originals` would replace: an archive, or those in a directory.
///
/// # Errors
/// As `archives_to_make`.
pub fn originals_to_make(path: &Path, monitor: &Monitor<'_>) -> Result<Vec<Replacement>> {
    find(path, monitor, "archive", |path| Ok(original_path(path)))
}

/// Packs each file beside itself, with its owner, mode, times and extended attributes, and removes
/// it once the archive is durable and every byte was compared.
///
/// # Errors
/// Whatever keeps a file from being replaced. It is there unchanged then, as are all behind it.
pub fn replace_by_archives(
    files: &[Replacement],
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let options = &options.fitting(monitor)?;
    run(files, monitor, |file| {
        let source = SourceFile::open(&file.from)?;
        let totals = if is_there(&file.to)? {
            let reader = ArchiveReader::open(&file.to)?;
            let totals = compare(&source, &reader, &file.to, options.threads, monitor)?;
            finish_archive(
                &source,
                &File::open(&file.to).map_err(|e| cannot(&file.to, e))?,
            )
            .map_err(|e| cannot(&file.to, e))?;
            totals
        } else {
            let output = OutputFile::create(&file.to, false)?;
            let totals = pack_to(&source, &output, options, monitor, |output| {
                attributes::copy(&source.file, output.file())
                    .map_err(|e| output.cannot_write(e))?;
                output.sync(source.mode, Some(source.modified()))
            })?;
            output.publish()?;
            totals
        };
        remove(&file.from, &source.stamp)?;
        Ok(totals)
    })
}

/// Unpacks each archive beside itself and removes it once the file is durable and its SHA-256 was
/// compared. Undoes `replace_by_archives`.
///
/// # Errors
/// As `replace_by_archives`.
pub fn replace_by_originals(
    archives: &[Replacement],
    options: &UnpackOptions,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let options = &options.fitting(monitor)?;
    run(archives, monitor, |archive| {
        let file = SourceFile::open(&archive.from)?;
        let reader = ArchiveReader::from_file(&file.file, &archive.from)?;
        let totals = if is_there(&archive.to)? {
            let original = SourceFile::open(&archive.to)?;
            let totals = compare(&original, &reader, &archive.to, options.threads, monitor)?;
            // Whoever made it may not have waited for the disk.
            original
                .file
                .sync_all()
                .map_err(|e| cannot(&archive.to, e))?;
            totals
        } else {
            let output = OutputFile::create(&archive.to, false)?;
            let modified = reader.superblock().modified();
            let totals = unpack_to(&reader, &output, options, monitor, |output| {
                attributes::copy(&file.file, output.file()).map_err(|e| output.cannot_write(e))?;
                output.sync(file.mode, Some(modified))
            })?;
            output.publish()?;
            totals
        };
        remove(&archive.from, &file.stamp)?;
        Ok(totals)
    })
}

/// Files in place: those that are reached without a link.
fn find(
    path: &Path,
    monitor: &Monitor<'_>,
    what: &str,
    to: impl Fn(&Path) -> Result<Option<PathBuf>>,
) -> Result<Vec<Replacement>> {
    let refuse = |why: &str| Err(Error::InvalidInput(format!("{} {why}", path.display())));
    let meta = path.symlink_metadata().map_err(|e| cannot(path, e))?;
    let replacement = |from: &Path, to: PathBuf| {
        let bytes = fs::metadata(from).map_err(|e| cannot(from, e))?.len();
        let from = from.to_path_buf();
        Ok::<_, Error>(Replacement { from, to, bytes })
    };
    if meta.is_symlink() {
        return refuse("is a link; name what it leads to");
    }
    if meta.is_file() {
        return match to(path)? {
            Some(to) => Ok(vec![replacement(path, to)?]),
            None => refuse(&format!("is no {what}")),
        };
    }
    if !meta.is_dir() {
        return refuse("is not a regular file or directory");
    }
    let mut found = Vec::new();
    for entry in walk::walk(path)? {
        if !matches!(entry.kind, EntryKind::File) {
            continue;
        }
        let Some(to) = to(&entry.from)? else {
            continue;
        };
        if entry.from == path.join(&entry.relative) {
            found.push(replacement(&entry.from, to)?);
        } else {
            (monitor.warn)(&format!(
                "{} leads out of {} and is left as it is",
                path.join(&entry.relative).display(),
                path.display()
            ));
        }
    }
    Ok(found)
}

fn run(
    replacements: &[Replacement],
    monitor: &Monitor<'_>,
    mut replace: impl FnMut(&Replacement) -> Result<Totals>,
) -> Result<Totals> {
    (monitor.begin)(replacements.iter().map(|one| 2 * one.bytes).sum());
    let directories: BTreeSet<_> = replacements.iter().map(|one| one.to.parent()).collect();
    for directory in directories.into_iter().flatten() {
        remove_abandoned(&directory.join("any"));
    }
    let mut totals = Totals::default();
    for replacement in replacements {
        totals.add(replace(replacement)?);
    }
    Ok(totals)
}

/// Whether what is to be made is there already: as a file, since what a link leads to may go.
fn is_there(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => Ok(true),
        Ok(_) => Err(Error::InvalidInput(format!(
            "{} is there and is not a regular file; move it away",
            path.display()
        ))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(cannot(path, e)),
    }
}

fn cannot(path: &Path, error: std::io::Error) -> Error {
    Error::io(format!("cannot use {}", path.display()), error)
}

/// An archive that was there may be one that a stopped run has not finished, or one of a plain
/// `pack`.
fn finish_archive(source: &SourceFile, archive: &File) -> std::io::Result<()> {
    attributes::copy(&source.file, archive)?;
    archive.sync_all()
}

/// Compares every byte of a file with what an archive holds. `existing` is the one of both that was
/// in the way.
fn compare(
    source: &SourceFile,
    reader: &ArchiveReader,
    existing: &Path,
    threads: std::num::NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let differ = || {
        Error::InvalidInput(format!(
            "{} is there and holds something else; move one of the two away",
            existing.display()
        ))
    };
    let superblock = reader.superblock();
    if superblock.original_bytes != source.stamp.size {
        return Err(differ());
    }
    if let Some(problem) = reader.check_tables().pop() {
        return Err(problem);
    }
    for_each_block(
        reader,
        threads,
        monitor,
        |worker: &mut BlockWorker<Vec<u8>>| {
            source.read_block(&worker.span, &mut worker.own)?;
            reader.verify_block(worker.block, &mut worker.decoder, &mut worker.decoded)?;
            if worker.decoded == worker.own {
                Ok(())
            } else {
                Err(differ())
            }
        },
        |_| Ok(()),
    )?;
    Ok(Totals {
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        archives: 1,
        copied: 0,
    })
}

/// Removes a file, if it is still the one that was read, after what takes its place is durable.
fn remove(path: &Path, stamp: &FileStamp) -> Result<()> {
    let now = path.symlink_metadata().map_err(|e| cannot(path, e))?;
    if FileStamp::from_metadata(&now) != *stamp {
        return Err(Error::Environment(format!(
            "{} changed while it was read, and is kept; what was made of it is there as well",
            path.display()
        )));
    }
    // An archive that was there already may be young.
    sync_directory_of(path)
        .and_then(|()| fs::remove_file(path))
        .and_then(|()| sync_directory_of(path))
        .map_err(|e| Error::io(format!("cannot remove {}", path.display()), e))
}
