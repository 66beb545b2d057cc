//! Which directories are not adopted: those that must be there before anything is mounted, or that cannot be mounted over.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use crate::error::{Error, Result};
use crate::fuse::{self, FuseAccess};
use crate::os::mounts;
use crate::printable::printable_name;

/// Directories of the system itself. What lies in them may be adopted.
const OF_THE_SYSTEM: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/share",
    "/var",
    "/var/lib",
];
/// What a directory has in which a system is installed.
const PARTS_OF_A_SYSTEM: [&str; 2] = ["etc", "usr/bin"];

/// The path of the directory that is meant, without links.
///
/// # Errors
/// `InvalidInput` if it is no directory, `Environment` if what is mounted there does not answer any more.
pub(super) fn resolve(given: &Path) -> Result<PathBuf> {
    let path = match given.canonicalize() {
        Ok(path) => path,
        Err(e) if e.raw_os_error() == Some(libc::ENOTCONN) => {
            let name = printable_name(given);
            return Err(Error::Environment(format!(
                "{name} is the mount of a program that is gone; unmount it (weightfs umount {name}), and try again"
            )));
        }
        Err(e) => return Err(Error::io(format!("cannot use {}", given.display()), e)),
    };
    if !path.is_dir() {
        return Err(Error::InvalidInput(format!(
            "{} is no directory",
            printable_name(given)
        )));
    }
    Ok(path)
}

/// # Errors
/// `InvalidInput` or `Environment` that says why a directory, by its real path, is not adopted.
pub(super) fn refuse_what_cannot_be(directory: &Path) -> Result<()> {
    refuse_needed(directory)?;
    refuse_mounts(directory)?;
    refuse_rights(directory)
}

/// What the system, the user or this program needs before it is mounted.
fn refuse_needed(directory: &Path) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::InvalidInput(format!(
            "{} {why}; name the directory of the models alone",
            printable_name(directory)
        )))
    };
    let is_system = OF_THE_SYSTEM
        .iter()
        .any(|path| directory == Path::new(path));
    let holds_system = PARTS_OF_A_SYSTEM
        .iter()
        .all(|part| directory.join(part).is_dir());
    if is_system || holds_system {
        return refuse("belongs to a system");
    }
    let is_in_it = |path: PathBuf| {
        path.canonicalize()
            .is_ok_and(|path| path.starts_with(directory))
    };
    if std::env::var_os("HOME").is_some_and(|home| is_in_it(home.into())) {
        return refuse("is your home directory, or holds it");
    }
    if std::env::current_exe().is_ok_and(is_in_it) {
        return refuse(
            "holds the program weightfs itself, which must be there before it is mounted",
        );
    }
    Ok(())
}

/// What is mounted there, above and below.
fn refuse_mounts(directory: &Path) -> Result<()> {
    let name = printable_name(directory);
    let table = mounts().map_err(|e| Error::io("cannot read /proc/self/mountinfo", e))?;
    let is_ours = fuse::is_mounted(directory)?;
    if !is_ours && let Some(line) = table.iter().rfind(|line| line.mountpoint == directory) {
        return Err(Error::InvalidInput(format!(
            "{name} is where a file system is mounted ({}); name a directory in it",
            line.kind
        )));
    }
    if !is_ours && let Some(above) = fuse::mount_above(directory)? {
        return Err(Error::InvalidInput(format!(
            "{name} is in a weightfs mount already, that of {}",
            printable_name(&above)
        )));
    }
    let is_below = |path: &Path| path != directory && path.starts_with(directory);
    match table.iter().find(|line| is_below(&line.mountpoint)) {
        Some(line) => Err(Error::InvalidInput(format!(
            "{name} has something mounted in it ({}, {}); adopt directories one by one, or unmount that (adopt --undo, \
             if it was adopted)",
            printable_name(&line.mountpoint),
            line.kind
        ))),
        None => Ok(()),
    }
}

/// What must be allowed for packing and mounting.
fn refuse_rights(directory: &Path) -> Result<()> {
    let name = printable_name(directory);
    let cannot = |e| Error::io(format!("cannot look at {}", directory.display()), e);
    let refuse = |why: String| Err(Error::Environment(why));
    let access = FuseAccess::of_this_process();
    if let Some(why) = &access.device_refused {
        return refuse(format!(
            "nothing can be mounted here: {}: {why}; weightfs doctor tells what to do",
            access.device
        ));
    }
    if !access.is_root && access.helper.is_none() {
        return refuse(
            "fusermount3 is missing, which mounts for users; install the package fuse3".into(),
        );
    }
    let owner = fs::metadata(directory).map_err(cannot)?.uid();
    if !access.is_root && owner != rustix::process::geteuid().as_raw() {
        return refuse(format!(
            "{name} belongs to another user ({owner}); let that user or root adopt it"
        ));
    }
    let told = rustix::fs::statvfs(directory).map_err(|e| cannot(e.into()))?;
    // A mount of ours says so of itself.
    if told.f_flag.contains(StatVfsMountFlags::RDONLY) && !fuse::is_mounted(directory)? {
        return refuse(format!(
            "{name} lies on a file system that is only read; archives have no place there"
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_there_before_mounts_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        assert!(refuse_needed(&path).is_ok());
        fs::create_dir_all(path.join("usr/bin")).unwrap();
        assert!(refuse_needed(&path).is_ok());
        fs::create_dir_all(path.join("etc")).unwrap();
        for refused in [
            &path,
            Path::new("/"),
            Path::new("/usr"),
            std::env::current_exe().unwrap().parent().unwrap(),
        ] {
            let error = refuse_needed(refused).unwrap_err();
            assert!(matches!(error, Error::InvalidInput(_)), "{error}");
        }
        let error = refuse_mounts(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.contains("(proc)"), "{error}");
    }
}
