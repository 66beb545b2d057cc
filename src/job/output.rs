//! Destinations that appear whole or not at all.
//!
//! A file is written under a temporary name in the directory it will be in, made durable, and
//! renamed; a directory likewise. Dropping either before that removes it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, Result};
use crate::format::{OWN_DIRECTORY, OWN_XATTRS};
use crate::os::copy_attributes;

/// Names of temporary files and directories start with a dot and end in this.
const TEMPORARY_SUFFIX: &str = ".wfz-tmp";
/// Between them, so many random letters and digits.
const RANDOM_CHARACTERS: usize = 6;

/// What is unfinished is locked by who makes it, so that what nobody finishes can be told. Returns false if
/// somebody else holds it, perhaps as abandoned, or has removed it already.
pub(super) fn lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        // Only a wish: some network file systems have no locks.
        _ => Ok(file.metadata()?.nlink() > 0),
    }
}

/// True for the names that `temporary_name` gives.
pub(super) fn is_temporary_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let random = name.strip_prefix(b".");
    let random = random.and_then(|name| name.strip_suffix(TEMPORARY_SUFFIX.as_bytes()));
    random.is_some_and(|random| {
        random.len() == RANDOM_CHARACTERS && random.iter().all(u8::is_ascii_alphanumeric)
    })
}

fn temporary_file(directory: &Path) -> io::Result<NamedTempFile> {
    loop {
        // Opened here, for the system's own answer: that of `tempfile_in` names the temporary file.
        let temporary = temporary_name().make_in(directory, |path| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
        })?;
        if lock(temporary.as_file())? {
            return Ok(temporary);
        }
    }
}

