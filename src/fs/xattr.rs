//! Extended attributes of our own: what an archive says of itself, and on the root what the mount has done
//! so far. They are read by name and not listed, so that nobody copies them along: beside a copy they
//! would tell of something else.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::archive::ArchiveReader;
use crate::format::{CodecId, FidelitySummary, OWN_XATTRS};
use crate::printable::hex;

/// On the root: `MountStats` as one JSON object.
pub const STATS_XATTR: &str = "user.weightfs.stats";

/// On each directory: the path of the directory of the source that it shows; on the root, of what was
/// mounted. Listed nowhere.
pub const SOURCE_XATTR: &str = "user.weightfs.source";

/// On a file of the source whose name ends in `.wfz` and that is shown under that name. Shown by no mount.
pub(super) const AS_IT_IS_XATTR: &str = "user.weightfs.as-it-is";

/// On each file that is an archive: its path.
pub const ARCHIVE_XATTR: &str = "user.weightfs.archive";

/// On each file that is an archive.
pub(super) const OF_ARCHIVES: [&str; 7] = [
    ARCHIVE_XATTR,
    "user.weightfs.base",
    "user.weightfs.codec",
    "user.weightfs.fidelity",
    "user.weightfs.original_sha256",
    "user.weightfs.ratio",
    "user.weightfs.source_sha256",
];

/// The value of one of `OF_ARCHIVES` of the archive at `path`; `None` for another name.
pub(super) fn of_archive(archive: &ArchiveReader, path: &Path, name: &OsStr) -> Option<Vec<u8>> {
    let superblock = archive.superblock();
    Some(match name.to_str()?.strip_prefix(OWN_XATTRS)? {
        "archive" => path.as_os_str().as_bytes().to_vec(),
        "base" => bases(archive).into_bytes(),
        "codec" => codecs(archive).into_bytes(),
        "fidelity" => fidelity(archive).into_bytes(),
        "original_sha256" => hex(&superblock.sha256).into_bytes(),
        "source_sha256" => {
            let source = superblock.lossy.map(|lossy| lossy.source_sha256);
            hex(&source.unwrap_or(superblock.sha256)).into_bytes()
        }
        "ratio" => {
            let ratio =
                superblock.original_bytes as f64 / (superblock.archive_bytes as f64).max(1.0);
            format!("{ratio:.4}").into_bytes()
        }
        _ => return None,
    })
}

/// `exact`, or how far what is read is from what the archive was made from.
fn fidelity(archive: &ArchiveReader) -> String {
    if archive.superblock().lossy.is_none() {
        return "exact".into();
    }
    match archive.fidelity() {
        Ok(records) => FidelitySummary::of(&records)
            .map_or_else(|| "exact".into(), |summary| format!("lossy: {summary}")),
        Err(error) => format!("lossy: {error}"),
    }
}

/// `none`, or a line for each base: its SHA-256, whether it is there, and its last name.
fn bases(archive: &ArchiveReader) -> String {
    let records = match archive.base_records() {
        Ok(records) if records.is_empty() => return "none".into(),
        Ok(records) => records,
        Err(error) => return error.to_string(),
    };
    let lines = records
        .iter()
        .zip(archive.found_bases())
        .map(|(record, is_there)| {
            let state = if is_there { "there" } else { "missing" };
            format!("{} {state} {}", hex(&record.sha256), record.name)
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// The codecs of the block in the middle, which is of the model rather than of its header.
fn codecs(archive: &ArchiveReader) -> String {
    let middle = archive.superblock().block_count / 2;
    let Ok(header) = archive.block_header(middle) else {
        return "none".into();
    };
    let names: Vec<_> = header
        .planes()
        .iter()
        .map(|plane| CodecId::name(plane.codec))
        .collect();
    names.join(",")
}
