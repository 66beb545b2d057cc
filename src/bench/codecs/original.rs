//! What everyone compresses, and must give back.

use std::hash::Hasher;
use std::path::Path;

use twox_hash::XxHash3_64;

use super::contender::Contender;
use super::measured::Measured;
use super::stream;
use crate::error::{Error, Result};
use crate::job::Monitor;
use crate::job::source_file::SourceFile;
use crate::model::extents;

/// The file that everyone compresses. It must not change meanwhile.
pub struct Original {
    source: SourceFile,
    checksum: u64,
}

/// Opens a file that somebody names.
///
/// # Errors
/// `InvalidInput` if it is a directory or no regular file, `Io` if the system refuses.
pub(super) fn open_file(path: &Path) -> Result<SourceFile> {
    if path.is_dir() {
        return Err(Error::InvalidInput(format!(
            "{} is a directory; name a file in it",
            path.display()
        )));
    }
    SourceFile::open(path)
}

impl Original {
    /// Opens a file and reads it once.
    ///
    /// # Errors
    /// `InvalidInput` if it is empty or no regular file, `Io` if the system refuses, `Interrupted`.
    pub fn open(path: &Path, monitor: &Monitor<'_>) -> Result<Self> {
        let source = open_file(path)?;
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

    /// Whether records are in it that can be taken apart.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub fn has_records(&self) -> Result<bool> {
        let extents = extents::extents(&self.source)?;
        Ok(extents.iter().any(|extent| extent.element.is_record()))
    }

    /// # Errors
    /// `Environment` if somebody has written to it since it was opened.
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
            (Contender::Archive(..) | Contender::Beside(_), None) => Ok(()),
            (_, Some(checksum)) if checksum == self.checksum => Ok(()),
            (_, Some(_)) => differs("as many bytes, but other ones"),
            (Contender::Stream(..), None) => differs("what was decoded has no checksum"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::fs;
    use std::num::NonZeroUsize;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::bench::codecs::contender::Tool;
    use crate::bench::codecs::measured::{decode, encode};

    #[test]
    fn streams_that_give_back_something_else_are_told_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, [7; 100_000]).unwrap();
        let cancel = AtomicBool::new(false);
        let monitor = Monitor::silent(&cancel);
        let original = Original::open(&path, &monitor).unwrap();
        let base = directory.path().join("base");
        fs::write(&base, [6; 100_000]).unwrap();
        for tool in [
            Tool::Gzip,
            Tool::Bzip2,
            Tool::Xz,
            Tool::Zstd,
            Tool::StreamsZstd,
            Tool::XorZstd,
        ] {
            let contender = Contender::Stream(tool, 1);
            let coded = directory.path().join(contender.to_string());
            let one = NonZeroUsize::MIN;
            let stored = encode(contender, (&path, Some(&base)), &coded, one, &monitor).unwrap();
            assert_eq!(stored.bytes, fs::metadata(&coded).unwrap().len());
            let decoded = decode(contender, (&coded, Some(&base)), one, &monitor).unwrap();
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
            let cut = decode(contender, (&coded, Some(&base)), one, &monitor);
            assert!(cut.is_err() || original.compare(contender, &cut.unwrap()).is_err());
        }
    }
}
