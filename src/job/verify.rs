//! Verifying: decode everything, check every checksum, write nothing.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

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
    /// Number of problems; 0 means that every block decodes to the bytes it was made of, as far as
    /// its checksum can tell, and that both copies of the tables are whole.
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

/// Verifies archives one after the other. One that cannot be opened is a problem of that one.
///
/// # Errors
/// `Interrupted`, or `Io` for want of memory.
pub fn verify(
    paths: &[PathBuf],
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Vec<Verification>> {
    // Opened one at a time: there may be more than the system lets be mapped at once.
    let bytes = |path: &PathBuf| Some(ArchiveReader::open(path).ok()?.superblock().original_bytes);
    (monitor.begin)(paths.iter().filter_map(bytes).sum());
    paths
        .iter()
        .map(|path| match ArchiveReader::open(path) {
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
    let mut tensors = None;
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
                        // Only a damaged archive pays for its header.
                        let tensors =
                            tensors.get_or_insert_with(|| tensors_of(reader).unwrap_or_default());
                        let range = geometry.block(worker.block).map_or(0..0, |span| span.range);
                        problems.push(with_tensors(problem, tensors, &range));
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

/// Names the tensors that share bytes with a damaged range.
fn with_tensors(problem: Error, tensors: &[Tensor], range: &Range<u64>) -> Error {
    let mut hit = tensors
        .iter()
        .filter(|t| t.range.start < range.end && range.start < t.range.end);
    match hit.next() {
        Some(first) => problem.in_tensors(&first.name, hit.count()),
        None => problem,
    }
}
