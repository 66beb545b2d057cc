//! Whether packing a file of a directory is worth it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::condition::fault;
use super::expected::expect;
use super::kin::KinPlan;
use super::layout::layout;
use super::lossy::LossyPlan;
use super::monitor::Monitor;
use super::pack_options::PackOptions;
use super::source_file::SourceFile;
use super::survey::Survey;
use super::totals::Totals;
use crate::error::Result;
use crate::format::Extent;
use crate::model::ReadAt;

/// Files that are no models are packed from so many bytes on.
const LEAST_BYTES: u64 = 1 << 20;
/// And if they become smaller by one in so many.
const LEAST_GAIN: u64 = 50;
/// Bytes of them that are encoded to tell whether they would.
const SAMPLE_BYTES: u64 = 4 << 20;
/// Bits of a mode that unpacking does not give back.
pub(super) const SPECIAL_MODE: u32 = 0o7000;
/// Bits of a mode that programs have.
const PROGRAM_MODE: u32 = 0o111;

/// What becomes of a file that is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays.
    Stays,
    /// Its archive takes its place.
    Replaced {
        /// Whether somebody has asked for that by its name, and not for all of a directory.
        is_named: bool,
    },
}

/// Whether a file is packed: a model by name or by contents; of others, what a sample shows to gain enough. What nobody has
/// named is replaced only if it holds weights: programs and databases are for others than those who read models.
///
/// # Errors
/// As `ReadAt::read_at`; `Interrupted`.
pub(super) fn is_worth_packing(
    source: &SourceFile,
    relative: &Path,
    fate: Fate,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<bool> {
    if source.is_model()? {
        return Ok(true);
    }
    if source.file_bytes() < LEAST_BYTES || !may_be_replaced(source, relative, fate) {
        return Ok(false);
    }
    let extents = layout(source, &[], monitor)?;
    if fate == (Fate::Replaced { is_named: false }) && !hold_weights(&extents, source.file_bytes())
    {
        return Ok(false);
    }
    let expected = expected(source, &extents, &Survey::default(), options, monitor)?;
    Ok(gains(source, expected) && fault(source, relative)?.is_none())
}

/// Whether a model may become smaller, as far as a sample shows.
///
/// # Errors
/// As `ReadAt::read_at`; `Interrupted`.
pub(super) fn may_shrink(
    source: &SourceFile,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<bool> {
    let extents = layout(source, &[], monitor)?;
    let plans = (&LossyPlan::default(), &KinPlan::default());
    let survey = options.survey(source, plans, monitor)?;
    let expected = expected(source, &extents, &survey, options, monitor)?;
    Ok(expected < source.file_bytes() as f64)
}

/// Bytes of an archive, about, by a sample.
fn expected(
    source: &SourceFile,
    extents: &[Extent],
    survey: &Survey,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<f64> {
    let (plan, kin) = (LossyPlan::default(), KinPlan::default());
    let expected = expect(
        source,
        extents,
        (&plan, &kin),
        survey,
        SAMPLE_BYTES,
        options,
        monitor,
    )?;
    Ok(expected.total())
}

/// Whether what came of it is kept instead of the file.
///
/// # Errors
/// As `ReadAt::read_at`.
pub(super) fn is_worth_keeping(source: &SourceFile, totals: &Totals) -> Result<bool> {
    Ok(totals.has_shrunk() && (source.is_model()? || gains(source, totals.stored_bytes as f64)))
}

/// What a file takes counts, which is less than its length if it has holes.
fn gains(source: &SourceFile, stored: f64) -> bool {
    let bytes = source.disk_bytes as f64;
    stored <= bytes - bytes / LEAST_GAIN as f64
}

fn may_be_replaced(source: &SourceFile, relative: &Path, fate: Fate) -> bool {
    let is_hidden = |name: &OsStr| name.as_bytes().starts_with(b".");
    match fate {
        Fate::Stays => true,
        Fate::Replaced { is_named } => {
            source.mode & SPECIAL_MODE == 0
                && (is_named
                    || (source.mode & PROGRAM_MODE == 0 && !relative.iter().any(is_hidden)))
        }
    }
}

/// Whether at least half of a file is floating-point numbers.
fn hold_weights(extents: &[Extent], file_bytes: u64) -> bool {
    let of_floats = extents
        .iter()
        .filter(|extent| extent.element.exponent_bits().is_some());
    let bytes: u64 = of_floats.map(|extent| extent.len).sum();
    bytes >= file_bytes / 2
}
