//! The extents that a file is packed by.

use std::ops::Range;

use super::monitor::Monitor;
use super::typing;
use crate::error::Result;
use crate::format::Extent;
use crate::model::{ReadAt, extents};

/// The extents of any file: by its header, or found by trying. Those of some places, which are sorted, stay apart.
///
/// # Errors
/// As `ReadAt::read_at`; `Interrupted`.
pub(super) fn layout(
    file: &(impl ReadAt + ?Sized),
    apart: &[Range<u64>],
    monitor: &Monitor<'_>,
) -> Result<Vec<Extent>> {
    if let Some(extents) = extents::of_model(file, apart)? {
        return Ok(extents);
    }
    let types = typing::types(file, monitor)?;
    Ok(extents::tiled(&types, file.file_bytes()))
}
