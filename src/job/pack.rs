//! Packing: a file into an archive, a model directory into a directory of archives.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::archives::{archive_path, is_archive_name};
use super::output::{OutputDir, OutputFile};
use super::tree::{self, Kind};
use super::{Monitor, Totals};
use crate::archive::{ArchiveReader, ArchiveWriter, Original};
use crate::block::{BlockDecoder, BlockEncoder};
use crate::codec::Level;
use crate::error::{Error, Result};
use crate::format::{
    BlockSpan, DEFAULT_BLOCK_BYTES, ElementType, Geometry, SUPERBLOCK_BYTES, Superblock, checksum,
};
use crate::io::{FileStamp, read_full_at};
use crate::{layout, pipeline};

/// What a directory's files are packed for.
const MODEL_SUFFIX: &str = "safetensors";

/// How to pack.
#[derive(Debug, Clone, Copy)]
pub struct PackOptions {
    /// What to optimize for.
    pub level: Level,
    /// Threads that encode.
    pub threads: NonZeroUsize,
    /// Replace a destination that exists.
    pub force: bool,
    /// Uncompressed bytes of a block: a power of two within the format's limits.
    pub block_bytes: u32,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            level: Level::default(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            force: false,
            block_bytes: DEFAULT_BLOCK_BYTES,
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
    let meta =
        fs::metadata(from).map_err(|e| Error::io(format!("cannot read {}", from.display()), e))?;
    if !meta.is_dir() {
        let to = to.map_or_else(|| archive_path(from), Path::to_path_buf);
        // Each byte is encoded, then compared.
        (monitor.begin)(2 * meta.len());
        let totals = pack_file(from, &to, options, monitor)?;
        return Ok((to, totals));
    }
    let to = to.ok_or_else(|| {
        Error::InvalidInput(format!(
            "{} is a directory; name the directory to make with -o DST",
            from.display()
        ))
    })?;
    let totals = pack_directory(from, to, options, monitor)?;
    Ok((to.to_path_buf(), totals))
}

/// Packs one file: encodes it, makes the archive durable, reads it back, compares it with the
/// source, and only then gives it its name.
///
/// # Errors
/// `InvalidInput` if the source is no plain file, is an archive already, or changes meanwhile; or
/// if the destination exists. `Io` if the system refuses. `Corrupt` if what was read back is wrong.
pub fn pack_file(
    from: &Path,
    to: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let source = Source::open(from)?;
    if source.is_archive()? {
        return Err(Error::InvalidInput(format!(
            "{} is a weightfs archive already",
            from.display()
        )));
    }
    let output = OutputFile::create(to, options.force)?;
    let extents = layout::extents(&source.file, source.stamp.size).map_err(|e| source.error(e))?;
    let geometry = Geometry::new(options.block_bytes, &extents)?;
    let superblock = encode(&source, &output, &geometry, options, monitor)?;
    // Whoever could not read the source must not be able to read the archive.
    output.sync(source.mode & 0o777, None)?;
    compare(&source, &output, &superblock, options, monitor)?;
    source.check_unchanged()?;
    output.publish()?;
    Ok(Totals {
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        archives: 1,
        copied: 0,
    })
}

/// A file that is only read, and must not change while it is.
struct Source {
    path: PathBuf,
    file: File,
    stamp: FileStamp,
    mode: u32,
    mtime: (i64, u32),
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        let meta = fs::metadata(path).map_err(cannot)?;
        // Before opening: opening a FIFO would wait for a writer.
        if !meta.is_file() {
            return Err(Error::InvalidInput(format!(
                "{} is not a regular file",
                path.display()
            )));
        }
        let file = File::open(path).map_err(cannot)?;
        let meta = file.metadata().map_err(cannot)?;
        Ok(Self {
            path: path.to_path_buf(),
            stamp: FileStamp::from_metadata(&meta),
            mode: meta.mode(),
            mtime: (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or(0)),
            file,
        })
    }

    fn error(&self, error: Error) -> Error {
        match error {
            Error::Io { context, source } => Error::Io {
                context: format!("{}: {context}", self.path.display()),
                source,
            },
            other => other,
        }
    }

    fn is_archive(&self) -> Result<bool> {
        let mut first = [0; SUPERBLOCK_BYTES];
        let read = self.read_at(&mut first, 0)?;
        // A damaged or newer archive is one as well: whatever is not told to be something else.
        Ok(
            read == first.len()
                && !matches!(Superblock::parse(&first), Err(Error::InvalidInput(_))),
        )
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        read_full_at(&self.file, buffer, offset)
            .map_err(|e| Error::io(format!("cannot read {}", self.path.display()), e))
    }

    /// Reads a block of the file into a buffer.
    fn read_block(&self, span: &BlockSpan, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.resize(span.buffer_bytes(), 0);
        if self.read_at(buffer, span.range.start)? < buffer.len() {
            return Err(self.changed());
        }
        Ok(())
    }

