//! One measured run: encoding, or decoding, in this process.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::contender::Contender;
use super::stream;
use crate::codec::Method;
use crate::error::{Error, Result};
use crate::job::source_file::SourceFile;
use crate::job::{BaseAsked, Monitor, PackOptions, VerifyOptions, pack_file, verify};
use crate::os::memory_bytes;

/// What one run took and gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Time of the work alone.
    pub seconds: f64,
    /// Most memory that this process has held so far.
    pub peak_bytes: u64,
    /// Bytes that came out: stored ones of encoding, original ones of decoding.
    pub bytes: u64,
    /// XXH3 of the decoded bytes, where that was not compared block by block.
    pub checksum: Option<u64>,
}

/// Compresses `from`, beside a base if there is one, into `to`, which must not exist. Streams use one thread whatever is asked for.
///
/// # Errors
/// Whatever keeps the contender from writing.
pub fn encode(
    contender: Contender,
    (from, base): (&Path, Option<&Path>),
    to: &Path,
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Measured> {
    let source = read_ahead(from)?;
    let open_base = base.map(read_ahead).transpose()?;
    let start = Instant::now();
    let pack = |method, level| {
        let options = PackOptions {
            method,
            level,
            threads,
            base: base.map(|base| BaseAsked::Named(base.to_path_buf())),
            ..PackOptions::default()
        };
        pack_file(from, to, &options, monitor).map(drop)
    };
    match contender {
        Contender::Archive(method, level) => pack(method, level)?,
        Contender::Beside(level) => pack(Method::Weights, level)?,
        Contender::Stream(tool, level) => {
            let files = (&source, open_base.as_ref());
            stream::encode(tool, level, files, to, monitor)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let stored = fs::metadata(to)
        .map_err(|e| Error::io(format!("cannot read {}", to.display()), e))?
        .len();
    Ok(Measured {
        seconds,
        peak_bytes: peak_resident_bytes()?,
        bytes: stored,
        checksum: None,
    })
}

/// Decodes what `encode` wrote, into nowhere.
///
/// # Errors
/// `Corrupt` if an archive does not hold what was packed, or whatever keeps it from being read.
pub fn decode(
    contender: Contender,
    (from, base): (&Path, Option<&Path>),
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Measured> {
    read_ahead(from)?;
    let base = base.map(read_ahead).transpose()?;
    let start = Instant::now();
    let (bytes, checksum) = match contender {
        Contender::Archive(..) | Contender::Beside(_) => (verified(from, threads, monitor)?, None),
        Contender::Stream(tool, _) => {
            let (bytes, checksum) = stream::decode(tool, from, base.as_ref(), monitor)?;
            (bytes, Some(checksum))
        }
    };
    Ok(Measured {
        seconds: start.elapsed().as_secs_f64(),
        peak_bytes: peak_resident_bytes()?,
        bytes,
        checksum,
    })
}

fn verified(archive: &Path, threads: NonZeroUsize, monitor: &Monitor<'_>) -> Result<u64> {
    let path = PathBuf::from(archive);
    let mut bytes = 0;
    let options = VerifyOptions {
        threads,
        deep: false,
        bases: crate::job::BaseSearch::default(),
    };
    for found in verify(slice::from_ref(&path), &options, monitor)? {
        bytes += found.original_bytes;
        if let Some(problem) = found.problems.into_iter().next() {
            return Err(problem);
        }
    }
    Ok(bytes)
}

/// So that the work is timed, and not the disk.
fn read_ahead(path: &Path) -> Result<SourceFile> {
    let source = SourceFile::open(path)?;
    stream::for_each_piece(&source, |_| Ok(()))?;
    Ok(source)
}

/// The most memory that this process has held: `VmHWM`, since `ru_maxrss` starts with that of the
/// process that started it.
fn peak_resident_bytes() -> Result<u64> {
    memory_bytes("VmHWM").map_err(|e| Error::io("cannot tell the peak of memory", e))
}
