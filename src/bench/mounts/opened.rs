//! Opening what is read so that all of it, or nothing of it, is in the page cache.

use std::fs::File;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

use super::args::MOUNT;
use super::reader::{PIECE_BYTES, Reader};
use super::setup::Setup;
use super::targets::Target;
use crate::console::size::megabytes;
use crate::error::{Error, Result};
use crate::os::{PageBuffer, cached_bytes};

/// A file, as far as the page cache is as it should be.
pub(super) enum Opened {
    /// With so many bytes in the page cache.
    Ready(File, u64),
    /// The page cache is not as it should be.
    Not(String),
}

/// Opens a file of which nothing is in the page cache. What an archive's mount decodes from is
/// there, unless all is to come from the disk.
pub(super) fn open_cold(setup: &Setup<'_>, target: &Target<'_>) -> Result<Opened> {
    let file = setup.open(target)?;
    let cannot = |e| Error::io(format!("cannot drop {} from memory", target.name), e);
    let stays = |what: &str, left: u64| {
        format!(
            "{what} {:.1} MB stay in the page cache, which another process may use; \
             nothing was measured cold",
            megabytes(left)
        )
    };
    if target.name == MOUNT {
        if setup.args.storage {
            // After opening: by then the mount has read the tables, which it keeps mapped.
            let left = drop_cached(&setup.archive).map_err(cannot)?;
            if left > negligible(setup.archive.metadata().map_err(cannot)?.len()) {
                return Ok(Opened::Not(stays("of the archive,", left)));
            }
        } else {
            read_through(setup, &setup.archive, &setup.args.archive)?;
        }
    }
    let left = drop_cached(&file).map_err(cannot)?;
    Ok(if left > negligible(target.bytes) {
        Opened::Not(stays("of the file,", left))
    } else {
        Opened::Ready(file, left)
    })
}

/// Opens a file all of which is in the page cache.
pub(super) fn open_warm(setup: &Setup<'_>, target: &Target<'_>) -> Result<Opened> {
    let file = setup.open(target)?;
    let path = target.present_path()?;
    let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
    let enough = target.bytes - negligible(target.bytes);
    // Whatever the kernel tells: of files of others it tells nothing.
    read_through(setup, &file, path).map_err(|error| setup.explain(target, error))?;
    let cached = cached_bytes(&file).map_err(cannot)?;
    Ok(if cached < enough {
        Opened::Not("the page cache does not hold all of it; nothing was measured warm".into())
    } else {
        Opened::Ready(file, cached)
    })
}

fn read_through(setup: &Setup<'_>, file: &File, path: &Path) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
    let reader = Reader {
        path,
        file,
        bytes: file.metadata().map_err(cannot)?.len(),
        watch: setup.watch,
    };
    reader.read_range(0..reader.bytes, &mut PageBuffer::new(PIECE_BYTES), || {})
}

/// Drops a file from the page cache; returns how many bytes of it stay there nevertheless, because
/// somebody has them mapped or because they are too few to matter.
///
/// # Errors
/// What the system answered.
fn drop_cached(file: &File) -> std::io::Result<u64> {
    // Pages that are not on the disk yet would stay.
    let _ = file.sync_all();
    fadvise(file, 0, None, Advice::DontNeed)?;
    cached_bytes(file)
}

/// Bytes that make no difference: the tables of an archive that its mount has read, the end of a file
/// that does not fill its page.
fn negligible(file_bytes: u64) -> u64 {
    (file_bytes / 64).max(256 << 10)
}
