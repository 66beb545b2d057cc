//! The names in a directory.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use super::facts::{Facts, Identity, Kind};
use super::inode::Inode;
use crate::format::original_name;

/// The coarsest times that a file system keeps are those of FAT, two seconds.
const COARSEST_TIMES: Duration = Duration::from_secs(3);

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
    /// Its inode.
    pub inode: Inode,
}

/// The names in a directory.
#[derive(Debug)]
pub struct Listing {
    /// The names, sorted, without `.` and `..`; some may turn out to be nothing that is shown.
    pub names: Vec<OsString>,
    /// True if they hold until the directory's times change.
    pub may_be_kept: bool,
    /// That of the directory before they were read.
    pub(super) state: Identity,
}

impl Listing {
    /// Names that were read from a directory of which this was known before.
    pub(super) fn new(names: Vec<OsString>, directory: &Facts) -> Self {
        // What archives are shown as hangs on more than names.
        let has_archives = names.iter().any(|name| original_name(name).is_some());
        Self {
            names,
            may_be_kept: !has_archives && is_settled(directory),
            state: directory.identity,
        }
    }
}

/// True if the next change of a directory will change its times for certain.
fn is_settled(directory: &Facts) -> bool {
    let since = SystemTime::now().duration_since(directory.mtime);
    since.is_ok_and(|since| since > COARSEST_TIMES)
}
