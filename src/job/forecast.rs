//! What replacing the files of a whole directory will take and save, and the room that it needs meanwhile, before
//! anything is touched.
//!
//! Invariant: however large the directory, no more is encoded than one sample, of which each file has its share.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::monitor::Monitor;
use super::pack_options::PackOptions;
use super::preview::{Previews, preview_share};
use super::replace::{Replacement, Replacements};
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};

/// Bytes of all files that are encoded: as many as `analyze` looks at.
const SAMPLE_BYTES: u64 = 256 << 20;
/// The least share of a file: some blocks.
const LEAST_SHARE: u64 = 4 << 20;
/// An archive may become larger than its sample told, by one in so many.
const UNSURE: u64 = 32;
/// What directories and their like take beside files.
const BESIDE_BYTES: u64 = 16 << 20;

/// What a file in the place of another takes and gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Bytes of what comes.
    pub comes: u64,
    /// Bytes of what goes, once all of what comes is there. Nothing where another name keeps them on the disk.
    pub goes: u64,
}

/// Bytes that must be free for exchanges one behind the other.
pub fn needed_bytes(exchanges: impl IntoIterator<Item = Exchange>) -> u64 {
    let (mut taken, mut most) = (0_i128, 0_i128);
    for one in exchanges {
        taken += i128::from(one.comes);
        most = most.max(taken);
        taken -= i128::from(one.goes);
    }
    match most {
        0 => 0,
        most => u64::try_from(most)
            .unwrap_or(u64::MAX)
            .saturating_add(BESIDE_BYTES),
    }
}

/// What packing these files in place will take: the small ones are put first, so that they make room for the large.
/// Files that would not be packed for a reason are among the failures.
///
/// # Errors
/// `Environment` if there is too little memory; `Interrupted`.
pub fn forecast(
    found: &mut Replacements,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<(Previews, u64)> {
    let options = &options.fitting(monitor)?;
    found.files.sort_by_key(|file| file.bytes);
    let all: u64 = found.files.iter().map(|file| file.bytes).sum();
    (monitor.begin)(all);
    let mut previews = Previews::default();
    let mut exchanges = Vec::new();
    for file in &found.files {
        let share = u128::from(SAMPLE_BYTES) * u128::from(file.bytes) / u128::from(all.max(1));
        let share = u64::try_from(share)
            .unwrap_or(SAMPLE_BYTES)
            .max(LEAST_SHARE);
        match preview_share(&file.names[0].0, &found.path, share, options, monitor) {
            Ok(preview) => {
                let expected = preview.expected.whole();
                let stays = preview.stays;
                exchanges.push(Exchange {
                    comes: expected + expected / UNSURE,
                    goes: if stays { expected } else { freed_bytes(file) },
                });
                previews.files.push(preview);
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(failure) => previews.failures.push(failure),
        }
        (monitor.progress)(file.bytes);
    }
    Ok((previews, needed_bytes(exchanges)))
}

/// Bytes that must be free for unpacking these archives in place. The largest are put first: both it and its file are
/// there at the end of each, and the less is there already the better.
///
/// # Errors
/// `Interrupted`. What cannot be opened is told when its turn comes.
pub fn needed_to_unpack(found: &mut Replacements, monitor: &Monitor<'_>) -> Result<u64> {
    found
        .files
        .sort_by_key(|file| std::cmp::Reverse(file.bytes));
    let mut exchanges = Vec::new();
    for file in &found.files {
        monitor.check()?;
        if let Ok(reader) = ArchiveReader::open(&file.names[0].0) {
            let exchange = Exchange {
                comes: reader.superblock().original_bytes,
                goes: freed_bytes(file),
            };
            exchanges.push((reader.superblock().bases.is_none(), exchange));
        }
    }
    // What others rest on is unpacked after them.
    exchanges.sort_by_key(|(stands_alone, _)| *stands_alone);
    Ok(needed_bytes(exchanges.into_iter().map(|(_, one)| one)))
}

/// What the disk gets back once a file is gone under these names.
fn freed_bytes(file: &Replacement) -> u64 {
    let names = file.names.len() as u64;
    match file.names[0].0.symlink_metadata() {
        Ok(meta) if meta.nlink() <= names => file.bytes.min(meta.blocks() * 512),
        _ => 0,
    }
}

/// Bytes that the user may still write where a directory lies.
///
/// # Errors
/// `Io` if the system does not tell.
pub fn free_bytes(directory: &Path) -> Result<u64> {
    let told = rustix::fs::statvfs(directory)
        .map_err(|e| Error::io(format!("cannot look at {}", directory.display()), e.into()))?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_needed_for_what_comes_until_what_it_replaces_is_gone() {
        let needed = |all: &[(u64, u64)]| {
            let exchange = |&(comes, goes)| Exchange { comes, goes };
            needed_bytes(all.iter().map(exchange)).saturating_sub(BESIDE_BYTES)
        };
        for (exchanges, expected) in [
            (&[][..], 0),
            (&[(7, 10)], 7),
            // The first ones make room.
            (&[(7, 10), (70, 100)], 67),
            // Unpacking: all grow.
            (&[(10, 7), (10, 7)], 13),
            // Kept by other names.
            (&[(7, 0), (7, 0)], 14),
            (&[(u64::MAX, 0), (u64::MAX, 0)], u64::MAX - BESIDE_BYTES),
        ] {
            assert_eq!(needed(exchanges), expected, "{exchanges:?}");
        }
        assert_eq!(needed_bytes([]), 0);
    }
}
