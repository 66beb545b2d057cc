//! Verifying: decode everything, check every checksum, write nothing.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::archives::named_archive;
use super::base_search::BaseSearch;
use super::blocks::{BlockWorker, for_each_block};
use super::fitting::{decoding_bytes, fitting_threads};
use super::inspect::tensors_of;
use super::monitor::Monitor;
use super::walk::walk;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::{ARCHIVE_SUFFIX, DEFAULT_BLOCK_BYTES, FidelitySummary};
use crate::model::Tensor;

/// Most problems of one archive that are kept; the rest are only counted.
const ENOUGH_LISTED: usize = 1000;

/// How to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Threads that decode.
    pub threads: NonZeroUsize,
    /// Compare the SHA-256 of the original as well.
    pub deep: bool,
    /// Where bases are that are not beside what rests on them.
    pub bases: BaseSearch,
}

/// Findings in one archive.
#[derive(Debug)]
pub struct Verification {
    /// The archive.
    pub path: PathBuf,
    /// Bytes of the original file, 0 if the archive could not be opened.
    pub original_bytes: u64,
    /// Bytes of the archive as it should be, 0 if it could not be opened.
    pub stored_bytes: u64,
    /// What it says of its lossy tensors, if it has any and that can be read.
    pub lossy: Option<FidelitySummary>,
    /// Number of problems; 0 means that every block decodes to the bytes it was made of, as far as
    /// its checksum can tell, and that both copies of the tables are whole.
    pub problem_count: u64,
    /// The first problems, tables first, then in file order.
    pub problems: Vec<Error>,
}

impl Verification {
    /// True if it was found not to hold what it was made of; what could not be read may be whole.
    pub fn is_damaged(&self) -> bool {
        self.problems.iter().any(Error::is_damage)
    }
}

/// The archives that a list of files and directories names, directories searched to the bottom.
#[derive(Debug, Default)]
pub struct FoundArchives {
    /// Their paths.
    pub archives: Vec<PathBuf>,
    /// What could not be looked at, and links that lead nowhere.
    pub failures: Vec<Error>,
}

/// Looks for archives.
///
/// # Errors
/// `Io` if a path cannot be read, `InvalidInput` if a directory holds no archive.
pub fn archives_in(paths: &[PathBuf]) -> Result<FoundArchives> {
    let mut found = FoundArchives::default();
    for path in paths {
        if !path.is_dir() {
            let archive = named_archive(path)?;
            fs::metadata(&archive)
                .map_err(|e| Error::io(format!("cannot read {}", path.display()), e))?;
            found.archives.push(archive);
            continue;
        }
        let walked = walk(path)?;
        let before = found.archives.len();
        found
            .archives
            .extend(walked.archives().map(Path::to_path_buf));
        if found.archives.len() == before {
            return Err(Error::InvalidInput(format!(
                "{}: no {ARCHIVE_SUFFIX} archive in this directory",
                path.display()
            )));
        }
        found.failures.extend(walked.failures);
    }
    Ok(found)
}

/// Verifies archives one after the other. One that cannot be opened is a problem of that one.
///
/// # Errors
/// `Interrupted`, or `Io` for want of memory.
pub fn verify(
    paths: &[PathBuf],
    options: &VerifyOptions,
    monitor: &Monitor<'_>,
) -> Result<Vec<Verification>> {
    let bytes_each = decoding_bytes(2 * DEFAULT_BLOCK_BYTES);
    let options = &VerifyOptions {
        threads: fitting_threads(options.threads, bytes_each, monitor)?,
        ..options.clone()
    };
    // Opened one at a time: there may be more than the system lets be mapped at once.
    let bytes = |path: &PathBuf| Some(ArchiveReader::open(path).ok()?.superblock().original_bytes);
    (monitor.begin)(paths.iter().filter_map(bytes).fold(0, u64::saturating_add));
    paths
        .iter()
        .map(|path| match options.bases.open(path, options.threads) {
            Ok(reader) => verify_reader(&reader, options, monitor),
            Err(problem) => Ok(unreadable(path, problem)),
        })
        .collect()
}

