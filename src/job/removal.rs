//! Removing what something else has taken the place of, so that nothing is lost that somebody puts there,
//! writes or replaces meanwhile.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::output::{lock, parent, sync_directory_of, temporary_name};
use super::source_file::SourceFile;
use super::walk::identity;
use crate::error::{Error, Result};
use crate::os::{FileStamp, Lease, is_open_for_writing};

/// A file that is held: no other run replaces it, or what it takes the place of, as long as this lives.
pub(super) struct Held {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// What it is told by, as it was when it was held: some file systems do not know it any more by a handle
    /// that it had before it was renamed.
    pub(super) identity: (u64, u64),
}

/// Holds a file that is open.
///
/// # Errors
/// `Environment` if another run holds it.
pub(super) fn hold_open(path: &Path, file: &File) -> Result<()> {
    if lock(file).map_err(|e| cannot(path, e))? {
        return Ok(());
    }
    Err(Error::Environment(format!(
        "{} is worked on by another weightfs; try again when that is done",
        path.display()
    )))
}

/// Opens a file and holds it.
///
/// # Errors
/// As `hold_open`.
pub(super) fn hold(path: &Path) -> Result<Held> {
    let file = File::open(path).map_err(|e| cannot(path, e))?;
    hold_open(path, &file)?;
    let meta = file.metadata().map_err(|e| cannot(path, e))?;
    Ok(Held {
        path: path.to_path_buf(),
        identity: identity(&meta),
        file,
    })
}

/// Removes a file under all its names, if it is still what was read and nobody is about to write to it,
/// after what stays, under its names, is durable.
pub(super) fn remove(source: &SourceFile, names: &[&Path], stays: &[Held]) -> Result<()> {
    let kept = |why: &str| {
        Error::Environment(format!(
            "{} {why}, and is kept; what was made of it is there as well",
            source.path.display()
        ))
    };
    // Who opens it for writing from here on waits, and is seen.
    let lease = match Lease::take(&source.file) {
        Ok(lease) => Some(lease),
        Err(_) if is_open_for_writing(&source.file) => return Err(kept("is open for writing")),
        Err(_) => None,
    };
    // What was there already may be young.
    for held in stays {
        sync_directory_of(&held.path).map_err(|e| cannot(&held.path, e))?;
    }
    source
        .check_unchanged()
        .map_err(|_| kept("changed while it was read"))?;
    for name in names {
        let now = name.symlink_metadata().map_err(|e| cannot(name, e))?;
        if FileStamp::from_metadata(&now) != source.stamp {
            return Err(kept("changed while it was read"));
        }
    }
    let mut aside = Aside::default();
    for name in names {
        aside.take(name)?;
        // Somebody may have put another file in its place in the last moment.
        if !aside.is_last(source)? {
            aside.put_back()?;
            return Err(kept("was replaced"));
        }
    }
    if lease.is_some_and(|lease| lease.is_wanted()) {
        aside.put_back()?;
        return Err(kept("is wanted for writing"));
    }
    for held in stays {
        let there = held.path.symlink_metadata();
        if there.map(|meta| identity(&meta)).ok() != Some(held.identity) {
            aside.put_back()?;
            return Err(kept("is not in its archive's place any more"));
        }
    }
    aside.remove()
}

/// Files that are moved aside before they are removed: somebody who has found one by its name, and was
/// about to open it, is seen by then, and it can be put back. They are put back if this is dropped.
#[derive(Default)]
struct Aside<'a>(Vec<(TempPath, &'a Path)>);

impl<'a> Aside<'a> {
    fn take(&mut self, path: &'a Path) -> Result<()> {
        let moved = temporary_name().make_in(parent(path), |aside| fs::rename(path, aside));
        let moved = moved.map_err(|e| cannot_remove(path, e))?;
        self.0.push((moved.into_temp_path(), path));
        Ok(())
    }

    /// Whether what was taken last is that file. (The time of its last change goes with its name.)
    fn is_last(&self, source: &SourceFile) -> Result<bool> {
        let Some((aside, path)) = self.0.last() else {
            return Ok(false);
        };
        let now = aside.symlink_metadata().map_err(|e| cannot(path, e))?;
        let now = FileStamp {
            ctime_ns: source.stamp.ctime_ns,
            ..FileStamp::from_metadata(&now)
        };
        Ok(now == source.stamp)
    }

    fn put_back(&mut self) -> Result<()> {
        while let Some((aside, path)) = self.0.pop() {
            if let Err(refused) = aside.persist_noclobber(path) {
                return Err(keep_elsewhere(refused.path, path, refused.error));
            }
        }
        Ok(())
    }

    fn remove(mut self) -> Result<()> {
        for (aside, path) in self.0.drain(..) {
            aside
                .close()
                .and_then(|()| sync_directory_of(path))
                .map_err(|e| cannot_remove(path, e))?;
        }
        Ok(())
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let _ = self.put_back();
    }
}

/// Where a file cannot be put back, because something else is there: beside it, by a name that nobody takes
/// for that of something unfinished.
fn keep_elsewhere(aside: TempPath, path: &Path, error: io::Error) -> Error {
    let unfinished = match aside.keep() {
        Ok(path) => path,
        Err(refused) => refused.path.to_path_buf(),
    };
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".kept-{}", std::process::id()));
    let kept = match fs::hard_link(&unfinished, &name) {
        Ok(()) => fs::remove_file(&unfinished).map_or(unfinished, |()| name.into()),
        Err(_) => unfinished,
    };
    Error::io(
        format!("cannot move {} back to {}", kept.display(), path.display()),
        error,
    )
}

fn cannot(path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot use {}", path.display()), error)
}

fn cannot_remove(path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot remove {}", path.display()), error)
}
