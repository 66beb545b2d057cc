//! One measured run, and what it is held against.

use std::fs;
use std::hash::Hasher;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::{Contender, stream};
use crate::error::{Error, Result};
use crate::job::source_file::SourceFile;
use crate::job::{Monitor, PackOptions, VerifyOptions, pack_file, verify};
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

/// The file that everyone compresses. It must not change meanwhile.
pub struct Original {
    source: SourceFile,
    checksum: u64,
}

impl Original {
    /// Opens a file and reads it once.
    ///
    /// # Errors
    /// `InvalidInput` if it is empty or no regular file, `Io` if the system refuses, `Interrupted`.
    pub fn open(path: &Path, monitor: &Monitor<'_>) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::InvalidInput(format!(
                "{} is a directory; name a file in it",
                path.display()
            )));
        }
        let source = SourceFile::open(path)?;
        if source.stamp.size == 0 {
            return Err(Error::InvalidInput(format!(
                "{} is empty: there is nothing to compress",
                path.display()
            )));
        }
        (monitor.begin)(source.stamp.size);
        let mut hasher = XxHash3_64::new();
        stream::for_each_piece(&source, |piece| {
            monitor.check()?;
            hasher.write(piece);
            (monitor.progress)(piece.len() as u64);
            Ok(())
        })?;
        Ok(Self {
            source,
            checksum: hasher.finish(),
        })
    }

    /// Its length.
    pub const fn bytes(&self) -> u64 {
        self.source.stamp.size
    }

    /// # Errors
    /// `InvalidInput` if somebody has written to it since it was opened.
    pub fn check_unchanged(&self) -> Result<()> {
        self.source.check_unchanged()
    }

    /// Holds what was decoded against the original.
    ///
    /// # Errors
    /// `Corrupt` if it is something else; the message names the contender.
    pub fn compare(&self, contender: Contender, decoded: &Measured) -> Result<()> {
        let differs = |how: &str| {
            Err(Error::corrupt(format!(
                "{contender} does not give back {}: {how}",
                self.source.path.display()
            )))
        };
        if decoded.bytes != self.bytes() {
            return differs(&format!(
                "{} bytes instead of {}",
                decoded.bytes,
                self.bytes()
            ));
        }
        match (contender, decoded.checksum) {
            // Packing compared every byte, and decoding every checksum.
            (Contender::Archive(..), None) => Ok(()),
            (_, Some(checksum)) if checksum == self.checksum => Ok(()),
            (_, Some(_)) => differs("as many bytes, but other ones"),
            (Contender::Stream(..), None) => differs("what was decoded has no checksum"),
        }
    }
}

/// Compresses `from` into `to`, which must not exist. Streams use one thread whatever is asked for.
///
/// # Errors
/// Whatever keeps the contender from writing.
pub fn encode(
    contender: Contender,
    from: &Path,
    to: &Path,
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Measured> {
    let source = read_ahead(from)?;
    let start = Instant::now();
    match contender {
        Contender::Archive(method, level) => {
            let options = PackOptions {
                method,
                level,
                threads,
                ..PackOptions::default()
            };
            pack_file(from, to, &options, monitor)?;
        }
        Contender::Stream(tool, level) => stream::encode(tool, level, &source, to, monitor)?,
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
    from: &Path,
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Measured> {
    read_ahead(from)?;
    let start = Instant::now();
    let (bytes, checksum) = match contender {
        Contender::Archive(..) => (verified(from, threads, monitor)?, None),
        Contender::Stream(tool, _) => {
            let (bytes, checksum) = stream::decode(tool, from, monitor)?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::bench::codecs::Tool;

    #[test]
    fn streams_that_give_back_something_else_are_told_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, [7; 100_000]).unwrap();
        let cancel = AtomicBool::new(false);
        let monitor = Monitor::silent(&cancel);
        let original = Original::open(&path, &monitor).unwrap();
        for tool in [Tool::Gzip, Tool::Bzip2, Tool::Xz, Tool::Zstd] {
            let contender = Contender::Stream(tool, 1);
            let coded = directory.path().join(contender.to_string());
            let one = NonZeroUsize::MIN;
            let stored = encode(contender, &path, &coded, one, &monitor).unwrap();
            assert_eq!(stored.bytes, fs::metadata(&coded).unwrap().len());
            let decoded = decode(contender, &coded, one, &monitor).unwrap();
            original.compare(contender, &decoded).unwrap();
            for wrong in [
                Measured {
                    bytes: 99_999,
                    ..decoded.clone()
                },
                Measured {
                    checksum: Some(1),
                    ..decoded.clone()
                },
                Measured {
                    checksum: None,
                    ..decoded.clone()
                },
            ] {
                let error = original.compare(contender, &wrong).unwrap_err().to_string();
                assert!(error.contains(&contender.to_string()), "{error}");
            }
            // Cut short, nothing passes for the whole.
            let bytes = fs::read(&coded).unwrap();
            fs::write(&coded, &bytes[..bytes.len() / 2]).unwrap();
            let cut = decode(contender, &coded, one, &monitor);
            assert!(cut.is_err() || original.compare(contender, &cut.unwrap()).is_err());
        }
    }
}
