//! Follows links as a mount does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::format::archive_name;
use crate::os::MAX_LINKS;

/// What a path leads to in the end. A target that is not there stands for the archive of that name,
/// as a mount shows it there.
///
/// # Errors
/// What the system answers for a path that leads nowhere.
pub(super) fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_path_buf();
    for _ in 0..=MAX_LINKS {
        let missing = match at.canonicalize() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => e,
            end => return end,
        };
        // Either its directory is missing, or what it names in there.
        let (Some(directory), Some(name)) = (at.parent(), at.file_name()) else {
            return Err(missing);
        };
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        }
        .canonicalize()?;
        match fs::read_link(directory.join(name)) {
            Ok(target) => at = directory.join(target),
            Err(_) => return directory.join(archive_name(name)).canonicalize(),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// True for what the system answers where a path leads nowhere.
pub(super) fn leads_nowhere(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ELOOP | libc::ENOTDIR)
    )
}

/// The target of a link that stands at one path below a root and leads to another.
pub(super) fn relative_target(link: &Path, to: &Path) -> PathBuf {
    let from = link.parent().unwrap_or(Path::new(""));
    let common = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(common).map(|_| Path::new(".."));
    let target: PathBuf = up
        .chain(
            to.components()
                .skip(common)
                .map(|down| Path::new(down.as_os_str())),
        )
        .collect();
    if target.as_os_str().is_empty() {
        return PathBuf::from(".");
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_to_archives() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("a.wfz"), "").unwrap();
        fs::write(root.join("b"), "").unwrap();
        fs::write(root.join("b.wfz"), "").unwrap();
        for (target, link) in [
            ("../a", "sub/to-archive"),
            ("to-archive", "sub/twice"),
            ("../b", "sub/to-file"),
            ("circle", "circle"),
            ("gone", "nowhere"),
            ("gone/../b", "through-nothing"),
            ("b/b", "through-a-file"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let followed = |link: &str| follow(&root.join(link));
        assert_eq!(followed("sub/to-archive").unwrap(), root.join("a.wfz"));
        assert_eq!(followed("sub/twice").unwrap(), root.join("a.wfz"));
        assert_eq!(followed("sub/to-file").unwrap(), root.join("b"));
        for nowhere in [
            "circle",
            "nowhere",
            "through-nothing",
            "through-a-file",
            "no",
        ] {
            assert!(leads_nowhere(&followed(nowhere).unwrap_err()), "{nowhere}");
        }
    }

    #[test]
    fn targets_lead_from_any_place_to_any_other() {
        for (link, to, target) in [
            ("a", "b", "b"),
            ("x/a", "x/b", "b"),
            ("x/a", "y/z/b", "../y/z/b"),
            ("x/y/a", "b", "../../b"),
            ("a", "", "."),
            ("x/a", "x", "."),
            ("x/y/a", "", "../.."),
        ] {
            assert_eq!(
                relative_target(Path::new(link), Path::new(to)),
                Path::new(target)
            );
        }
    }
}
