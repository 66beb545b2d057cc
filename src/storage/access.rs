//! What every storage does: gives out ranges of its bytes, and is told what will be read and what is
//! done with.
//!
//! A trait and not an enum: where bytes lie is no closed set. Besides those of this folder there are
//! storages that tests make to fail on purpose, and there will be remote ones; none of them should
//! need a line here. What it costs is one indirect call for each block of some hundred KiB.
//!
//! Bytes are lent to a closure and not returned: a storage can fail, wait, or find out behind the
//! closure that what it showed was wrong and show it again, and nobody holds a slice of it meanwhile.
//! There is no buffer to hand in either: a storage whose bytes can be seen where they are needs none,
//! and one that has to fetch them knows best which of its buffers to fetch them into, and what to keep
//! there.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;

use crate::error::{Error, Result};

/// The bytes of one archive. All methods may be called from many threads at once.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Length in bytes, as it was when it was opened.
    fn len(&self) -> u64;

    /// True if there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passes the bytes of a range on to `read`, all of them; without a copy where that is possible.
    /// `read` may be called more than once, if what it was shown first turns out not to be what is
    /// stored; the last call counts. Bytes of a file may change while they are looked at: whoever reads
    /// must check what they made of them.
    ///
    /// # Errors
    /// What the system answered, or `UnexpectedEof` if not all of the range is there (any more). What
    /// `read` has made of the bytes must not be used then.
    fn read(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8])) -> io::Result<()>;

    /// Asks for ranges that will be read soon, and waits for none of them.
    fn will_need(&self, _ranges: &[Range<u64>]) {}

    /// Gives back what reading a range has taken of memory.
    fn release(&self, _range: Range<u64>) {}

    /// Tells that all will be read once, from the start to the end.
    fn expect_sequential(&self) {}

    /// The file that the bytes are of, for what is asked beside them.
    fn file(&self) -> Option<&File> {
        None
    }

    /// What to know of it.
    fn hints(&self) -> Hints;
}

/// What a storage says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// True if bytes are seen where they are, so that looking at some again costs nothing.
    pub in_place: bool,
    /// How many bytes to ask for (`will_need`) ahead of those that are read ahead anyway; none if asking
    /// brings nothing.
    pub ask_ahead_bytes: u64,
}

impl dyn Storage + '_ {
    /// Passes the bytes of a range on to `read`, as `Storage::read` says, and returns what the last call
    /// of it has returned.
    ///
    /// # Errors
    /// `Io` if the bytes cannot be had, whatever `read` has made of them; else that of `read`.
    pub fn with<T>(
        &self,
        range: Range<u64>,
        mut read: impl FnMut(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let (start, end) = (range.start, range.end);
        let cannot = |e| Error::io(format!("cannot read stored bytes {start}..{end}"), e);
        let mut result = None;
        self.read(range, &mut |bytes| {
            // All or nothing, also of a storage that breaks its word.
            let is_all = bytes.len() as u64 == end.saturating_sub(start);
            result = is_all.then(|| read(bytes));
        })
        .map_err(cannot)?;
        result.unwrap_or_else(|| Err(cannot(io::ErrorKind::UnexpectedEof.into())))
    }
}

/// A range as places in memory, if it lies inside of `len` bytes.
///
/// # Errors
/// `UnexpectedEof` if it does not.
pub(super) fn within(range: &Range<u64>, len: u64) -> io::Result<Range<usize>> {
    let place = || {
        let inside = range.start <= range.end && range.end <= len;
        inside.then_some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    };
    place().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
