//! Extended attributes of our own: what an archive says of itself, and on the root what the mount has done
//! so far. They are read by name and not listed, so that nobody copies them along: beside a copy they
//! would tell of something else.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::archive::ArchiveReader;
use crate::format::CodecId;

/// All names of our own begin with this.
pub(super) const OWN: &str = "user.weightfs.";

/// On the root: `MountStats` as one JSON object.
pub const STATS_XATTR: &str = "user.weightfs.stats";

/// On each directory: the path of the directory of the source that it shows; on the root, of what was
/// mounted. Listed nowhere.
pub const SOURCE_XATTR: &str = "user.weightfs.source";

/// On each file that is an archive: its path.
pub const ARCHIVE_XATTR: &str = "user.weightfs.archive";

/// On each file that is an archive.
pub(super) const OF_ARCHIVES: [&str; 4] = [
    ARCHIVE_XATTR,
    "user.weightfs.codec",
    "user.weightfs.original_sha256",
    "user.weightfs.ratio",
];

/// The value of one of `OF_ARCHIVES` of the archive at `path`; `None` for another name.
pub(super) fn of_archive(archive: &ArchiveReader, path: &Path, name: &OsStr) -> Option<Vec<u8>> {
    let superblock = archive.superblock();
    Some(match name.to_str()?.strip_prefix(OWN)? {
        "archive" => path.as_os_str().as_bytes().to_vec(),
        "codec" => codecs(archive).into_bytes(),
        "original_sha256" => {
            let mut hex = String::new();
            for byte in superblock.sha256 {
                // Writing to a String does not fail.
                let _ = write!(hex, "{byte:02x}");
            }
            hex.into_bytes()
        }
        "ratio" => {
            let ratio =
                superblock.original_bytes as f64 / (superblock.archive_bytes as f64).max(1.0);
            format!("{ratio:.4}").into_bytes()
        }
        _ => return None,
    })
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
