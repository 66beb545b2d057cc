//! The one error type of the crate.
//!
//! Its kinds are told apart by what the caller can do: restore the archive (`Corrupt`), take the file
//! for what it is (`NotThisFormat`), use another version (`Unsupported`), change the request
//! (`InvalidInput`), change what is around the program (`Environment`), see what the system refuses
//! (`Io`), stop (`Interrupted`). Lower layers state what is wrong; the layers above add where (block,
//! tensor, file) on the way up, with `at` and its like.

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
        /// What was being done; names the file, or `at` does.
        context: String,
        /// What the system answered.
        source: io::Error,
    },
    /// An archive does not hold what it held when it was written.
    #[error("{0}")]
    Corrupt(Box<Damage>),
    /// A file is not what it was read as, such as an archive, or a model of some format. It may well be
    /// whole, and something else.
    #[error("{0}")]
    NotThisFormat(Box<Remark>),
    /// An archive asks for something this version does not know.
    #[error("{0}")]
    Unsupported(Box<Remark>),
    /// The request itself cannot be carried out.
    #[error("{0}")]
    InvalidInput(String),
    /// Something around the program must change first: a missing package or kernel module, a file that
    /// somebody else uses or writes to.
    #[error("{0}")]
    Environment(String),
    /// The user asked to stop (SIGINT, SIGTERM or SIGHUP).
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

    /// A file that is not what it was read as.
    pub fn not_this_format(what: impl Into<String>) -> Self {
        Self::NotThisFormat(Box::new(Remark::new(what)))
    }

    /// Something that this version does not know.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(Box::new(Remark::new(what)))
    }

    /// Adds the file it happened with, where none is named yet. The kinds that answer a request
    /// (`InvalidInput`, `Environment`) name what they are about themselves.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        match &mut self {
            Self::Io { context, .. } => {
                let name = path.display().to_string();
                if !context.contains(&name) {
                    *context = format!("{name}: {context}");
                }
            }
            Self::Corrupt(damage) => {
                damage.file.get_or_insert_with(|| path.to_path_buf());
            }
            Self::NotThisFormat(remark) | Self::Unsupported(remark) => {
                remark.file.get_or_insert_with(|| path.to_path_buf());
            }
            Self::InvalidInput(_) | Self::Environment(_) | Self::Interrupted => {}
        }
        self
    }

    /// Adds the block, and the range of the original file that it holds.
    #[must_use]
    pub fn at_block(mut self, block: u64, range: Range<u64>) -> Self {
        match &mut self {
            Self::Io { context, .. } => {
                let (start, end) = (range.start, range.end);
                *context = format!("block {block} (bytes {start}..{end}): {context}");
            }
            Self::Corrupt(damage) => {
                damage.block.get_or_insert((block, range));
            }
            _ => {}
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

    /// True if an archive is not what it should be.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::NotThisFormat(_))
    }

    /// The errno a reader of a mounted file gets.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Io { source, .. } => source.raw_os_error().unwrap_or(libc::EIO),
            // What a reader can meet of the others is a file that is no archive, whatever its name.
            Self::Corrupt(_)
            | Self::NotThisFormat(_)
            | Self::Unsupported(_)
            | Self::InvalidInput(_)
            | Self::Environment(_) => libc::EIO,
            Self::Interrupted => libc::EINTR,
        }
    }
}

/// What is to be said of a file.
#[derive(Debug, Clone)]
pub struct Remark {
    /// The file.
    pub file: Option<PathBuf>,
    /// What is to be said.
    pub what: String,
}

impl Remark {
    fn new(what: impl Into<String>) -> Self {
        Self {
            file: None,
            what: what.into(),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        f.write_str(&self.what)
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
