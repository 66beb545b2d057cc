//! Whether packing a file of a directory is worth it.

use std::path::Path;

use super::condition::fault;
use super::expected::expect;
use super::lossy::LossyPlan;
use super::monitor::Monitor;
use super::pack_options::PackOptions;
use super::source_file::SourceFile;
use super::survey::Survey;
use super::totals::Totals;
use crate::error::Result;
use crate::model::ReadAt;

/// Files that are no models are packed from so many bytes on.
const LEAST_BYTES: u64 = 1 << 20;
/// And if they become smaller by one in so many.
const LEAST_GAIN: u64 = 50;
/// Bytes of them that are encoded to tell whether they would.
const SAMPLE_BYTES: u64 = 4 << 20;

/// Whether a file is packed: a model by name or by contents, or what a sample shows to gain enough.
///
/// # Errors
/// As `ReadAt::read_at`; `Interrupted`.
pub(super) fn is_worth_packing(
    source: &SourceFile,
    name: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<bool> {
    if source.is_model()? {
        return Ok(true);
    }
    let bytes = source.file_bytes();
    if bytes < LEAST_BYTES || fault(source, name)?.is_some() {
        return Ok(false);
    }
    let (plan, survey) = (LossyPlan::default(), Survey::default());
    let expected = expect(source, &plan, &survey, SAMPLE_BYTES, options, monitor)?;
    Ok(gains(bytes as f64, expected.total()))
}

/// Whether what came of it is kept instead of the file.
///
/// # Errors
/// As `ReadAt::read_at`.
pub(super) fn is_worth_keeping(source: &SourceFile, totals: &Totals) -> Result<bool> {
    Ok(totals.has_shrunk()
        && (source.is_model()? || gains(totals.original_bytes as f64, totals.stored_bytes as f64)))
}

fn gains(original: f64, stored: f64) -> bool {
    stored <= original - original / LEAST_GAIN as f64
}
