//! Where the files are kept that archives rest on: `.weightfs/bases/SHA256.wfz` in the directory of the archives, or in one
//! above it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::name::ARCHIVE_SUFFIX;
use crate::printable::hex;

/// What weightfs keeps for itself beside archives; a mount does not show it.
pub const OWN_DIRECTORY: &str = ".weightfs";
/// Below that, the bases.
const BASES: &str = "bases";

/// The directory of the pins, below the directory of the archives that rest on them.
pub fn pins_directory() -> PathBuf {
    Path::new(OWN_DIRECTORY).join(BASES)
}

/// The pin of the base with this SHA-256, below the directory of the archives that rest on it.
pub fn pin_path(sha256: &[u8; 32]) -> PathBuf {
    pins_directory().join(format!("{}{ARCHIVE_SUFFIX}", hex(sha256)))
}

/// Whether the name of a file in the directory of the pins is that of one.
pub fn is_pin_name(name: &OsStr) -> bool {
    const SHA256_DIGITS: usize = 64;

    let digits = name
        .to_str()
        .and_then(|name| name.strip_suffix(ARCHIVE_SUFFIX));
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits.is_some_and(|digits| digits.len() == SHA256_DIGITS && digits.bytes().all(is_digit))
}

/// Whether a path leads through a directory that weightfs keeps for itself.
pub fn is_own(path: &Path) -> bool {
    path.iter().any(|part| part == OWN_DIRECTORY)
}
