//! Packing: a file into an archive, a model directory into a directory of archives.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use super::archives::{archive_path, is_archive_name};
use super::directory_plan::{self, Action, Step};
use super::fitting::fitting_threads;
use super::monitor::Monitor;
use super::output::{OutputFile, remove_abandoned};
use super::pipeline;
use super::read_back::{self, EntriesChecksum, Written};
use super::source_file::SourceFile;
use super::survey::{Survey, survey};
use super::totals::Totals;
use super::walk::{EntryKind, WalkEntry};
use crate::archive::{ArchiveWriter, Original};
use crate::block::{BlockEncoder, Encoded};
use crate::codec::scaled::Segment;
use crate::codec::{Level, Method};
use crate::error::{Error, Result};
use crate::format::{ElementType, Geometry, Superblock};
use crate::model::{extents, names};
use crate::os::in_scope;
use crate::sync::cores;

/// How to pack.
#[derive(Debug, Clone, Copy)]
pub struct PackOptions {
    /// How blocks are coded.
    pub method: Method,
    /// What to optimize for.
    pub level: Level,
    /// Threads that encode.
    pub threads: NonZeroUsize,
    /// Replace a destination that exists.
    pub force: bool,
    /// Uncompressed bytes of a block: a power of two within the format's limits. `None` for what
    /// suits the level.
    pub block_bytes: Option<u32>,
}

impl PackOptions {
    pub(super) fn block_bytes(&self) -> u32 {
        self.block_bytes
            .unwrap_or_else(|| self.method.default_block_bytes(self.level))
    }

    /// The same, with as many threads as there is memory for.
    ///
    /// # Errors
    /// `Environment` if there is none for a single one.
    pub(super) fn fitting(&self, monitor: &Monitor<'_>) -> Result<Self> {
        let threads = fitting_threads(self.threads, self.thread_bytes(), monitor)?;
        Ok(Self { threads, ..*self })
    }

    /// What encoding and comparing hold for each thread: buffers of a block's length and what the coders
    /// keep. Measured on weights: 7 times the length of a block, 20 times at the level `max`, 9 times with
    /// general compressors.
    fn thread_bytes(&self) -> u64 {
        let blocks = match (self.method, self.level) {
            (Method::Weights, Level::Max) => 21,
            (Method::Weights, _) => 8,
            _ => 10,
        };
        blocks * u64::from(self.block_bytes()) + (512 << 10)
    }

    fn encoder(&self, survey: &Survey) -> Result<BlockEncoder> {
        BlockEncoder::with_method(self.method, self.level, survey.model.clone())
    }
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            method: Method::default(),
            level: Level::default(),
            threads: cores(),
            force: false,
            block_bytes: None,
        }
    }
}

