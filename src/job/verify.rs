//! Verifying: decode everything, check every checksum, write nothing.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Monitor;
use super::inspect::tensors_of;
use crate::archive::ArchiveReader;
use crate::block::BlockDecoder;
use crate::error::{Error, Result};
use crate::pipeline;
use crate::safetensors::Tensor;

/// Most problems of one archive that are kept; the rest are only counted.
const MAX_LISTED: usize = 1000;

/// What was found in one archive.
#[derive(Debug)]
pub struct Verification {
    /// The archive.
    pub path: PathBuf,
    /// Bytes of the original file, 0 if the archive could not be opened.
    pub original_bytes: u64,
    /// Bytes of the archive as it should be, 0 if it could not be opened.
    pub stored_bytes: u64,
    /// Number of problems; 0 means that every byte is right.
    pub problem_count: u64,
    /// The first problems, tables first, then in file order.
    pub problems: Vec<Error>,
}

struct Worker {
    decoder: BlockDecoder,
    block: u64,
    decoded: Vec<u8>,
    problem: Option<Error>,
}

/// Verifies archives one after the other. One that cannot be read as an archive at all counts as
/// damaged.
///
/// # Errors
/// `Io` if a file cannot be read, `Unsupported` if one needs a newer version, `Interrupted`.
pub fn verify(
    paths: &[PathBuf],
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Vec<Verification>> {
    let readers = paths
        .iter()
        .map(|path| match ArchiveReader::open(path) {
            Err(error @ (Error::Corrupt(_) | Error::InvalidInput(_))) => Ok(Err(error)),
            other => other.map(Ok),
        })
        .collect::<Result<Vec<_>>>()?;
    let bytes = readers
        .iter()
        .flatten()
        .map(|reader| reader.superblock().original_bytes)
        .sum();
    (monitor.begin)(bytes);
    paths
        .iter()
        .zip(readers)
        .map(|(path, reader)| match reader {
            Ok(reader) => verify_reader(&reader, threads, monitor),
            Err(problem) => Ok(unreadable(path, problem)),
        })
        .collect()
}

fn unreadable(path: &Path, problem: Error) -> Verification {
    Verification {
        path: path.to_path_buf(),
        original_bytes: 0,
        stored_bytes: 0,
        problem_count: 1,
        problems: vec![problem],
    }
}

fn verify_reader(
    reader: &ArchiveReader,
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Verification> {
    let superblock = reader.superblock();
    let geometry = reader.geometry();
    let workers = (0..threads.get())
        .map(|_| {
            Ok(Worker {
                decoder: BlockDecoder::new()?,
                block: 0,
                decoded: Vec::new(),
                problem: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut problems = reader.check_tables();
    let mut problem_count = problems.len() as u64;
    let tensors = Mutex::new(None);
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
            worker.decoded.resize(span.buffer_bytes(), 0);
            worker.problem = reader
                .verify_block(worker.block, &mut worker.decoder, &mut worker.decoded)
                .err();
            (monitor.progress)(worker.decoded.len() as u64);
            Ok(())
        },
        |worker| {
            match worker.problem.take() {
                None => return Ok(()),
                Some(problem @ Error::Corrupt(_)) => {
                    problem_count += 1;
                    if problems.len() < MAX_LISTED {
                        let mut tensors = tensors
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                        // Only a damaged archive pays for its header.
                        let tensors =
                            tensors.get_or_insert_with(|| tensors_of(reader).unwrap_or_default());
                        let range = geometry.block(worker.block).map_or(0..0, |span| span.range);
                        problems.push(problem.in_tensors(names_in(tensors, &range)));
                    }
                }
                Some(other) => return Err(other),
            }
            Ok(())
        },
    )?;
    Ok(Verification {
        path: reader.path().to_path_buf(),
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        problem_count,
        problems,
    })
}

/// The tensors that share bytes with a range.
fn names_in(tensors: &[Tensor], range: &std::ops::Range<u64>) -> Vec<String> {
    tensors
        .iter()
        .filter(|t| t.range.start < range.end && range.start < t.range.end)
        .map(|tensor| tensor.name.clone())
        .collect()
}
