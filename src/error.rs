//! The one error type of the crate.
//!
//! Its kinds are told apart by what the caller can do: restore the archive (`Corrupt`), take the file
//! for what it is (`NotThisFormat`), use another version (`Unsupported`), find the base (`MissingBase`), change the request
//! (`InvalidInput`), change what is around the program (`Environment`), see what the system refuses
//! (`Io`), stop (`Interrupted`). Lower layers state what is wrong; the layers above add where (block,
//! tensor, file) on the way up, with `at` and its like.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::printable::{Printable, printable_name};

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong. What is shown of it is one line of printable text, whatever names and
/// answers it is made of.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation.
    Io {
        /// What was being done; names the file, or `at` does.
        context: String,
        /// What the system answered.
        source: io::Error,
    },
    /// An archive does not hold what it held when it was written.
    Corrupt(Box<Damage>),
    /// A file is not what it was read as, such as an archive, or a model of some format. It may well be
    /// whole, and something else.
    NotThisFormat(Box<Remark>),
    /// An archive asks for something this version does not know.
    Unsupported(Box<Remark>),
    /// An archive rests on a file that is not there. It is whole itself.
    MissingBase(Box<Remark>),
    /// The request itself cannot be carried out.
    InvalidInput(String),
    /// Something around the program must change first: a missing package or kernel module, a file that
    /// somebody else uses or writes to.
    Environment(String),
    /// The user asked to stop (SIGINT, SIGTERM or SIGHUP).
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
                let name = printable_name(path);
                let is_named = [&name, &path.display().to_string()]
                    .iter()
                    .any(|name| context.contains(*name));
                if !is_named {
                    *context = format!("{name}: {context}");
                }
            }
            Self::Corrupt(damage) => {
                damage.file.get_or_insert_with(|| path.to_path_buf());
            }
            Self::NotThisFormat(remark) | Self::Unsupported(remark) | Self::MissingBase(remark) => {
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
            | Self::MissingBase(_)
            | Self::InvalidInput(_)
            | Self::Environment(_) => libc::EIO,
            Self::Interrupted => libc::EINTR,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;

        let mut line = Printable(f);
        match self {
            Self::Io { context, source } => write!(line, "{context}: {source}"),
            Self::Corrupt(damage) => write!(line, "{damage}"),
            Self::NotThisFormat(remark) | Self::Unsupported(remark) | Self::MissingBase(remark) => {
                write!(line, "{remark}")
            }
            Self::InvalidInput(what) | Self::Environment(what) => line.write_str(what),
            Self::Interrupted => {
                line.write_str("interrupted; nothing half-written was left behind")
            }
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
    /// Of a file that is still to be named.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            file: None,
            what: what.into(),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", printable_name(file))?;
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
            write!(f, "{}: ", printable_name(file))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_error_is_made_of_it_is_one_printable_line() {
        let hostile = "a\u{1b}[31m\nweightfs: b\u{202e}";
        let path = Path::new(hostile);
        for error in [
            Error::io(hostile, io::Error::other(hostile)),
            Error::io("cannot read", io::Error::other("x")).at(path),
            Error::corrupt(hostile)
                .at_block(1, 2..3)
                .in_tensors(hostile, 1)
                .at(path),
            Error::not_this_format(hostile).at(path),
            Error::unsupported(hostile).at(path),
            Error::InvalidInput(hostile.into()),
            Error::Environment(hostile.into()),
        ] {
            let text = error.to_string();
            assert!(text.chars().all(crate::printable::is_printable), "{text:?}");
            assert!(
                text.contains("a\\x1b[31m\\nweightfs: b\\u{202e}"),
                "{text:?}"
            );
        }
    }
}