/// Packs a file (to `FILE.wfz` beside it unless `to` says otherwise) or a directory (to `to`), and
/// returns the destination and what was done.
///
/// # Errors
/// Whatever keeps the destination from being whole and checked; nothing is left behind then.
pub fn pack(
    from: &Path,
    to: Option<&Path>,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(PathBuf, Totals)> {
    let options = &options.fitting(monitor)?;
    if from.is_dir() {
        let to = directory_plan::destination(from, to)?;
        let totals = pack_directory(from, to, options, monitor)?;
        return Ok((to.to_path_buf(), totals));
    }
    let to = to.map_or_else(|| archive_path(from), Path::to_path_buf);
    remove_abandoned(&to);
    // Each byte is encoded, then compared.
    (monitor.begin)(2 * SourceFile::open(from)?.stamp.size);
    let totals = pack_file(from, &to, options, monitor)?;
    Ok((to, totals))
}

/// Packs one file: encodes it, makes the archive durable, reads it back, compares it with the
/// source, and only then gives it its name.
///
/// # Errors
/// `InvalidInput` if the source is no plain file or is an archive already, or if the destination
/// exists. `Environment` if the source changes meanwhile. `Io` if the system refuses. `Corrupt` if what
/// was read back is wrong.
pub fn pack_file(
    from: &Path,
    to: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let source = SourceFile::open(from)?;
    if source.is_archive()? {
        return Err(Error::InvalidInput(format!(
            "{} is a weightfs archive already",
            from.display()
        )));
    }
    let output = OutputFile::create(to, options.force)?;
    // Whoever could not read the source must not be able to read the archive.
    let sync = |output: &OutputFile| output.sync(source.mode, None);
    let totals = pack_to(&source, &output, options, monitor, sync)?;
    output.publish()?;
    Ok(totals)
}

/// All of `pack_file` but the name. `sync` makes what was written durable, with its attributes.
pub(super) fn pack_to(
    source: &SourceFile,
    output: &OutputFile,
    options: &PackOptions,
    monitor: &Monitor<'_>,
    sync: impl FnOnce(&OutputFile) -> Result<()>,
) -> Result<Totals> {
    let extents = extents::extents(source)?;
    let geometry = Geometry::new(options.block_bytes(), &extents)?;
    let (superblock, entries) = write(source, output, &geometry, options, monitor)?;
    sync(output)?;
    read_back::compare_tables(output, &superblock, entries)?;
    source.check_unchanged()?;
    Ok(Totals {
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        archives: 1,
        copied: 0,
    })
}

struct EncodeWorker {
    encoder: BlockEncoder,
    bytes: Vec<u8>,
    element: ElementType,
    segments: Vec<Segment>,
    stored: Vec<u8>,
    /// What `stored` will decode to, once there is something in it.
    encoded: Option<Encoded>,
}

/// Encodes the source and, at the same time, reads back and compares what was written.
fn write(
    source: &SourceFile,
    output: &OutputFile,
    geometry: &Geometry,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(Superblock, EntriesChecksum)> {
    let survey = match (options.method, options.level) {
        (Method::Weights, Level::Max) => survey(source, monitor)?,
        _ => Survey::default(),
    };
    let mut writer = ArchiveWriter::new(output.file(), geometry, &survey.profiles)?;
    let (written, unread) = read_back::channel(output);
    let (encoded, compared) = thread::scope(|scope| {
        let profiles = &survey.profiles;
        let threads = options.threads;
        let comparing = in_scope(scope, move || {
            read_back::compare(unread, source, output, geometry, profiles, threads, monitor)
        })?;
        let encoded = encode(
            source,
            output,
            &mut writer,
            written,
            &survey,
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
    survey: &Survey,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let geometry = writer.geometry();
    let mut next = 0;
    let workers = (0..options.threads.get())
        .map(|_| {
            Ok(EncodeWorker {
                encoder: options.encoder(survey)?,
                bytes: Vec::new(),
                element: ElementType::Bytes,
                segments: Vec::new(),
                stored: Vec::new(),
                encoded: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    pipeline::run(
        workers,
        monitor.cancel,
        |worker| {
            let Some(span) = geometry.block(next) else {
                return Ok(false);
            };
            source.read_block(&span, &mut worker.bytes)?;
            worker.element = span.element;
            worker.segments = survey.segments(&span);
            next += 1;
            Ok(true)
        },
        |worker| {
            worker.encoded = Some(worker.encoder.encode(
                &worker.bytes,
                worker.element,
                &worker.segments,
                &mut worker.stored,
            )?);
            Ok(())
        },
        |worker| {
            let encoded = worker.encoded.take();
            let encoded = encoded.expect("invariant: blocks are written once they are encoded");
            // Checksums are of what reading gives, whatever that is of the source.
            let entry = writer
                .append(&worker.stored, encoded.decoded_checksum)
                .map_err(|e| e.at(output.path()))?;
            written.add(entry, encoded.fidelity)?;
            (monitor.progress)(worker.bytes.len() as u64);
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
) -> Result<Totals> {
    let steps = directory_plan::make(from, monitor, decide)?;
    directory_plan::carry_out(&steps, from, to, options.force, monitor, |from, to| {
        pack_file(from, to, options, monitor)
    })
}

/// Files that are models by name or by contents are packed; all else is kept.
fn decide(entry: WalkEntry) -> Result<Step> {
    if !matches!(entry.kind, EntryKind::File) {
        return Step::keep(entry);
    }
    if is_archive_name(&entry.from) {
        directory_plan::refuse_pair(&entry.from)?;
        let mut step = Step::keep(entry)?;
        // A link without the suffix, followed to an archive.
        if !is_archive_name(&step.to) {
            step.to = archive_path(&step.to);
        }
        return Ok(step);
    }
    let source = SourceFile::open(&entry.from)?;
    // A link of such a name may lead to a file of another.
    if names::is_model_name(&entry.relative) || source.is_model()? {
        Ok(Step {
            to: archive_path(&entry.relative),
            from: entry.from,
            action: Action::Convert,
            work: 2 * source.stamp.size,
        })
    } else {
        Step::keep(entry)
    }
}
