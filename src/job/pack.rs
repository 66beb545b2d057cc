//! Packing: a file into an archive, a model directory into a directory of archives.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;

use super::archives::{archive_path, can_be_archived, is_archive_name, named_archive};
use super::condition::{fault, missing_parts};
use super::conversion::Conversion;
use super::directory_plan::{self, Action, Destination, Made, Plan, Step, copy_file};
use super::encode_worker::EncodeWorker;
use super::file_filter::ChosenFiles;
use super::kin::{BaseFile, KinPlan, OpenedBases, hold_pins, pin};
use super::layout::layout;
use super::lossy::{Asked, LossyOptions, LossyPlan, check_patterns};
use super::lossy_target;
use super::monitor::Monitor;
use super::output::{OutputFile, parent, refuse_source, remove_abandoned};
use super::pack_options::PackOptions;
use super::pipeline;
use super::read_back::{self, EntriesChecksum, Written};
use super::source_file::SourceFile;
use super::survey::Survey;
use super::tensor_hasher::TensorHasher;
use super::totals::Totals;
use super::walk::{EntryKind, WalkEntry, walk};
use super::worth::{Fate, is_worth_keeping, is_worth_packing};
use crate::archive::{ArchiveReader, ArchiveWriter, LossyOriginal, Original, WrittenBeside};
use crate::error::{Error, Result};
use crate::format::{Geometry, Superblock};
use crate::model::names;
use crate::os::in_scope;

/// Archives that are written until one has the size that was asked for.
const MOST_SIZES: usize = 4;
/// An archive that is smaller than asked for by one in so many is worth a word.
const FAR_BELOW: u64 = 10;