    fn check_unchanged(&self) -> Result<()> {
        let now = FileStamp::of(&self.file)
            .map_err(|e| Error::io(format!("cannot read {}", self.path.display()), e))?;
        if now == self.stamp {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    fn changed(&self) -> Error {
        Error::InvalidInput(format!(
            "{} changed while it was read; pack it again when nobody writes to it",
            self.path.display()
        ))
    }
}

struct EncodeWorker {
    encoder: BlockEncoder,
    bytes: Vec<u8>,
    element: ElementType,
    stored: Vec<u8>,
    checksum: u64,
}

fn encode(
    source: &Source,
    output: &OutputFile,
    geometry: &Geometry,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Superblock> {
    let mut writer = ArchiveWriter::new(output.file(), geometry)?;
    let mut sha256 = Sha256::new();
    let mut next = 0;
    let workers = (0..options.threads.get())
        .map(|_| {
            Ok(EncodeWorker {
                encoder: BlockEncoder::new(options.level)?,
                bytes: Vec::new(),
                element: ElementType::Bytes,
                stored: Vec::new(),
                checksum: 0,
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
            sha256.update(&worker.bytes);
            worker.element = span.element;
            next += 1;
            Ok(true)
        },
        |worker| {
            worker.checksum = checksum(&worker.bytes);
            worker
                .encoder
                .encode(&worker.bytes, worker.element, &mut worker.stored)
        },
        |worker| {
            writer
                .append(&worker.stored, worker.checksum)
                .map_err(|e| output.error(e))?;
            (monitor.progress)(worker.bytes.len() as u64);
            Ok(())
        },
    )?;
    let original = Original {
        sha256: sha256.finalize().into(),
        mode: source.mode,
        mtime_seconds: source.mtime.0,
        mtime_nanoseconds: source.mtime.1,
    };
    writer.finish(&original).map_err(|e| output.error(e))
}

struct CompareWorker {
    decoder: BlockDecoder,
    block: u64,
    bytes: Vec<u8>,
    decoded: Vec<u8>,
}

/// Reads the archive back and compares every byte it decodes to with the source.
fn compare(
    source: &Source,
    output: &OutputFile,
    superblock: &Superblock,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<()> {
    // What was just written is still in memory; it is the disk's copy that counts. Where the
    // system does not drop it, the comparison still finds every mistake but the disk's.
    let _ = rustix::fs::fadvise(output.file(), 0, None, rustix::fs::Advice::DontNeed);
    let reader = ArchiveReader::from_file(output.file(), output.path())?;
    if let Some(problem) = reader.check_tables().pop() {
        return Err(problem);
    }
    if reader.superblock() != superblock {
        return Err(
            Error::corrupt("the superblock was read back differently").in_file(output.path())
        );
    }
    let geometry = reader.geometry();
    let workers = (0..options.threads.get())
        .map(|_| {
            Ok(CompareWorker {
                decoder: BlockDecoder::new()?,
                block: 0,
                bytes: Vec::new(),
                decoded: Vec::new(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut next = 0;
    pipeline::run(
        workers,
        monitor.cancel,
        |worker| {
            worker.block = next;
            next += 1;
            Ok(worker.block < geometry.block_count())
        },
        |worker| {
            let span = geometry
                .block(worker.block)
                .expect("invariant: only blocks of the geometry are taken");
            source.read_block(&span, &mut worker.bytes)?;
            worker.decoded.resize(worker.bytes.len(), 0);
            reader.verify_block(worker.block, &mut worker.decoder, &mut worker.decoded)?;
            if worker.decoded != worker.bytes {
                // The archive holds what was read first: its checksums are right.
                return Err(source.changed());
            }
            (monitor.progress)(worker.bytes.len() as u64);
            Ok(())
        },
        |_| Ok(()),
    )
}

fn pack_directory(
    from: &Path,
    to: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let plan = plan(from, monitor)?;
    let bytes = plan.iter().map(Step::bytes).sum();
    (monitor.begin)(bytes);
    let output = OutputDir::create(to, options.force)?;
    let mut totals = Totals::default();
    for step in &plan {
        totals.add(step.run(from, output.path(), options, monitor)?);
    }
    output.publish(from)?;
    Ok(totals)
}

/// What becomes of one thing in a directory.
struct Step {
    relative: PathBuf,
    action: Action,
}

enum Action {
    MakeDirectory,
    Link(PathBuf),
    Pack { bytes: u64 },
    Copy { bytes: u64 },
}

/// Files that are models by name or by contents are packed; all else is kept.
fn plan(from: &Path, monitor: &Monitor<'_>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for entry in tree::walk(from)? {
        let path = from.join(&entry.relative);
        let action = match entry.kind {
            Kind::Directory => Action::MakeDirectory,
            Kind::Link(target) => Action::Link(target),
            Kind::Special => {
                (monitor.warn)(&format!(
                    "{} is not a regular file and was left out",
                    path.display()
                ));
                continue;
            }
            Kind::File => {
                let source = Source::open(&path)?;
                let bytes = source.stamp.size;
                let by_name = path.extension().is_some_and(|e| e == MODEL_SUFFIX);
                if is_archive_name(&path) {
                    tree::refuse_pair(&path)?;
                    Action::Copy { bytes }
                } else if by_name
                    || layout::is_safetensors(&source.file, bytes).map_err(|e| source.error(e))?
                {
                    Action::Pack { bytes }
                } else {
                    Action::Copy { bytes }
                }
            }
        };
        steps.push(Step {
            relative: entry.relative,
            action,
        });
    }
    Ok(steps)
}

impl Step {
    fn bytes(&self) -> u64 {
        match self.action {
            Action::MakeDirectory | Action::Link(_) => 0,
            Action::Pack { bytes } => 2 * bytes,
            Action::Copy { bytes } => bytes,
        }
    }

    fn run(
        &self,
        from: &Path,
        to: &Path,
        options: &PackOptions,
        monitor: &Monitor<'_>,
    ) -> Result<Totals> {
        let (from, to) = (from.join(&self.relative), to.join(&self.relative));
        match &self.action {
            Action::MakeDirectory => tree::make_directory(&from, &to)?,
            Action::Link(target) => tree::make_link(target, &to, options.force)?,
            Action::Pack { .. } => {
                return pack_file(&from, &archive_path(&to), options, monitor);
            }
            Action::Copy { .. } => return tree::copy_file(&from, &to, options.force, monitor),
        }
        Ok(Totals::default())
    }
}
