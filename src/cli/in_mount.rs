//! Paths in a mount of ours. What a command on archives is given there is the file an archive stands
//! for; the archive itself lies in the mount's source, which the mount tells by extended attributes.
//!
//! Invariant: nothing is looked for but what the caller may read there, and never below the mount.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::getxattr;

use crate::console::say;
use crate::error::{Error, Result};
use crate::fs::{ARCHIVE_XATTR, SOURCE_XATTR};
use crate::fuse;
use crate::printable::printable_name;

/// As long as the kernel lets an attribute be.
const MAX_BYTES: usize = 1 << 16;

/// A path in a mount, and what it shows.
struct InMount<'a> {
    path: &'a Path,
    mountpoint: PathBuf,
    /// What the mount says is shown there.
    source: Option<PathBuf>,
}

impl<'a> InMount<'a> {
    /// `None` for a path that is in no mount of ours.
    fn find(path: &'a Path) -> Result<Option<Self>> {
        if !fuse::is_in_mount(path)? {
            return Ok(None);
        }
        let cannot = |e| Error::io(format!("cannot use {}", path.display()), e);
        let canonical = path.canonicalize().map_err(cannot)?;
        let device = canonical.metadata().map_err(cannot)?.dev();
        let in_it = |path: &&Path| path.metadata().is_ok_and(|meta| meta.dev() == device);
        let mountpoint = canonical.ancestors().take_while(in_it).last();
        Ok(Some(Self {
            path,
            mountpoint: mountpoint.unwrap_or(&canonical).to_path_buf(),
            source: source_of(&canonical),
        }))
    }

    /// What it shows, if that can be reached beside the mount. Only whom the caller trusts is believed:
    /// the server of a mount may be anybody's, and say anything.
    fn reachable(&self) -> Option<&Path> {
        let source = self.source.as_deref()?;
        let own = format!("user_id={}", rustix::process::geteuid().as_raw());
        let line = fuse::mount_line(&self.mountpoint).ok()??;
        line.options
            .iter()
            .find(|option| **option == own || *option == "user_id=0")?;
        let is_beside = source.exists() && fuse::is_in_mount(source).is_ok_and(|inside| !inside);
        is_beside.then_some(source)
    }

    /// `what` cannot be done in the mount: where it can.
    fn refused(&self, what: &str) -> Error {
        let path = printable_name(self.path);
        let mountpoint = printable_name(&self.mountpoint);
        Error::Environment(match (self.reachable(), &self.source) {
            (Some(source), _) => format!(
                "{path} is in a weightfs mount, which {what}; name what it shows: {}",
                printable_name(source)
            ),
            (None, Some(source)) => format!(
                "{path} is in a weightfs mount, which {what} and hides the archives that it shows; \
                 unmount it (weightfs umount {mountpoint}), then name {}",
                printable_name(source)
            ),
            (None, None) => format!(
                "{path} is in a weightfs mount, which {what}; name the archives that it shows"
            ),
        })
    }
}

/// An attribute that is a path.
fn ask(path: &Path, name: &str) -> Option<PathBuf> {
    let mut buffer = vec![0; MAX_BYTES];
    let len = getxattr(path, name, &mut buffer[..]).ok()?;
    buffer.truncate(len);
    Some(PathBuf::from(OsString::from_vec(buffer)))
}

/// The archive that a file of a mount stands for; `None` for one that is shown as it is.
pub(super) fn archive_of(path: &Path) -> Option<PathBuf> {
    ask(path, ARCHIVE_XATTR)
}

/// What the mount tells of a path.
pub(super) fn source_of(path: &Path) -> Option<PathBuf> {
    archive_of(path)
        .or_else(|| ask(path, SOURCE_XATTR))
        // A file that is shown as it is.
        .or_else(|| Some(ask(path.parent()?, SOURCE_XATTR)?.join(path.file_name()?)))
}

/// Where the mount is mounted that a path lies in; `None` if it is in no mount of ours.
///
/// # Errors
/// `Io` if the system does not tell.
pub(super) fn mountpoint_of(path: &Path) -> Result<Option<PathBuf>> {
    Ok(InMount::find(path)?.map(|found| found.mountpoint))
}

/// What a mount shows, if that can be reached beside it; else why not.
///
/// # Errors
/// `Environment` if the mount hides it or does not tell.
pub(super) fn source_behind(path: &Path) -> Result<PathBuf> {
    let found = InMount::find(path)?;
    let source = found.as_ref().and_then(InMount::reachable);
    source.map(Path::to_path_buf).ok_or_else(|| {
        let path = printable_name(path);
        Error::Environment(format!("{path} does not tell what it shows, or hides it"))
    })
}

/// The path of the archive, or of the directory of archives, that `path` shows if it is in a mount;
/// `path` itself otherwise.
///
/// # Errors
/// `Environment` if the mount hides what it shows.
pub(super) fn archives_behind(path: &Path) -> Result<PathBuf> {
    let Some(found) = InMount::find(path)? else {
        return Ok(path.to_path_buf());
    };
    let source = found
        .reachable()
        .ok_or_else(|| found.refused("has files, not archives,"))?;
    say(&format!(
        "weightfs: {} is in a weightfs mount; taking what it shows, {}",
        printable_name(path),
        printable_name(source)
    ));
    Ok(source.to_path_buf())
}

/// # Errors
/// `Environment` if what is to be replaced is in a mount.
pub(super) fn refuse_source(path: &Path) -> Result<()> {
    match InMount::find(path)? {
        Some(found) => Err(found.refused("is only read")),
        None => Ok(()),
    }
}

/// # Errors
/// `Environment` if something is to be made in a mount.
pub(super) fn refuse_destination(path: &Path) -> Result<()> {
    let existing = path.ancestors().find(|path| path.exists());
    let existing = existing.filter(|path| !path.as_os_str().is_empty());
    if fuse::is_in_mount(existing.unwrap_or(Path::new(".")))? {
        return Err(Error::Environment(format!(
            "{} would be in a weightfs mount, which is only read; name another place with -o",
            printable_name(path)
        )));
    }
    Ok(())
}

/// As `archives_behind`. A directory whose archives are hidden is taken as it is shown: its files are
/// what unpacking would make.
///
/// # Errors
/// As `archives_behind`, for a file.
pub(super) fn to_unpack(path: &Path) -> Result<PathBuf> {
    match archives_behind(path) {
        Err(Error::Environment(_)) if path.is_dir() => {
            say(&format!(
                "weightfs: {} is in a weightfs mount; its files are copied as they are shown",
                printable_name(path)
            ));
            Ok(path.to_path_buf())
        }
        found => found,
    }
}