/// Packs a file (to `FILE.wfz` beside it unless `to` says otherwise) or a directory (to `to`). Of a
/// directory, what could not be packed is among the failures.
///
/// # Errors
/// Whatever keeps the destination from being whole and checked; nothing is left behind then.
pub fn pack(
    from: &Path,
    to: Option<&Path>,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Conversion> {
    let options = &options.fitting(monitor)?;
    if from.is_dir() {
        let to = directory_plan::destination(from, to)?;
        return pack_directory(from, to, options, monitor);
    }
    let to = to.map_or_else(|| archive_path(from), Path::to_path_buf);
    let from = &named_archive(from)?;
    if let Some(lossy) = &options.lossy {
        check_patterns(std::iter::once(from.as_path()), lossy, monitor)?;
    }
    remove_abandoned(&to);
    let source = SourceFile::open(from)?;
    (monitor.begin)(source.stamp.size);
    tell_beforehand(&source, from, options, monitor)?;
    let packed = pack_if(&source, &to, parent(&to), options, monitor, |_| Ok(true))?;
    Ok(Conversion {
        totals: packed.unwrap_or_default(),
        path: to,
        failures: Vec::new(),
    })
}

/// Tells what somebody who names a file should know of it.
///
/// # Errors
/// As `ReadAt::read_at`.
pub(super) fn tell_beforehand(
    source: &SourceFile,
    name: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<()> {
    warn_of_fault(source, name, monitor)?;
    if options.lossy.is_some() && !source.is_model()? {
        (monitor.warn)(&format!(
            "{} is no model whose tensors are known; it is packed without loss",
            source.path.display()
        ));
    }
    Ok(())
}

/// Tells what is wrong with a file that is packed all the same.
fn warn_of_fault(source: &SourceFile, name: &Path, monitor: &Monitor<'_>) -> Result<()> {
    if let Some(fault) = fault(source, name)? {
        (monitor.warn)(&format!(
            "{}: {fault}; it is taken as it is",
            source.path.display()
        ));
    }
    Ok(())
}

/// Packs one file: encodes it, makes the archive durable, reads it back, compares it with the
/// source, and only then gives it its name.
///
/// # Errors
/// `InvalidInput` if the source is no plain file or is an archive already, or if the destination
/// exists. `Environment` if the source changes meanwhile. `Io` if the system refuses. `Corrupt` if what
/// was read back is wrong. Of bases, as `pack`.
pub fn pack_file(
    from: &Path,
    to: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let options = &options.fitting(monitor)?;
    let source = SourceFile::open(from)?;
    let packed = pack_if(&source, to, parent(to), options, monitor, |_| Ok(true))?;
    Ok(packed.unwrap_or_default())
}

/// As `pack_file`, if what comes of it `is_wanted`; else there is nothing. What it rests on is kept below `root`.
fn pack_if(
    source: &SourceFile,
    to: &Path,
    root: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
    is_wanted: impl FnOnce(&Totals) -> Result<bool>,
) -> Result<Option<Totals>> {
    source.refuse_archive()?;
    refuse_source(&source.path, to)?;
    if let Some(family) = &options.opened.0 {
        family.refuse_as_destination(to)?;
    }
    let output = OutputFile::create(to, options.force)?;
    // Whoever could not read the source must not be able to read the archive.
    let sync = |output: &OutputFile| output.sync(source.mode, None);
    let totals = pack_to(source, &output, root, options, monitor, sync)?;
    if !is_wanted(&totals)? {
        return Ok(None);
    }
    output.publish()?;
    Ok(Some(totals))
}

/// All of `pack_file` but the name. What the archive rests on is kept below `root`, and `sync` makes what was written
/// durable, with its attributes.
pub(super) fn pack_to(
    source: &SourceFile,
    output: &OutputFile,
    root: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
    sync: impl FnOnce(&OutputFile) -> Result<()>,
) -> Result<Totals> {
    let (superblock, entries) = match &options.lossy {
        Some(lossy) => write_lossy(source, output, lossy, options, monitor)?,
        None => write_beside(source, output, root, options, monitor)?,
    };
    sync(output)?;
    read_back::compare_tables(output, &superblock, entries)?;
    source.check_unchanged()?;
    Ok(Totals {
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        archives: 1,
        ..Totals::default()
    })
}

/// Writes all of an archive that may rest on others, and keeps those. What was found and turns out to be damaged is no base.
fn write_beside(
    source: &SourceFile,
    output: &OutputFile,
    root: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(Superblock, EntriesChecksum)> {
    let family = options.opened.0.as_ref();
    match write_kin(source, output, root, options, monitor) {
        Err(error) if error.is_damage() && family.is_some_and(|family| family.is_found()) => {
            (monitor.warn)(&format!(
                "{}: it is packed to stand for itself: {error}",
                source.path.display()
            ));
            output.empty()?;
            let alone = PackOptions {
                opened: OpenedBases::default(),
                ..options.clone()
            };
            write_kin(source, output, root, &alone, monitor)
        }
        written => written,
    }
}

/// Writes all of an archive beside the bases of the job, and keeps those that it rests on.
fn write_kin(
    source: &SourceFile,
    output: &OutputFile,
    root: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(Superblock, EntriesChecksum)> {
    let nothing = LossyPlan::default();
    let alone = || {
        let kin = KinPlan::default();
        write_planned(source, output, root, (&nothing, &kin), options, monitor)
    };
    let mut kin = options.kin(source, root, monitor)?;
    if kin.is_empty() {
        let family = options.opened.0.as_ref();
        if family.is_some_and(|family| family.has_named_for(source)) && source.is_model()? {
            (monitor.warn)(&format!(
                "{}: none of its tensors is like one of the base; it is packed to stand for itself",
                source.path.display()
            ));
        }
        return alone();
    }
    let write =
        |kin: &KinPlan| write_planned(source, output, root, (&nothing, kin), options, monitor);
    let mut written = write(&kin)?;
    let used = bases_in_use(output)?;
    if used.len() < kin.bases.len() {
        // Nobody is to keep what nothing rests on.
        output.empty()?;
        if used.is_empty() {
            return alone();
        }
        kin.keep_bases(&used);
        written = write(&kin)?;
    }
    output.hold(hold_pins(root)?);
    for base in &kin.bases {
        pin(root, base, |base, path| {
            keep_copy(base, path, options, monitor)
        })?;
        // An archive's blocks have checksums.
        if base.source.archive().is_none() {
            base.source.check_contents_unchanged()?;
        }
    }
    Ok(written)
}

/// The numbers of the bases that blocks of what was written rest on.
fn bases_in_use(output: &OutputFile) -> Result<BTreeSet<u32>> {
    let reader = ArchiveReader::from_file(output.file(), output.path())?;
    let mut used = BTreeSet::new();
    for block in 0..reader.geometry().block_count() {
        used.extend(reader.reference(block)?.map(|rests| rests.base));
    }
    Ok(used)
}

/// Makes the pin of a base that there can be no hard link to: an archive of a plain file, or a copy if that was asked for.
fn keep_copy(
    base: &BaseFile,
    path: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let source = &base.source;
    let monitor = &monitor.counted();
    if source.archive().is_some() {
        if !options.copy_base {
            return Err(Error::InvalidInput(format!(
                "{} cannot be linked as {}, which would keep it for those who rest on it; say --copy-base to keep a \
                 copy there, or pack into a directory of the same file system",
                source.path.display(),
                path.display()
            )));
        }
        return copy_file(&source.path, path, true, monitor).map(drop);
    }
    let alone = PackOptions {
        base: None,
        opened: OpenedBases::default(),
        force: true,
        ..options.clone()
    };
    let source = &source.as_it_is_now()?;
    pack_if(source, path, parent(path), &alone, monitor, |_| Ok(true)).map(drop)
}

/// Writes all of an archive by what is asked for its tensors.
fn write_lossy(
    source: &SourceFile,
    output: &OutputFile,
    lossy: &LossyOptions,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(Superblock, EntriesChecksum)> {
    let mut share = 1.0;
    for _ in 0..MOST_SIZES {
        let plan = lossy_target::plan(source, lossy, share, options, monitor)?;
        // Of what is no model nobody expects it.
        if plan.tensors.is_empty() && source.is_model()? {
            (monitor.warn)(&format!(
                "{}: no tensor of it becomes lossy",
                source.path.display()
            ));
        }
        let kin = KinPlan::default();
        let write = |plan| {
            write_planned(
                source,
                output,
                Path::new(""),
                (plan, &kin),
                options,
                monitor,
            )
        };
        let (superblock, entries) = write(&plan)?;
        match lossy.asked {
            Asked::Size(bytes, _)
                if superblock.archive_bytes > bytes && !plan.tensors.is_empty() =>
            {
                // The sample had told of less.
                share *= bytes as f64 / superblock.archive_bytes as f64;
                output.empty()?;
            }
            Asked::Size(bytes, _) => {
                if superblock.archive_bytes < bytes - bytes / FAR_BELOW {
                    (monitor.warn)(&format!(
                        "{}: its archive has {} bytes; no bound was found with which it has as many as \
                         asked for",
                        source.path.display(),
                        superblock.archive_bytes
                    ));
                }
                return Ok((superblock, entries));
            }
            _ if superblock.is_of_its_source() => {
                (monitor.warn)(&format!(
                    "{}: with that no number of it changes; it is packed without loss",
                    source.path.display()
                ));
                output.empty()?;
                return write(&LossyPlan::default());
            }
            _ => return Ok((superblock, entries)),
        }
    }
    Err(Error::InvalidInput(format!(
        "{}: no bound was found with which the archive has the size that was asked for",
        source.path.display()
    )))
}

/// Writes all of an archive by plans, of which one is empty.
fn write_planned(
    source: &SourceFile,
    output: &OutputFile,
    root: &Path,
    plans: (&LossyPlan, &KinPlan),
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(Superblock, EntriesChecksum)> {
    let cuts = [plans.0.cuts(), plans.1.cuts()].concat();
    let extents = layout(source, &cuts, monitor)?;
    let geometry = Geometry::new(options.block_bytes_beside(plans.1), &extents)?;
    let bases = plans.1.table(output.path(), root);
    write(source, output, &geometry, plans, &bases, options, monitor)
}

/// Encodes the source and, at the same time, reads back and compares what was written.
fn write(
    source: &SourceFile,
    output: &OutputFile,
    geometry: &Geometry,
    (plan, kin): (&LossyPlan, &KinPlan),
    bases: &[u8],
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(Superblock, EntriesChecksum)> {
    let survey = options.survey(source, (plan, kin), monitor)?;
    let lossy_tensors = plan.tensors.len();
    let hasher = TensorHasher::new(source)?;
    let mut writer = ArchiveWriter::new(
        output.file(),
        geometry,
        WrittenBeside {
            profiles: &survey.profiles,
            lossy_tensors,
            bases,
            hashed_tensors: hasher.count(),
        },
    )?;
    let (written, unread) = read_back::channel(output);
    let (encoded, compared) = thread::scope(|scope| {
        let profiles = &survey.profiles;
        let threads = options.threads;
        let comparing = in_scope(scope, move || {
            let beside = (geometry, profiles.as_slice(), plan, kin);
            read_back::compare(unread, source, output, beside, hasher, threads, monitor)
        })?;
        let beside = (&survey, plan, kin);
        let encoded = encode(
            source,
            output,
            &mut writer,
            written,
            beside,
            options,
            monitor,
        );
        let compared = comparing
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, Error>((encoded, compared))
    })?;
    // Should comparing have failed, encoding ended for want of somebody to compare.
    let compared = compared?;
    encoded?;
    let original = Original {
        sha256: compared.sha256,
        lossy: (lossy_tensors > 0).then(|| {
            let mut fidelity = Vec::new();
            for (tensor, (errors, stored_bytes)) in plan.tensors.iter().zip(&compared.lossy) {
                tensor
                    .fidelity(errors, *stored_bytes)
                    .encode_to(&mut fidelity);
            }
            LossyOriginal {
                sha256: compared.source_sha256,
                fidelity,
            }
        }),
        hashes: compared.hashes,
        mode: source.mode,
        mtime_seconds: source.mtime.0,
        mtime_nanoseconds: source.mtime.1,
    };
    let superblock = writer.finish(&original).map_err(|e| e.at(output.path()))?;
    Ok((superblock, compared.entries))
}

fn encode(
    source: &SourceFile,
    output: &OutputFile,
    writer: &mut ArchiveWriter<'_>,
    mut written: Written<'_>,
    (survey, plan, kin): (&Survey, &LossyPlan, &KinPlan),
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let geometry = writer.geometry();
    let mut next = 0;
    let workers = (0..options.threads.get())
        .map(|_| {
            let encoder = options.encoder(survey)?;
            Ok(EncodeWorker::new(encoder, kin))
        })
        .collect::<Result<Vec<_>>>()?;
    pipeline::run(
        workers,
        monitor.cancel,
        |worker| {
            let Some(span) = geometry.block(next) else {
                return Ok(false);
            };
            worker.take(span, source, survey, plan)?;
            next += 1;
            Ok(true)
        },
        EncodeWorker::encode,
        |worker| {
            let encoded = worker.encoded.take();
            let encoded = encoded.expect("invariant: blocks are written once they are encoded");
            // Checksums are of what reading gives, whatever that is of the source.
            let entry = writer
                .append(&worker.stored, encoded.decoded_checksum)
                .map_err(|e| e.at(output.path()))?;
            let bytes = worker.span.buffer_bytes() as u64;
            written.add(entry, encoded.fidelity, bytes)?;
            // Half of the work; the other one is done when it was read back and compared.
            (monitor.progress)(bytes / 2);
            Ok(())
        },
    )?;
    written.finish()
}

fn pack_directory(
    from: &Path,
    to: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Conversion> {
    let plan = plan_directory(from, options, monitor)?;
    if let Some(lossy) = &options.lossy {
        check_patterns(plan.converted(), lossy, monitor)?;
    }
    directory_plan::carry_out(plan, from, to, options.force, monitor, |step, to| {
        pack_or_keep(step, to, options, monitor)
    })
}

/// The files of a directory that would be packed, and what could not be looked at.
///
/// # Errors
/// As `walk`; `Interrupted`.
pub(super) fn files_to_pack(
    from: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(Vec<PathBuf>, Vec<Error>)> {
    let plan = plan_directory(from, options, monitor)?;
    let files = plan.converted().map(Path::to_path_buf).collect();
    Ok((files, plan.failures))
}

fn plan_directory(from: &Path, options: &PackOptions, monitor: &Monitor<'_>) -> Result<Plan> {
    let found = walk(from)?;
    for missing in missing_parts(&found.entries) {
        (monitor.warn)(&format!("{}: {missing}", from.display()));
    }
    let chosen = options.files.choose(from, &found.entries)?;
    directory_plan::make(found, monitor, |entry| {
        decide(entry, &chosen, options, monitor)
    })
}

/// Files that are models or gain by it are packed, if their names are asked for; all else is kept.
fn decide(
    entry: WalkEntry,
    chosen: &ChosenFiles,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Step> {
    if matches!(entry.kind, EntryKind::Again(_)) && is_archive_name(&entry.from) {
        directory_plan::refuse_pair(&entry.from)?;
    }
    if !matches!(entry.kind, EntryKind::File) {
        return Step::keep(entry);
    }
    let source = SourceFile::open(&entry.from)?;
    if is_archive_name(&entry.from) {
        if !source.is_archive()? {
            (monitor.warn)(&format!(
                "{} is no weightfs archive, whatever its name; copied as it is",
                entry.from.display()
            ));
            return Step::keep(entry);
        }
        directory_plan::refuse_pair(&entry.from)?;
        let mut step = Step::keep(entry)?;
        // A link without the suffix, followed to an archive.
        if !is_archive_name(&step.to) {
            step.to = archive_path(&step.to);
        }
        return Ok(step);
    }
    // A link of such a name may lead to a file of another.
    let is_named_so = names::is_model_name(&entry.relative);
    let is_wanted = || is_worth_packing(&source, &entry.relative, Fate::Stays, options, monitor);
    if !chosen.has(&entry) || !(is_named_so || is_wanted()?) {
        return Step::keep(entry);
    }
    if !can_be_archived(&entry.relative) {
        (monitor.warn)(&format!(
            "{}: the name is too long with the suffix of an archive; copied as it is",
            entry.from.display()
        ));
        return Step::keep(entry);
    }
    warn_of_fault(&source, &entry.relative, monitor)?;
    Ok(Step {
        to: archive_path(&entry.relative),
        relative: entry.relative,
        from: entry.from,
        action: Action::Convert,
        work: source.stamp.size,
    })
}

/// Packs a file of a directory, or copies it if it does not become smaller.
fn pack_or_keep(
    step: &Step,
    to: &Destination<'_>,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Made> {
    let source = SourceFile::open(&step.from)?;
    let is_wanted = |totals: &Totals| {
        let is_kept = is_worth_keeping(&source, totals)?;
        to.refuse_twins(step, if is_kept { &step.to } else { &step.relative })?;
        Ok(is_kept)
    };
    let (path, root) = (to.path(&step.to), to.path(Path::new("")));
    let packed = pack_if(&source, &path, &root, options, monitor, is_wanted)?;
    if let Some(totals) = packed {
        return Ok(Made {
            to: step.to.clone(),
            totals,
        });
    }
    let plain = to.path(&step.relative);
    let copied = copy_file(&step.from, &plain, options.force, &monitor.counted())?;
    Ok(Made {
        to: step.relative.clone(),
        totals: Totals {
            unshrunk: 1,
            ..copied
        },
    })
}
