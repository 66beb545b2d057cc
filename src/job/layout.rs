//! The extents that a file is packed by.

use super::monitor::Monitor;
use super::typing;
use crate::error::Result;
use crate::format::Extent;
use crate::model::{ReadAt, extents};

/// The extents of any file: by its header, or found by trying. None goes on over the cuts, which are sorted.
///
/// # Errors
/// As `ReadAt::read_at`; `Interrupted`.
pub(super) fn layout(
    file: &(impl ReadAt + ?Sized),
    cuts: &[u64],
    monitor: &Monitor<'_>,
) -> Result<Vec<Extent>> {
    if let Some(extents) = extents::of_model(file, cuts)? {
        return Ok(extents);
    }
    let types = typing::types(file, monitor)?;
    Ok(extents::tiled(&types, file.file_bytes()))
}
