//! Reading whole files in two ways, timed and summed up.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::os::read_full_at;
use crate::storage::MappedFile;

/// Bytes of a read, and of a copy out of a map.
const CHUNK_BYTES: usize = 1 << 20;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Map,
}

impl Way {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read()",
            Self::Map => "mmap",
        }
    }
}

/// How long it takes to read all of these files.
pub(super) fn timed(paths: &[PathBuf], way: Way) -> Result<Duration> {
    let start = Instant::now();
    for path in paths {
        // The copy out of the map is the work; without a use of it, it would be left out.
        chunks(path, way, |chunk| {
            std::hint::black_box(chunk);
        })?;
    }
    Ok(start.elapsed())
}

pub(super) fn sha256(path: &Path, way: Way) -> Result<[u8; 32]> {
    let mut sha256 = Sha256::new();
    chunks(path, way, |chunk| sha256.update(chunk))?;
    Ok(sha256.finalize().into())
}

/// Passes a file on in pieces, each copied to the same buffer.
fn chunks(path: &Path, way: Way, mut each: impl FnMut(&[u8])) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
    let file = open(path)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    match way {
        Way::Read => {
            let mut at = 0;
            loop {
                let read = read_full_at(&file, &mut buffer, at).map_err(cannot)?;
                if read == 0 {
                    return Ok(());
                }
                each(&buffer[..read]);
                at += read as u64;
            }
        }
        Way::Map => {
            let map = MappedFile::new(&file).map_err(cannot)?;
            for chunk in map.as_slice().chunks(CHUNK_BYTES) {
                let copy = &mut buffer[..chunk.len()];
                copy.copy_from_slice(chunk);
                each(copy);
            }
            Ok(())
        }
    }
}

pub(super) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io(format!("cannot open {}", path.display()), e))
}
