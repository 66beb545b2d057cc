//! Reading an archive back while it is written: each block is read from the disk, decoded, and
//! compared with the source, some batches behind the writer.
//!
//! Two things are told apart: what reading gives, which all checksums are of, and what it was made from.
//! What the encoder says of their relation is what comparing them asks for.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::vec;

use sha2::{Digest, Sha256};

use super::kin::KinPlan;
use super::lossy::{Comparer, Errors, LossyPlan, TreatedBlock};
use super::monitor::Monitor;
use super::output::OutputFile;
use super::pipeline;
use super::source_file::SourceFile;
use super::tensor_hasher::TensorHasher;
use crate::archive::ArchiveReader;
use crate::block::{Beside, BlockDecoder};
use crate::error::{Error, Result};
use crate::format::{
    BlockEntry, BlockHeader, BlockSpan, Fidelity, Geometry, Profiles, Superblock, checksum,
};
use crate::os::{drop_cached, read_full_at, start_write_back};

/// Bytes whose blocks go to the disk, and come back from it, in one piece: what these rest on is then still
/// decoded when they are compared.
const BATCH_BYTES: u64 = 16 << 20;
/// Batches that may wait to be read back. Bounds how far the writer runs ahead, so that the source
/// is still in the page cache when it is compared.
const WAITING_BATCHES: usize = 16;

/// A block that was written, and what it will decode to of the bytes it was made from.
#[derive(Clone, Copy)]
struct WrittenBlock {
    entry: BlockEntry,
    fidelity: Fidelity,
}

/// Blocks that were written one behind the other.
struct Batch {
    range: Range<u64>,
    blocks: Vec<WrittenBlock>,
}

/// The end of the writer.
pub(super) struct Written<'a> {
    output: &'a OutputFile,
    batch: Vec<WrittenBlock>,
    /// What those decode to.
    bytes: u64,
    batches: SyncSender<Batch>,
}

/// The end of the reader.
pub(super) struct Unread {
    batches: Receiver<Batch>,
    /// What is left of the last one.
    batch: vec::IntoIter<WrittenBlock>,
}

/// Connects the writer of `output` with what reads it back.
pub(super) fn channel(output: &OutputFile) -> (Written<'_>, Unread) {
    let (batches, received) = sync_channel(WAITING_BATCHES);
    let written = Written {
        output,
        batch: Vec::new(),
        bytes: 0,
        batches,
    };
    let unread = Unread {
        batches: received,
        batch: Vec::new().into_iter(),
    };
    (written, unread)
}

impl Written<'_> {
    /// Notes that the next block, of so many bytes, was written.
    ///
    /// # Errors
    /// `Io` if the disk fails, `Interrupted` if nobody reads back any more.
    pub(super) fn add(&mut self, entry: BlockEntry, fidelity: Fidelity, bytes: u64) -> Result<()> {
        self.batch.push(WrittenBlock { entry, fidelity });
        self.bytes += bytes;
        if self.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.hand_over()
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// As `add`.
    pub(super) fn finish(mut self) -> Result<()> {
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let blocks = std::mem::take(&mut self.batch);
        let range = range(&blocks);
        start_write_back(self.output.file(), &range).map_err(|e| self.output.cannot_write(e))?;
        self.batches
            .send(Batch { range, blocks })
            .map_err(|_| Error::Interrupted)
    }
}

impl Unread {
    /// The next block that was written, once it is on the disk; `None` when the writer has ended.
    fn next(&mut self, output: &OutputFile) -> Result<Option<WrittenBlock>> {
        loop {
            if let Some(block) = self.batch.next() {
                return Ok(Some(block));
            }
            let Ok(batch) = self.batches.recv() else {
                return Ok(None);
            };
            // It is the disk's copy that counts. Where the system does not drop it from memory,
            // comparing still finds every mistake but the disk's.
            drop_cached(output.file(), &batch.range).map_err(|e| output.cannot_write(e))?;
            self.batch = batch.blocks.into_iter();
        }
    }
}