fn unreadable(path: &Path, problem: Error) -> Verification {
    Verification {
        path: path.to_path_buf(),
        original_bytes: 0,
        stored_bytes: 0,
        lossy: None,
        problem_count: 1,
        problems: vec![problem],
    }
}

fn verify_reader(
    reader: &ArchiveReader,
    options: &VerifyOptions,
    monitor: &Monitor<'_>,
) -> Result<Verification> {
    let superblock = reader.superblock();
    let mut problems = reader.check_tables();
    let mut problem_count = problems.len() as u64;
    let mut tensors = None;
    let mut sha256 = options.deep.then(Sha256::new);
    for_each_block(
        reader,
        options.threads,
        monitor,
        |worker: &mut BlockWorker<Option<Error>>| {
            worker.own = reader
                .verify_block(worker.block, &mut worker.decoder, &mut worker.decoded)
                .err();
            Ok(())
        },
        |worker| {
            let Some(problem) = worker.own.take() else {
                if let Some(sha256) = &mut sha256 {
                    sha256.update(&worker.decoded);
                }
                return Ok(());
            };
            // Of damaged bytes there is nothing to tell.
            sha256 = None;
            problem_count += 1;
            let is_told = |told: &Error| matches!((told, &problem), (Error::MissingBase(told), Error::MissingBase(again)) if told.what == again.what);
            // Of a base that is missing once, whatever rests on it.
            if problems.len() < ENOUGH_LISTED && !problems.iter().any(is_told) {
                // Only a damaged archive pays for its header.
                let tensors = tensors.get_or_insert_with(|| tensors_of(reader).unwrap_or_default());
                problems.push(with_tensors(problem, tensors, &worker.span.range));
            }
            Ok(())
        },
    )?;
    if let Some(sha256) = sha256
        && <[u8; 32]>::from(sha256.finalize()) != superblock.sha256
    {
        problem_count += 1;
        let problem = Error::corrupt("the decoded file fails its SHA-256");
        problems.push(problem.at(reader.path()));
    }
    let fidelity = reader.fidelity().unwrap_or_else(|problem| {
        problem_count += 1;
        problems.push(problem);
        Vec::new()
    });
    Ok(Verification {
        path: reader.path().to_path_buf(),
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        lossy: FidelitySummary::of(&fidelity),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::archive::{ArchiveWriter, Original, WrittenBeside};
    use crate::block::BlockEncoder;
    use crate::codec::Level;
    use crate::format::{ElementType, Extent, Geometry, checksum};

    #[test]
    fn deep_verification_finds_an_archive_of_another_file() {
        let bytes = vec![3; 10_000];
        let extent = Extent {
            start: 0,
            len: 10_000,
            element: ElementType::Bytes,
        };
        let geometry = Geometry::new(4096, &[extent]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer =
            ArchiveWriter::new(file.as_file(), &geometry, WrittenBeside::default()).unwrap();
        let mut encoder = BlockEncoder::new(Level::Default).unwrap();
        let mut stored = Vec::new();
        for span in (0..).map_while(|block| geometry.block(block)) {
            let block = &bytes[..span.buffer_bytes()];
            encoder
                .encode(block, span.element, &[], &mut stored)
                .unwrap();
            writer.append(&stored, checksum(block)).unwrap();
        }
        let original = Original {
            sha256: Sha256::digest(b"something else").into(),
            lossy: None,
            hashes: Vec::new(),
            mode: 0o644,
            mtime_seconds: 0,
            mtime_nanoseconds: 0,
        };
        writer.finish(&original).unwrap();
        let never = AtomicBool::new(false);
        let monitor = Monitor::silent(&never);
        for (deep, problems) in [(false, 0), (true, 1)] {
            let options = VerifyOptions {
                threads: NonZeroUsize::MIN,
                deep,
                bases: BaseSearch::default(),
            };
            let found = verify(&[file.path().to_path_buf()], &options, &monitor).unwrap();
            assert_eq!(found[0].problem_count, problems, "deep: {deep}");
        }
    }
}
