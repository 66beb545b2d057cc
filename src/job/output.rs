//! Destinations that appear whole or not at all.
//!
//! A file is written under a temporary name in the directory it will be in, made durable, and
//! renamed; a directory likewise. Dropping either before that removes it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, Result};

/// Names of temporary files and directories start with a dot and end in this.
const TEMPORARY_SUFFIX: &str = ".wfz-tmp";

/// A file to be.
pub(super) struct OutputFile {
    temporary: NamedTempFile,
    path: PathBuf,
    force: bool,
}

impl OutputFile {
    /// Opens a temporary file beside `path`. With `force` an existing file is replaced at the end.
    ///
    /// # Errors
    /// `InvalidInput` if `path` exists and `force` is not set, `Io` if nothing can be written there.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::InvalidInput(format!(
                "{} is a directory; name a file with -o",
                path.display()
            )));
        }
        refuse_existing(path, force)?;
        let temporary = temporary_name()
            .tempfile_in(parent(path))
            .map_err(|e| Error::io(format!("cannot write {}", path.display()), e))?;
        Ok(Self {
            temporary,
            path: path.to_path_buf(),
            force,
        })
    }

    /// The file, for reading and writing.
    pub(super) fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// The name it will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the destination's name to an error of writing.
    pub(super) fn error(&self, error: Error) -> Error {
        match error {
            Error::Io { context, source } => Error::Io {
                context: format!("{}: {context}", self.path.display()),
                source,
            },
            other => other,
        }
    }

    /// Sets permission bits and, if given, the modification time, and makes the contents durable.
    pub(super) fn sync(&self, mode: u32, modified: Option<SystemTime>) -> Result<()> {
        let file = self.file();
        file.set_permissions(fs::Permissions::from_mode(mode))
            .and_then(|()| modified.map_or(Ok(()), |time| file.set_modified(time)))
            .and_then(|()| file.sync_all())
            .map_err(|e| Error::io(format!("cannot write {}", self.path.display()), e))
    }

    /// Renames the file to its destination and makes the name durable. Call `sync` before.
    pub(super) fn publish(self) -> Result<()> {
        let persisted = if self.force {
            self.temporary.persist(&self.path)
        } else {
            self.temporary.persist_noclobber(&self.path)
        };
        persisted
            .map_err(|e| e.error)
            .and_then(|_| sync_directory(parent(&self.path)))
            .map_err(|e| Error::io(format!("cannot write {}", self.path.display()), e))
    }
}

/// A directory to be.
pub(super) struct OutputDir {
    /// `None` if the directory exists already and files are replaced one by one.
    temporary: Option<TempDir>,
    path: PathBuf,
}

impl OutputDir {
    /// Makes a temporary directory beside `path`, or with `force` uses the one that is there.
    ///
    /// # Errors
    /// `InvalidInput` if `path` exists, is not an empty directory, and `force` is not set.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot write {}", path.display()), e);
        let empty = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => true,
            Err(e) => return Err(cannot(e)),
        };
        if !empty {
            refuse_existing(path, force)?;
        }
        let temporary = empty
            .then(|| temporary_name().tempdir_in(parent(path)))
            .transpose()
            .map_err(cannot)?;
        Ok(Self {
            temporary,
            path: path.to_path_buf(),
        })
    }

    /// The directory to write into.
    pub(super) fn path(&self) -> &Path {
        self.temporary.as_ref().map_or(&self.path, TempDir::path)
    }

    /// Renames the directory to its destination, with the permission bits of `like`.
    pub(super) fn publish(self, like: &Path) -> Result<()> {
        let cannot = |e| Error::io(format!("cannot write {}", self.path.display()), e);
        let Some(temporary) = self.temporary else {
            return Ok(());
        };
        let mode = fs::metadata(like).map_err(cannot)?.permissions();
        fs::set_permissions(temporary.path(), mode)
            .and_then(|()| sync_directory(temporary.path()))
            .and_then(|()| fs::rename(temporary.path(), &self.path))
            .map_err(cannot)?;
        // The directory has its final name now; there is nothing left to remove.
        let _ = temporary.keep();
        sync_directory(parent(&self.path)).map_err(cannot)
    }
}

fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(Error::InvalidInput(format!(
            "{} exists; use --force to replace it",
            path.display()
        )));
    }
    Ok(())
}

/// The destination's name is not part of it: with it, names near the limit of 255 bytes would not
/// fit.
fn temporary_name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(TEMPORARY_SUFFIX);
    builder
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
