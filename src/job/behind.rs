//! Packing a file behind those who use it: the archive that is to take its place is made somewhere else, and
//! whoever shows the file lets it do so.
//!
//! Invariant: the file is only read; the archive is there whole, compared and durable, or not at all.
//! Knows nothing of mounts.

use std::fs::File;
use std::path::Path;

use super::condition::{fault_of_contents, is_named_unfinished};
use super::monitor::Monitor;
use super::output::{parent, remove_abandoned};
use super::pack_options::PackOptions;
use super::removal::hold_open;
use super::source_file::SourceFile;
use super::stand_in::pack_stand_in;
use super::totals::Totals;
use super::worth::{SPECIAL_MODE, may_shrink};
use crate::error::Result;
use crate::model;

/// What became of it.
#[derive(Debug)]
pub enum Behind {
    /// The archive is there.
    Packed(Totals),
    /// It does not become smaller.
    NotSmaller,
    /// It is no model, or not yet, and is nobody's business.
    NoModel,
    /// It should be a model, and something is wrong with it.
    Fault(String),
}

/// Packs a file that is open and known as `from` into an archive at `to`, if it is a model by what it holds. Who
/// writes to it is for the caller to know.
///
/// # Errors
/// As `pack_file`; there is nothing at `to` then.
pub fn pack_behind(
    file: File,
    from: &Path,
    to: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Behind> {
    let options = &options.fitting(monitor)?;
    remove_abandoned(to);
    let source = SourceFile::of_open(file, from)?;
    // What unpacking does not give back, an archive is not to stand for.
    let is_special = source.mode & SPECIAL_MODE != 0;
    if is_special || is_named_unfinished(from) || source.is_archive()? || !source.is_model()? {
        return Ok(Behind::NoModel);
    }
    hold_open(from, &source.file)?;
    if let Some(fault) = fault_of_contents(&source, from)? {
        return Ok(Behind::Fault(fault));
    }
    // By its name alone it need not be one.
    if model::recognize(&source)?.is_none() {
        return Ok(Behind::NoModel);
    }
    if !may_shrink(&source, options, monitor)? {
        return Ok(Behind::NotSmaller);
    }
    let packed = pack_stand_in(&source, to, parent(to), options, monitor)?;
    Ok(packed.map_or(Behind::NotSmaller, |(totals, _)| Behind::Packed(totals)))
}
