//! The files that blocks of an archive rest on, as the archive's reader sees them.

use std::fmt::{self, Debug};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Remark, Result};
use crate::format::{BaseRecord, pins_directory};
use crate::printable::hex;

/// A file that blocks rest on. All methods may be called from many threads at once.
///
/// Whoever implements it waits for nobody who waits for a block of an archive that rests on something: a base is never
/// told by differences itself.
pub trait Base: Debug + Send + Sync {
    /// Passes the bytes of a range on to `read`, at most once.
    ///
    /// # Errors
    /// That of `read`, or whatever keeps these bytes from being had.
    fn with(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

    /// As `with`, for the only archive that has this base open: nobody else is about to want the same bytes.
    ///
    /// # Errors
    /// As `with`.
    fn with_alone(
        &self,
        range: Range<u64>,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.with(range, read)
    }

    /// Has the storage make ready what is stored of a range, and waits for none of it.
    fn will_need(&self, range: &Range<u64>);

    /// Whether it was found.
    fn is_there(&self) -> bool {
        true
    }
}

/// What kept archives that may be a base from being looked at.
#[derive(Debug, Default)]
pub struct Hindrances(Vec<String>);

impl Hindrances {
    /// Notes why an archive could not be opened. One that is not there, or is something else, is no hindrance.
    pub fn note(&mut self, why: &Error) {
        let is_nothing = match why {
            Error::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ),
            Error::NotThisFormat(_) => true,
            _ => false,
        };
        if !is_nothing {
            self.add(why.to_string());
        }
    }

    /// Notes what else is in the way.
    pub fn add(&mut self, what: String) {
        if !self.0.contains(&what) {
            self.0.push(what);
        }
    }
}

impl fmt::Display for Hindrances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|what| write!(f, "; {what}"))
    }
}

/// A base that was not found.
#[derive(Debug)]
pub struct MissingBase {
    what: String,
}

impl MissingBase {
    /// Of a record that was looked for by an archive in a directory, and in so many others.
    pub fn new(
        record: &BaseRecord,
        directory: &Path,
        others: usize,
        hindrances: &Hindrances,
    ) -> Arc<Self> {
        let name = match record.name.as_str() {
            "" => "a file of unknown name",
            name => name,
        };
        Arc::new(Self {
            what: format!(
                "the base it rests on is not there: {name} ({} bytes, SHA-256 {}). Looked for in {} and above, under that \
                 name, and in {others} other directories: put its archive back, or name a directory that has it with \
                 --bases DIR{hindrances}",
                record.bytes,
                hex(&record.sha256),
                directory.join(pins_directory()).display(),
            ),
        })
    }

    /// What is to be said of it.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl Base for MissingBase {
    fn with(&self, _: Range<u64>, _: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        Err(Error::MissingBase(Box::new(Remark::new(&self.what))))
    }

    fn will_need(&self, _: &Range<u64>) {}

    fn is_there(&self) -> bool {
        false
    }
}
