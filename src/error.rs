//! The one error type of the crate.
//!
//! Its variants are sorted by what the caller can do: retry or fix the system (`Io`), restore the
//! archive (`Corrupt`), use another version (`Unsupported`), change the request (`InvalidInput`).
//! Lower layers state what is wrong; the layers above add where (block, tensor, file) on the way up.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, naming the file.
        context: String,
        /// What the system answered.
        source: io::Error,
    },
    /// An archive does not hold what it held when it was written.
    #[error("{0}")]
    Corrupt(Box<Damage>),
    /// An archive asks for something this version does not know.
    #[error("{0}")]
    Unsupported(String),
    /// The request itself cannot be carried out.
    #[error("{0}")]
    InvalidInput(String),
    /// The user asked to stop (SIGINT or SIGTERM).
    #[error("interrupted; nothing half-written was left behind")]
    Interrupted,
}

impl Error {
    /// An I/O error with what was being done, e.g. `Error::io("cannot open x", e)`.
    pub fn io(context: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            context: context.into(),
            source,
        }
    }

    /// Damage whose place the layers above fill in.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(Box::new(Damage {
            what: what.into(),
            ..Damage::default()
        }))
    }

    /// Adds the file that an I/O error happened with.
    #[must_use]
    pub fn with_path(self, path: &Path) -> Self {
        match self {
            Self::Io { context, source } => Self::Io {
                context: format!("{}: {context}", path.display()),
                source,
            },
            other => other,
        }
    }

    /// Adds the archive's path to an error that has a place for it.
    #[must_use]
    pub fn in_file(mut self, path: &Path) -> Self {
        match &mut self {
            Self::Corrupt(damage) => {
                damage.file.get_or_insert_with(|| path.to_path_buf());
            }
            Self::Unsupported(what) => {
                *what = format!("{}: {what}", path.display());
            }
            Self::Io { .. } | Self::InvalidInput(_) | Self::Interrupted => {}
        }
        self
    }

    /// Adds the block, and the range of the original file that it holds.
    #[must_use]
    pub fn at_block(mut self, block: u64, range: Range<u64>) -> Self {
        if let Self::Corrupt(damage) = &mut self {
            damage.block.get_or_insert((block, range));
        }
        self
    }

    /// Adds the first of the tensors that the damaged range belongs to, and how many more there are.
    #[must_use]
    pub fn in_tensors(mut self, first: &str, more: usize) -> Self {
        if let Self::Corrupt(damage) = &mut self {
            damage.tensor = Some((first.to_owned(), more));
        }
        self
    }

    /// The errno a reader of a mounted file gets.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Io { source, .. } => source.raw_os_error().unwrap_or(libc::EIO),
            // What a reader can meet of the last is a file that is no archive, whatever its name.
            Self::Corrupt(_) | Self::Unsupported(_) | Self::InvalidInput(_) => libc::EIO,
            Self::Interrupted => libc::EINTR,
        }
    }
}

/// What is damaged, and where.
#[derive(Debug, Default, Clone)]
pub struct Damage {
    /// The archive.
    pub file: Option<PathBuf>,
    /// The block and the range of the original file it holds.
    pub block: Option<(u64, Range<u64>)>,
    /// The first tensor in that range and how many more there are, where the header is known.
    pub tensor: Option<(String, usize)>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if let Some((block, range)) = &self.block {
            write!(f, "block {block} (bytes {}..{}", range.start, range.end)?;
            match &self.tensor {
                None => {}
                Some((first, 0)) => write!(f, ", tensor {first}")?,
                Some((first, more)) => write!(f, ", tensor {first} and {more} more")?,
            }
            write!(f, "): ")?;
        }
        write!(f, "damaged: {}", self.what)
    }
}
