//! How archives are named: `NAME.wfz` holds the file `NAME`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What an archive's name ends in.
pub const ARCHIVE_SUFFIX: &str = ".wfz";

/// How the names of all extended attributes begin that are weightfs's own: they say something of the file that they are on,
/// which would not be true of a copy.
pub const OWN_XATTRS: &str = "user.weightfs.";

/// The name of the file that an archive of this name holds; `None` if it is not an archive's name.
pub fn original_name(archive: &OsStr) -> Option<&OsStr> {
    archive
        .as_bytes()
        .strip_suffix(ARCHIVE_SUFFIX.as_bytes())
        .filter(|name| !name.is_empty() && !name.ends_with(b"/"))
        .map(OsStr::from_bytes)
}

/// The name of the archive that holds a file of this name.
pub fn archive_name(original: &OsStr) -> OsString {
    let mut name = original.to_os_string();
    name.push(ARCHIVE_SUFFIX);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_before_the_suffix_makes_an_archive() {
        assert_eq!(original_name("a.wfz".as_ref()), Some("a".as_ref()));
        assert_eq!(original_name("a.wfz.wfz".as_ref()), Some("a.wfz".as_ref()));
        for name in ["", ".wfz", "dir/.wfz", "a.wf", "a.WFZ"] {
            assert_eq!(original_name(name.as_ref()), None, "{name}");
        }
        assert_eq!(archive_name("a".as_ref()), "a.wfz");
    }
}
