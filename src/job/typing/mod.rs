//! Types of numbers in files of unknown containers, found by trying.
//!
//! Invariant: what is found only advises, as what headers say: a file is its bytes. So nothing here is
//! promised to be right, only to take less.
//!
//! Files, each importing only those before it: `pattern` (what places of bytes are like), `runs` (where
//! that changes), `trial` (which type encodes to least),
//! `types`.

mod pattern;
mod runs;
#[cfg(test)]
mod tests;
mod trial;
mod types;

pub(super) use types::types;