fn range(blocks: &[WrittenBlock]) -> Range<u64> {
    let start = blocks.first().map_or(0, |first| first.entry.offset);
    let end = |last: &WrittenBlock| last.entry.offset + u64::from(last.entry.stored_len);
    start..blocks.last().map_or(start, end)
}

/// Findings of reading all blocks back.
pub(super) struct Compared {
    /// SHA-256 of what reading gives.
    pub(super) sha256: [u8; 32],
    /// SHA-256 of the source.
    pub(super) source_sha256: [u8; 32],
    /// For each lossy tensor of the plan how far what is served is from the source, and its stored bytes.
    pub(super) lossy: Vec<(Errors, u64)>,
    /// The hashes of tensors of what reading gives.
    pub(super) hashes: Vec<u8>,
    /// Of their entries.
    pub(super) entries: EntriesChecksum,
}

/// A checksum of entries one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EntriesChecksum(u64);

impl EntriesChecksum {
    fn add(&mut self, entry: &BlockEntry) {
        let words = [
            self.0,
            entry.offset,
            entry.stored_len.into(),
            entry.decoded_checksum,
            entry.stored_checksum,
        ];
        self.0 = checksum(words.map(u64::to_le_bytes).as_flattened());
    }
}

struct Worker<'p> {
    plan: &'p LossyPlan,
    decoder: BlockDecoder,
    block: u64,
    span: BlockSpan,
    entry: BlockEntry,
    fidelity: Fidelity,
    stored: Vec<u8>,
    /// What reading gives.
    decoded: Vec<u8>,
    /// What it was made from.
    original: Vec<u8>,
    /// The lossy tensor that it is of, and how far it is from that.
    lossy: Option<(usize, Errors)>,
    comparer: Comparer,
}

