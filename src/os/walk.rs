//! A path, walked step by step.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};

use super::mounts::mount_id;
use super::paths::MAX_LINKS;

/// Where a path leads.
#[derive(Debug)]
pub enum Walked {
    /// To this: a handle that opens nothing.
    To(File),
    /// Into a mount that is not to be entered.
    Refused,
}

/// Follows an absolute path, links included, as the kernel does, but asks before each step into a mount
/// (by its number) whether it may be entered. One that may not is asked nothing, so that a file
/// system can follow a path that leads to itself.
///
/// # Errors
/// What the system answered.
pub fn walk(path: &Path, mut may_enter: impl FnMut(u64) -> bool) -> io::Result<Walked> {
    let root = || Ok::<_, io::Error>(rustix::fs::open("/", FLAGS, Mode::empty())?);
    let mut at = root()?;
    let mut rest: VecDeque<OsString> = names(path).collect();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        let next = openat(&at, name.as_os_str(), FLAGS, Mode::empty())?;
        // Told by the kernel alone, unlike what kind of file it is.
        if !may_enter(mount_id(&next)?) {
            return Ok(Walked::Refused);
        }
        if FileType::from_raw_mode(fstat(&next)?.st_mode) != FileType::Symlink {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let target = readlinkat(&next, c"", Vec::new())?;
        let target = Path::new(OsStr::from_bytes(target.to_bytes()));
        if target.is_absolute() {
            at = root()?;
        }
        for name in names(target).collect::<Vec<_>>().into_iter().rev() {
            rest.push_front(name);
        }
    }
    Ok(Walked::To(at.into()))
}

const FLAGS: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_path_leads_where_the_kernel_says_and_never_into_what_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        symlink("a/../a/b/..", path("relative")).unwrap();
        symlink(path("relative"), path("absolute")).unwrap();
        symlink("circle", path("circle")).unwrap();
        for name in ["a", "a/b", "relative/b", "absolute", "a/b/../../absolute/b"] {
            let Walked::To(handle) = walk(&path(name), |_| true).unwrap() else {
                panic!("{name} was refused");
            };
            let meta = handle.metadata().unwrap();
            assert_eq!(
                meta.ino(),
                fs::metadata(path(name)).unwrap().ino(),
                "{name}"
            );
        }
        for (name, errno) in [("none", libc::ENOENT), ("circle", libc::ELOOP)] {
            let error = walk(&path(name), |_| true).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno), "{name}");
        }
        // Nothing is asked of /proc itself, were it refused.
        let proc = rustix::fs::open("/proc", FLAGS, Mode::empty()).unwrap();
        let refused = mount_id(&proc).unwrap();
        let into = walk(Path::new("/proc/self/none"), |mount| mount != refused);
        assert!(matches!(into, Ok(Walked::Refused)), "{into:?}");
    }
}
