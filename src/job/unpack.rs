//! Unpacking: an archive into the file it holds, a directory of archives into a model directory.

use std::num::NonZeroUsize;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::archives::{archive_path, is_archive, is_archive_name, named_archive, original_path};
use super::base_search::BaseSearch;
use super::blocks::{BlockWorker, for_each_block};
use super::conversion::Conversion;
use super::directory_plan::{self, Action, Made, Step};
use super::fitting::{decoding_bytes, fitting_threads};
use super::links::follow;
use super::monitor::Monitor;
use super::output::{OutputFile, refuse_source, remove_abandoned};
use super::totals::Totals;
use super::walk::{EntryKind, WalkEntry, walk};
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::{ARCHIVE_SUFFIX, DEFAULT_BLOCK_BYTES, is_own};
use crate::os::write_all_at;
use crate::printable::hex;
use crate::sync::cores;

/// How to unpack.
#[derive(Debug, Clone)]
pub struct UnpackOptions {
    /// Threads that decode.
    pub threads: NonZeroUsize,
    /// Replace a destination that exists.
    pub force: bool,
    /// Where bases are that are not beside what rests on them.
    pub bases: BaseSearch,
}

impl UnpackOptions {
    /// The same, with as many threads as there is memory for.
    ///
    /// # Errors
    /// `Environment` if there is none for a single one.
    pub(super) fn fitting(&self, monitor: &Monitor<'_>) -> Result<Self> {
        let bytes_each = decoding_bytes(2 * DEFAULT_BLOCK_BYTES);
        let threads = fitting_threads(self.threads, bytes_each, monitor)?;
        Ok(Self {
            threads,
            ..self.clone()
        })
    }
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self {
            threads: cores(),
            force: false,
            bases: BaseSearch::default(),
        }
    }
}

/// Unpacks an archive (to its name without `.wfz` unless `to` says otherwise) or a directory (to
/// `to`). Of a directory, what could not be unpacked is among the failures.
///
/// # Errors
/// Whatever keeps the destination from being whole and checked; nothing is left behind then.
pub fn unpack(
    from: &Path,
    to: Option<&Path>,
    options: &UnpackOptions,
    monitor: &Monitor<'_>,
) -> Result<Conversion> {
    let options = &options.fitting(monitor)?;
    if from.is_dir() {
        let to = directory_plan::destination(from, to)?;
        return unpack_directory(from, to, options, monitor);
    }
    let to = match to {
        Some(to) => to.to_path_buf(),
        None => original_path(from).ok_or_else(|| {
            Error::InvalidInput(format!(
                "{} does not end in {ARCHIVE_SUFFIX}; name the file to make with -o DST",
                from.display()
            ))
        })?,
    };
    remove_abandoned(&to);
    let reader = options.bases.open(&named_archive(from)?, options.threads)?;
    (monitor.begin)(reader.superblock().original_bytes);
    let totals = unpack_reader(&reader, &to, options, monitor)?;
    Ok(Conversion {
        path: to,
        totals,
        failures: Vec::new(),
    })
}

/// Unpacks one archive, checking every block and the SHA-256 of the whole.
///
/// # Errors
/// `Corrupt` if the archive is damaged, `InvalidInput` if the destination exists, `Io` if the
/// system refuses.
pub fn unpack_file(
    from: &Path,
    to: &Path,
    options: &UnpackOptions,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let reader = options.bases.open(from, options.threads)?;
    unpack_reader(&reader, to, options, monitor)
}

fn unpack_reader(
    reader: &ArchiveReader,
    to: &Path,
    options: &UnpackOptions,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    refuse_source(reader.path(), to)?;
    let output = OutputFile::create(to, options.force)?;
    let superblock = reader.superblock();
    let sync = |output: &OutputFile| output.sync(superblock.mode, Some(reader.modified()));
    let totals = unpack_to(reader, &output, options, monitor, sync)?;
    output.publish()?;
    Ok(totals)
}