/// Reads back what the writer hands over until it ends, and compares every byte it decodes to with
/// the source.
///
/// # Errors
/// `Corrupt` if the disk gave back something else, `Environment` if the source has changed.
pub(super) fn compare(
    mut unread: Unread,
    source: &SourceFile,
    output: &OutputFile,
    (geometry, profiles, plan, kin): (&Geometry, &[u8], &LossyPlan, &KinPlan),
    mut hasher: TensorHasher,
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Compared> {
    let profiles_checksum = checksum(profiles);
    let mut sha256 = Sha256::new();
    let is_lossy = !plan.tensors.is_empty();
    let mut source_sha256 = Sha256::new();
    let mut lossy = vec![(Errors::default(), 0); plan.tensors.len()];
    let mut checked = EntriesChecksum::default();
    let mut next = 0;
    let workers = (0..threads.get())
        .map(|_| {
            Ok(Worker {
                plan,
                decoder: BlockDecoder::new()?,
                block: 0,
                span: BlockSpan::EMPTY,
                entry: BlockEntry::default(),
                fidelity: Fidelity::default(),
                stored: Vec::new(),
                decoded: Vec::new(),
                original: Vec::new(),
                lossy: None,
                comparer: Comparer::default(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    pipeline::run(
        workers,
        monitor.cancel,
        |worker| {
            let Some(written) = unread.next(output)? else {
                return Ok(false);
            };
            let Some(span) = geometry.block(next) else {
                return Ok(false);
            };
            (worker.entry, worker.fidelity) = (written.entry, written.fidelity);
            worker.span = span;
            worker.block = next;
            next += 1;
            Ok(true)
        },
        |worker| {
            let profiles = Profiles::new(profiles, profiles_checksum);
            worker.compare(source, output, profiles, kin)
        },
        |worker| {
            sha256.update(&worker.decoded);
            hasher.take(&worker.decoded);
            if is_lossy {
                source_sha256.update(&worker.original);
            }
            if let Some((number, errors)) = &worker.lossy {
                let (sum, stored_bytes) = &mut lossy[*number];
                sum.add(errors);
                *stored_bytes += u64::from(worker.entry.stored_len);
            }
            checked.add(&worker.entry);
            // What encoding has left of the block to count.
            (monitor.progress)((worker.decoded.len() as u64).div_ceil(2));
            Ok(())
        },
    )?;
    let sha256 = sha256.finalize().into();
    Ok(Compared {
        sha256,
        source_sha256: if is_lossy {
            source_sha256.finalize().into()
        } else {
            sha256
        },
        lossy,
        hashes: hasher.table(),
        entries: checked,
    })
}

impl Worker<'_> {
    fn compare(
        &mut self,
        source: &SourceFile,
        output: &OutputFile,
        profiles: Profiles<'_>,
        kin: &KinPlan,
    ) -> Result<()> {
        let in_archive = |error: Error| {
            error
                .at_block(self.block, self.span.range.clone())
                .at(output.path())
        };
        self.stored.resize(self.entry.stored_len as usize, 0);
        let read = read_full_at(output.file(), &mut self.stored, self.entry.offset)
            .map_err(|e| Error::io(format!("cannot read back {}", output.path().display()), e))?;
        self.decoded.resize(self.span.buffer_bytes(), 0);
        let stored = &self.stored[..read];
        let (decoder, entry, decoded) = (&mut self.decoder, &self.entry, &mut self.decoded);
        let mut verify = |base: &[u8]| {
            let beside = Beside { profiles, base };
            decoder.verify_into(stored, entry, beside, decoded)
        };
        match BlockHeader::reference_of(stored) {
            None => verify(&[]),
            Some((element, reference)) => {
                let base = kin.base(reference.base);
                let base = base.ok_or_else(|| Error::corrupt("there is no base of that number"));
                let range = reference.range_of_block(element, self.span.buffer_bytes());
                base.and_then(|base| base.with(range, &mut verify))
            }
        }
        .map_err(in_archive)?;
        source.read_block(&self.span, &mut self.original)?;
        let block = self.plan.block(&self.span);
        let is_as_made = match (self.fidelity, &block) {
            (Fidelity::Exact, _) => self.decoded == self.original,
            (Fidelity::Lossy, Some(block)) => {
                let (original, decoded) = (&self.original, &self.decoded);
                let errors = self.comparer.compare(block, source, original, decoded)?;
                self.lossy = Some((block.number, errors));
                errors.past == 0
            }
            // Nothing else is to be lossy.
            (Fidelity::Lossy, None) => false,
        };
        if self.fidelity == Fidelity::Exact {
            let count = |block: &TreatedBlock<'_>| block.elements(&self.span);
            self.lossy = block
                .as_ref()
                .map(|block| (block.number, Errors::none(count(block))));
        }
        if let (false, Fidelity::Lossy, Some(block)) = (is_as_made, self.fidelity, &block) {
            source.check_unchanged()?;
            return Err(in_archive(Error::corrupt(format!(
                "a number of {} is farther from the source than its bound: a fault of weightfs",
                block.tensor.name
            ))));
        }
        if is_as_made {
            Ok(())
        } else {
            // The archive holds what was read first: its checksums are right.
            Err(source.changed())
        }
    }
}

/// Compares the tables of the finished archive with what was written and with the entries of the
/// blocks that were compared.
///
/// # Errors
/// `Corrupt` if something else was read back.
pub(super) fn compare_tables(
    output: &OutputFile,
    superblock: &Superblock,
    entries: EntriesChecksum,
) -> Result<()> {
    drop_cached(output.file(), &(0..superblock.archive_bytes))
        .map_err(|e| output.cannot_write(e))?;
    let reader = ArchiveReader::from_file(output.file(), output.path())?;
    if let Some(problem) = reader.check_tables().pop() {
        return Err(problem);
    }
    let mut read_back = EntriesChecksum::default();
    for block in 0..superblock.block_count {
        read_back.add(&reader.entry(block)?);
    }
    if reader.superblock() != superblock || read_back != entries {
        return Err(Error::corrupt("the tables were read back differently").at(output.path()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::archive::{ArchiveWriter, Original, WrittenBeside};
    use crate::block::BlockEncoder;
    use crate::codec::Level;
    use crate::model::extents;
    use crate::os::write_all_at;

    static NEVER: AtomicBool = AtomicBool::new(false);
    const MONITOR: Monitor<'_> = Monitor::silent(&NEVER);
    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    struct Files {
        _directory: tempfile::TempDir,
        path: PathBuf,
        source: SourceFile,
        output: OutputFile,
        geometry: Geometry,
        bytes: Vec<u8>,
    }

    /// Bytes that do not compress: several batches.
    fn files() -> Files {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        let mut bytes = vec![0; 40 << 20];
        fastrand::Rng::with_seed(1).fill(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let source = SourceFile::open(&path).unwrap();
        let output = OutputFile::create(&directory.path().join("archive"), false).unwrap();
        let extents = extents::extents(&source).unwrap();
        Files {
            geometry: Geometry::new(256 << 10, &extents).unwrap(),
            _directory: directory,
            path,
            source,
            output,
            bytes,
        }
    }

    /// Writes all blocks, lets `damage` do something, and reads back; then the tables.
    fn write_and_compare(files: &Files, damage: impl FnOnce()) -> Result<()> {
        let Files {
            source,
            output,
            geometry,
            bytes,
            ..
        } = files;
        let mut writer = ArchiveWriter::new(output.file(), geometry, WrittenBeside::default())?;
        let mut encoder = BlockEncoder::new(Level::Fast)?;
        let (mut written, unread) = channel(output);
        let mut stored = Vec::new();
        for span in (0..).map_while(|block| geometry.block(block)) {
            let start = usize::try_from(span.range.start).unwrap();
            let block = &bytes[start..start + span.buffer_bytes()];
            let encoded = encoder.encode(block, span.element, &[], &mut stored)?;
            let entry = writer.append(&stored, encoded.decoded_checksum)?;
            written.add(entry, encoded.fidelity, block.len() as u64)?;
        }
        written.finish()?;
        damage();
        let plan = LossyPlan::default();
        let compared = compare(
            unread,
            source,
            output,
            (geometry, &[], &plan, &KinPlan::default()),
            TensorHasher::new(source)?,
            ONE,
            &MONITOR,
        )?;
        assert_eq!(compared.sha256, *Sha256::digest(bytes));
        let superblock = writer.finish(&Original {
            sha256: compared.sha256,
            lossy: None,
            hashes: Vec::new(),
            mode: 0o644,
            mtime_seconds: 0,
            mtime_nanoseconds: 0,
        })?;
        compare_tables(output, &superblock, compared.entries)?;
        let mut others = compared.entries;
        others.add(&BlockEntry::default());
        assert!(compare_tables(output, &superblock, others).is_err());
        Ok(())
    }

    #[test]
    fn what_was_written_is_compared_byte_by_byte() {
        write_and_compare(&files(), || {}).unwrap();
    }

    #[test]
    fn a_block_that_comes_back_differently_is_an_error() {
        let files = files();
        let damage = || write_all_at(files.output.file(), b"?", 30 << 20).unwrap();
        let error = write_and_compare(&files, damage).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("block"), "{error}");
    }

    #[test]
    fn a_source_that_changes_meanwhile_is_an_error() {
        let files = files();
        let change = || {
            let file = std::fs::File::options().write(true).open(&files.path);
            write_all_at(&file.unwrap(), b"????????", 20 << 20).unwrap();
        };
        let error = write_and_compare(&files, change).unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
    }

    #[test]
    fn a_writer_with_nothing_to_hand_over_needs_nobody() {
        let files = files();
        let (written, unread) = channel(&files.output);
        drop(unread);
        written.finish().unwrap();
    }

    #[test]
    fn a_writer_ends_when_nobody_reads_back() {
        let files = files();
        let (mut written, unread) = channel(&files.output);
        drop(unread);
        let entry = BlockEntry {
            stored_len: u32::MAX,
            ..BlockEntry::default()
        };
        assert!(matches!(
            written.add(entry, Fidelity::Exact, u64::MAX),
            Err(Error::Interrupted)
        ));
    }
}
