//! What packing would do, and what that would take: nothing is written.

use std::path::{Path, PathBuf};

use super::expected::{ExpectedBytes, SAMPLE_BYTES, expect};
use super::lossy::{LossyPlan, check_patterns};
use super::lossy_target;
use super::monitor::Monitor;
use super::pack::files_to_pack;
use super::pack_options::PackOptions;
use super::source_file::SourceFile;
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
}

/// What packing would do to several.
#[derive(Debug, Default)]
pub struct Previews {
    /// The files that would be packed.
    pub files: Vec<Preview>,
    /// What could not be looked at.
    pub failures: Vec<Error>,
}

/// Tells what packing a file or a directory would do.
///
/// # Errors
/// `InvalidInput` if what is asked for cannot be reached; `Io` if the file cannot be read; `Interrupted`.
pub fn preview(path: &Path, options: &PackOptions, monitor: &Monitor<'_>) -> Result<Previews> {
    let options = &options.fitting(monitor)?;
    let (files, failures) = if path.is_dir() {
        files_to_pack(path, options, monitor)?
    } else {
        (vec![path.to_path_buf()], Vec::new())
    };
    let mut previews = preview_files(&files, options, monitor)?;
    previews.failures.splice(0..0, failures);
    Ok(previews)
}

/// Tells what packing these files would do.
///
/// # Errors
/// As `preview`, of the first if it is the only one.
pub fn preview_files(
    files: &[PathBuf],
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Previews> {
    let options = &options.fitting(monitor)?;
    if let Some(lossy) = &options.lossy {
        check_patterns(files.iter().map(PathBuf::as_path), lossy, monitor)?;
    }
    let mut previews = Previews::default();
    for path in files {
        match preview_file(path, options, monitor) {
            Ok(preview) => previews.files.push(preview),
            Err(error) if files.len() == 1 || matches!(error, Error::Interrupted) => {
                return Err(error);
            }
            Err(error) => previews.failures.push(error),
        }
    }
    Ok(previews)
}

fn preview_file(path: &Path, options: &PackOptions, monitor: &Monitor<'_>) -> Result<Preview> {
    let source = SourceFile::open(path)?;
    let plan = match &options.lossy {
        Some(lossy) => lossy_target::plan(&source, lossy, 1.0, options, monitor)?,
        None => LossyPlan::default(),
    };
    let survey = options.survey(&source, &plan, monitor)?;
    Ok(Preview {
        path: path.to_path_buf(),
        expected: expect(&source, &plan, &survey, SAMPLE_BYTES, options, monitor)?,
        plan,
        original_bytes: source.stamp.size,
    })
}
