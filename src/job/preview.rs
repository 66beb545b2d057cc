//! What packing would do, and what that would take: nothing is written.

use std::path::{Path, PathBuf};

use super::condition::refuse_fault;
use super::expected::{ExpectedBytes, SAMPLE_BYTES, expect};
use super::kin::KinPlan;
use super::layout::layout;
use super::lossy::{LossyPlan, check_patterns};
use super::lossy_target;
use super::monitor::Monitor;
use super::output::parent;
use super::pack::{files_to_pack, tell_beforehand};
use super::pack_options::PackOptions;
use super::replace::archives_to_make;
use super::source_file::SourceFile;
use super::totals::Totals;
use super::worth::is_worth_keeping;
use crate::error::{Error, Result};

/// What packing would do to a file.
#[derive(Debug)]
pub struct Preview {
    /// The file.
    pub path: PathBuf,
    /// What would be done to each of its tensors, if anything is lossy.
    pub plan: LossyPlan,
    /// What that would take.
    pub expected: ExpectedBytes,
    /// Bytes of the file.
    pub original_bytes: u64,
    /// Whether the file would stay as it is, since it would not become smaller.
    pub stays: bool,
}

/// What packing would do to several.
#[derive(Debug, Default)]
pub struct Previews {
    /// The files that would be looked at.
    pub files: Vec<Preview>,
    /// What could not be looked at, or would not be packed for a reason.
    pub failures: Vec<Error>,
}

/// Tells what packing a file or a directory (to `to`, or beside it) would do; in place, other files are packed.
///
/// # Errors
/// `InvalidInput` if what is asked for cannot be reached; `Io` if the file cannot be read; `Interrupted`.
pub fn preview(
    path: &Path,
    to: Option<&Path>,
    is_in_place: bool,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Previews> {
    let options = &options.fitting(monitor)?;
    let (files, failures) = if is_in_place {
        let found = archives_to_make(path, options, monitor)?;
        let files = found.sources().map(Path::to_path_buf).collect();
        (files, found.failures)
    } else if path.is_dir() {
        files_to_pack(path, options, monitor)?
    } else {
        (vec![path.to_path_buf()], Vec::new())
    };
    if let Some(lossy) = &options.lossy {
        check_patterns(files.iter().map(PathBuf::as_path), lossy, monitor)?;
    }
    // Where candidates for bases are, and where they will be kept.
    let root = match (path.is_dir(), to) {
        (true, Some(to)) if to.is_dir() => to,
        (true, _) => path,
        (false, to) => parent(to.unwrap_or(path)),
    };
    let mut previews = Previews {
        files: Vec::new(),
        failures,
    };
    for file in &files {
        // What somebody names for a destination of its own is packed whatever becomes of it.
        let may_stay = is_in_place || file != path;
        let shown = (is_in_place, may_stay, SAMPLE_BYTES);
        match preview_file(file, root, shown, options, monitor) {
            Ok(preview) => previews.files.push(preview),
            Err(error) if file == path || matches!(error, Error::Interrupted) => return Err(error),
            Err(error) => previews.failures.push(error),
        }
    }
    Ok(previews)
}

/// The same for a file that is to be replaced, by a sample of so many bytes.
///
/// # Errors
/// As `preview`.
pub(super) fn preview_share(
    file: &Path,
    root: &Path,
    sample_bytes: u64,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Preview> {
    preview_file(file, root, (true, true, sample_bytes), options, monitor)
}

fn preview_file(
    path: &Path,
    root: &Path,
    (is_in_place, may_stay, sample_bytes): (bool, bool, u64),
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Preview> {
    let source = SourceFile::open(path)?;
    source.refuse_archive()?;
    if is_in_place && !options.force {
        refuse_fault(&source, path)?;
    } else if !may_stay {
        tell_beforehand(&source, path, options, monitor)?;
    }
    let plan = match &options.lossy {
        Some(lossy) => lossy_target::plan(&source, lossy, 1.0, options, monitor)?,
        None => LossyPlan::default(),
    };
    let kin = match &options.lossy {
        Some(_) => KinPlan::default(),
        None => options.kin(&source, root, monitor)?,
    };
    let survey = options.survey(&source, (&plan, &kin), monitor)?;
    let cuts = if kin.is_empty() {
        plan.cuts()
    } else {
        kin.cuts()
    };
    let extents = layout(&source, &cuts, monitor)?;
    let expected = expect(
        &source,
        &extents,
        (&plan, &kin),
        &survey,
        sample_bytes,
        options,
        monitor,
    )?;
    let totals = Totals {
        original_bytes: source.stamp.size,
        stored_bytes: expected.whole(),
        ..Totals::default()
    };
    Ok(Preview {
        path: path.to_path_buf(),
        expected,
        plan,
        original_bytes: source.stamp.size,
        stays: may_stay && !is_worth_keeping(&source, &totals)?,
    })
}