fn temporary_directory(parent: &Path) -> io::Result<(TempDir, File)> {
    loop {
        let temporary = temporary_name().tempdir_in(parent)?;
        match File::open(temporary.path()) {
            Ok(locked) if lock(&locked)? => return Ok((temporary, locked)),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
}

/// The names in a directory.
pub(super) fn names_in(directory: &Path) -> io::Result<Vec<OsString>> {
    let entries = fs::read_dir(directory)?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

/// Removes what killed runs have left unfinished in the directory that `path` is to be made in.
pub(super) fn remove_abandoned(path: &Path) {
    remove_abandoned_in(parent(path));
}

/// Removes what killed runs have left unfinished in a directory.
pub(super) fn remove_abandoned_in(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries
        .flatten()
        .filter(|entry| is_temporary_name(&entry.file_name()))
    {
        let path = entry.path();
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        let unfinished = File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        let is_abandoned = |file: &File| {
            let now = file.metadata().map(|now| (now.dev(), now.ino()));
            now.is_ok_and(|now| now == (meta.dev(), meta.ino()))
                && flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
        };
        if (meta.is_file() || meta.is_dir())
            && let Ok(unfinished) = unfinished
            && is_abandoned(&unfinished)
        {
            // Whoever may not remove it lets it be.
            let _ = match meta.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
        }
    }
}

/// A file to be.
pub(super) struct OutputFile {
    temporary: NamedTempFile,
    path: PathBuf,
    force: bool,
    /// What must not go before it has its name.
    held: OnceLock<File>,
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
        if let Ok(meta) = path.symlink_metadata()
            && !meta.is_file()
            && !meta.is_symlink()
        {
            return Err(Error::InvalidInput(format!(
                "{} is not a regular file, and is not replaced",
                path.display()
            )));
        }
        let temporary = temporary_file(parent(path)).map_err(|e| cannot_begin(path, e))?;
        Ok(Self {
            temporary,
            path: path.to_path_buf(),
            force,
            held: OnceLock::new(),
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

    /// As the function of this name.
    pub(super) fn take_attributes_of(&self, file: &File) -> Result<()> {
        take_attributes_of(file, self.file(), &self.path)
    }

    /// Sets permissions and, if given, the modification time, and makes the contents durable. Bits
    /// that let a program run as somebody else are not set: who made the file may be anybody.
    pub(super) fn sync(&self, mode: u32, modified: Option<SystemTime>) -> Result<()> {
        let file = self.file();
        file.set_permissions(fs::Permissions::from_mode(mode & 0o777))
            .and_then(|()| modified.map_or(Ok(()), |time| file.set_modified(time)))
            .and_then(|()| file.sync_all())
            .map_err(|e| self.cannot_write(e))
    }

    /// Keeps something open, and locked, until the file has its name.
    pub(super) fn hold(&self, file: File) {
        // Written a second time, it rests on what is locked below the same directory.
        let _ = self.held.set(file);
    }

    /// Takes back all that was written.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub(super) fn empty(&self) -> Result<()> {
        self.file().set_len(0).map_err(|e| self.cannot_write(e))
    }

    /// The error for what the system answered to an attempt to write.
    pub(super) fn cannot_write(&self, error: io::Error) -> Error {
        cannot_write(&self.path, error)
    }

    /// Renames the file to its destination and makes the name durable; returns it, still locked. Call
    /// `sync` before.
    pub(super) fn publish(self) -> Result<File> {
        let persisted = if self.force {
            self.temporary.persist(&self.path)
        } else {
            self.temporary.persist_noclobber(&self.path)
        };
        persisted
            .or_else(|error| match error.error.raw_os_error() {
                // A filter of system calls that does not know the one which replaces nothing (renameat2).
                Some(libc::EPERM) if !self.force => {
                    fs::hard_link(error.file.path(), &self.path)?;
                    error.file.as_file().try_clone()
                }
                _ => Err(error.error),
            })
            .and_then(|file| sync_directory(parent(&self.path)).map(|()| file))
            .map_err(|e| cannot_publish(&self.path, e))
    }
}

/// A directory to be.
pub(super) struct OutputDir {
    path: PathBuf,
    state: State,
}

enum State {
    /// It is made under a temporary name, and locked.
    New(TempDir, File),
    /// It was there and empty; what is made in it, with these relative paths, is removed again if it
    /// is not published.
    Empty(Vec<PathBuf>),
    /// It was there, and files in it are replaced one by one; or it is published.
    Kept,
}

impl OutputDir {
    /// Makes a temporary directory beside `path`, or uses the one that is there: an empty one, or
    /// with `force` any.
    ///
    /// # Errors
    /// `InvalidInput` if `path` exists, is not an empty directory, and `force` is not set.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot write {}", path.display()), e);
        let state = match fs::read_dir(path) {
            Ok(mut entries) => {
                if entries.next().is_none() {
                    State::Empty(Vec::new())
                } else {
                    refuse_existing(path, force)?;
                    State::Kept
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // A link that leads nowhere is something as well.
                refuse_existing(path, false)?;
                let temporary = temporary_directory(parent(path));
                let (temporary, locked) = temporary.map_err(|e| cannot_begin(path, plain(e)))?;
                State::New(temporary, locked)
            }
            Err(e) => return Err(cannot(e)),
        };
        Ok(Self {
            path: path.to_path_buf(),
            state,
        })
    }

    /// The directory to write into.
    pub(super) fn path(&self) -> &Path {
        match &self.state {
            State::New(temporary, _) => temporary.path(),
            State::Empty(_) | State::Kept => &self.path,
        }
    }

    /// True if this job makes the directory itself.
    pub(super) const fn is_new(&self) -> bool {
        matches!(self.state, State::New(..))
    }

    /// Notes that something was made in it, so that it is removed again should the job fail.
    pub(super) fn made(&mut self, relative: &Path) {
        if let State::Empty(contents) = &mut self.state {
            contents.push(relative.to_path_buf());
        }
    }

    /// Gives the directory its name, where it has not got it yet. What is in it is durable already.
    pub(super) fn publish(mut self) -> Result<()> {
        if let State::New(temporary, _locked) = std::mem::replace(&mut self.state, State::Kept) {
            fs::rename(temporary.path(), &self.path).map_err(|e| cannot_publish(&self.path, e))?;
            // It has its final name now; there is nothing left to remove.
            let _ = temporary.keep();
        }
        sync_directory(parent(&self.path))
            .map_err(|e| Error::io(format!("cannot write {}", self.path.display()), e))
    }
}

impl Drop for OutputDir {
    fn drop(&mut self) {
        if let State::Empty(contents) = &self.state {
            for relative in contents.iter().rev() {
                let path = self.path.join(relative);
                // A directory stays if somebody else put a file there.
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            }
            let left = names_in(&self.path);
            // Names of bases, which have others. What somebody else put there may rest on them.
            if left.is_ok_and(|left| left == [OWN_DIRECTORY]) {
                let _ = fs::remove_dir_all(self.path.join(OWN_DIRECTORY));
            }
        }
    }
}

/// Gives what is at a path the owner, the extended attributes and the times of the file that it stands in for.
///
/// # Errors
/// `Io` if the system refuses: only root gives files to others.
pub(super) fn take_attributes_of(file: &File, made: &File, path: &Path) -> Result<()> {
    let Err(refused) = copy_attributes(file, made, OWN_XATTRS) else {
        return Ok(());
    };
    let owner = |file: &File| file.metadata().map(|meta| (meta.uid(), meta.gid()));
    Err(match (owner(file), owner(made)) {
        (Ok((uid, gid)), Ok(own)) if (uid, gid) != own => {
            let context = format!(
                "cannot give {} to user {uid} and group {gid}, whose file it stands in for (give that to whoever packs, or run as \
                 root)",
                path.display(),
            );
            Error::io(context, refused)
        }
        _ => cannot_write(path, refused),
    })
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot write {}", path.display()), error)
}

/// Refuses to replace what is read.
pub(super) fn refuse_source(from: &Path, to: &Path) -> Result<()> {
    let identity = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    match (identity(from), identity(to)) {
        (Ok(source), Ok(there)) if source == there => Err(Error::InvalidInput(format!(
            "{} is the file that is read; choose another name for the result",
            to.display()
        ))),
        _ => Ok(()),
    }
}

/// The destination was free when the job began; what has it now may be of another run of the same job.
fn cannot_publish(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            Error::Environment(format!(
                "{} was made by somebody else meanwhile, such as another run of the same command; \
                 that one is kept",
                path.display()
            ))
        }
        _ => Error::io(format!("cannot write {}", path.display()), error),
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
pub(super) fn temporary_name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder
        .prefix(".")
        .suffix(TEMPORARY_SUFFIX)
        .rand_bytes(RANDOM_CHARACTERS);
    builder
}

/// Mostly it is the directory that does not fit.
fn cannot_begin(path: &Path, error: io::Error) -> Error {
    let directory = parent(path);
    let why = match error.kind() {
        io::ErrorKind::NotFound => "does not exist; make it first",
        io::ErrorKind::NotADirectory => "is not a directory",
        _ => return Error::io(format!("cannot write {}", path.display()), error),
    };
    Error::InvalidInput(format!(
        "cannot write {}: {} {why}",
        path.display(),
        directory.display()
    ))
}

/// Without the temporary name that `tempfile` adds, which tells the user nothing.
fn plain(error: io::Error) -> io::Error {
    match error.kind() {
        kind if error.get_ref().is_some() => kind.into(),
        _ => error,
    }
}

/// The directory that holds a path.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes durable what names the directory of a file holds.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    sync_directory(parent(path))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
