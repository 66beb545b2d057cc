//! An archive that is to take the place of its file.
//!
//! Invariant: when it has its name it is durable, every byte of it was compared, and it has all that the file
//! has beside its bytes. Nothing is removed here.

use std::path::Path;

use super::monitor::Monitor;
use super::output::OutputFile;
use super::pack::pack_to;
use super::pack_options::PackOptions;
use super::removal::Held;
use super::source_file::SourceFile;
use super::totals::Totals;
use super::walk::identity;
use super::worth::is_worth_keeping;
use crate::error::Result;

/// Packs a file, with its owner, mode, times and extended attributes; `None`, and there is nothing, if it does not
/// become smaller.
///
/// # Errors
/// As `pack_file`.
pub(super) fn pack_stand_in(
    source: &SourceFile,
    to: &Path,
    root: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Option<(Totals, Held)>> {
    let output = OutputFile::create(to, false)?;
    let totals = pack_to(source, &output, root, options, monitor, |output| {
        output.take_attributes_of(&source.file)?;
        output.sync(source.mode, Some(source.modified()))
    })?;
    if !is_worth_keeping(source, &totals)? {
        return Ok(None);
    }
    Ok(Some((totals, published(output)?)))
}

/// Gives a file its name and holds it on.
///
/// # Errors
/// As `OutputFile::publish`.
pub(super) fn published(output: OutputFile) -> Result<Held> {
    let meta = output.file().metadata();
    Ok(Held {
        identity: identity(&meta.map_err(|e| output.cannot_write(e))?),
        path: output.path().to_path_buf(),
        file: output.publish()?,
    })
}