/// Writes what an archive holds, all but the name. `sync` makes it durable, with its attributes.
pub(super) fn unpack_to(
    reader: &ArchiveReader,
    output: &OutputFile,
    options: &UnpackOptions,
    monitor: &Monitor<'_>,
    sync: impl FnOnce(&OutputFile) -> Result<()>,
) -> Result<Totals> {
    if let Some(lossy) = reader.superblock().lossy {
        (monitor.warn)(&format!(
            "{} is lossy: what it holds is not the file that it was made from (SHA-256 {})",
            reader.path().display(),
            hex(&lossy.source_sha256)
        ));
    }
    let mut sha256 = Sha256::new();
    for_each_block(
        reader,
        options.threads,
        monitor,
        |worker: &mut BlockWorker<()>| {
            reader.decode_block(worker.block, &mut worker.decoder, &mut worker.decoded)
        },
        |worker| {
            write_all_at(output.file(), &worker.decoded, worker.span.range.start)
                .map_err(|e| output.cannot_write(e))?;
            sha256.update(&worker.decoded);
            Ok(())
        },
    )?;
    let superblock = reader.superblock();
    if <[u8; 32]>::from(sha256.finalize()) != superblock.sha256 {
        return Err(Error::corrupt("the decoded file fails its SHA-256").at(reader.path()));
    }
    sync(output)?;
    Ok(Totals {
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        archives: 1,
        ..Totals::default()
    })
}

fn unpack_directory(
    from: &Path,
    to: &Path,
    options: &UnpackOptions,
    monitor: &Monitor<'_>,
) -> Result<Conversion> {
    let mut found = walk(from)?;
    // What unpacked rests on nothing.
    found.entries.retain(|entry| !is_own(&entry.relative));
    let plan = directory_plan::make(found, monitor, |entry| decide(entry, monitor))?;
    directory_plan::carry_out(plan, from, to, options.force, monitor, |step, to| {
        to.refuse_twins(step, &step.to)?;
        Ok(Made {
            totals: unpack_file(&step.from, &to.path(&step.to), options, monitor)?,
            to: step.to.clone(),
        })
    })
}

/// Archives are unpacked, links to archives lead to what those become, all else is kept.
fn decide(mut entry: WalkEntry, monitor: &Monitor<'_>) -> Result<Step> {
    match &mut entry.kind {
        EntryKind::File if is_archive_name(&entry.from) => {
            directory_plan::refuse_pair(&entry.from)?;
            let work = match ArchiveReader::open(&entry.from) {
                Ok(reader) => reader.superblock().original_bytes,
                Err(Error::NotThisFormat(remark)) => {
                    (monitor.warn)(&format!("{remark}; it is copied as it is"));
                    return Step::keep(entry);
                }
                Err(other) => return Err(other),
            };
            Ok(Step {
                work,
                to: original_path(&entry.relative).unwrap_or_else(|| entry.relative.clone()),
                relative: entry.relative,
                from: entry.from,
                action: Action::Convert,
            })
        }
        EntryKind::Again(_) if is_archive_name(&entry.from) => {
            directory_plan::refuse_pair(&entry.from)?;
            Step::keep(entry)
        }
        EntryKind::Link(target) => {
            let leads_to_archive = follow(&entry.from).is_ok_and(|end| is_archive(&end));
            let relative = entry.relative.clone();
            if leads_to_archive && archive_path(&relative) == relative.with_file_name(&*target) {
                return Err(Error::InvalidInput(format!(
                    "{} is a link to the archive beside it, which would lead to itself",
                    entry.from.display()
                )));
            }
            let mut original = None;
            if leads_to_archive {
                if let Some(target_original) = original_path(target) {
                    *target = target_original;
                }
                original = original_path(&relative);
            }
            let mut step = Step::keep(entry)?;
            if let Some(original) = original {
                step.to = original;
            }
            Ok(step)
        }
        _ => Step::keep(entry),
    }
}
