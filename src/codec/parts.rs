//! Takes a coded plane apart into the parts it is made of.

use crate::error::{Error, Result};

/// What is left of a coded plane.
pub(super) struct PartReader<'a> {
    rest: &'a [u8],
}

impl<'a> PartReader<'a> {
    pub(super) const fn new(coded: &'a [u8]) -> Self {
        Self { rest: coded }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// `Corrupt` if there are not as many.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (part, rest) = self.rest.split_at_checked(len).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(part)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// `Corrupt` if there are not as many.
    pub(super) fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (part, rest) = self.rest.split_first_chunk().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(part)
    }

    /// All that was not taken, which stays.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// # Errors
    /// `Corrupt` if something is left.
    pub(super) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::corrupt("a coded plane is too long"))
        }
    }
}

fn too_short() -> Error {
    Error::corrupt("a coded plane ends too early")
}
