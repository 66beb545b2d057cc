//! Goes through the files to analyze.

use std::path::Path;

use super::expect::{self, Expected};
use super::facts::{Analysis, ExpectedLevels, FileFacts};
use super::gather::Gathered;
use super::options::AnalyzeOptions;
use crate::error::{Error, Result};
use crate::format::ElementType;
use crate::job::archives::named_archive;
use crate::job::monitor::Monitor;
use crate::job::source_file::SourceFile;
use crate::job::walk::{EntryKind, walk};
use crate::model::{self, Tensor, WhyNot, names};

/// Analyzes a file, or the models of a directory.
///
/// # Errors
/// `InvalidInput` if there is nothing to analyze, or an archive; `Io` if the system refuses;
/// `Interrupted`.
pub fn analyze(path: &Path, options: &AnalyzeOptions, monitor: &Monitor<'_>) -> Result<Analysis> {
    let sources = sources(path, monitor)?;
    let original_bytes: u64 = sources.iter().map(|source| source.stamp.size).sum();
    (monitor.begin)(original_bytes);
    let mut files = Vec::new();
    let mut gathered = Gathered::default();
    let mut stored = [0.0; 3];
    for source in &sources {
        let bytes = source.stamp.size;
        // Each file gets its share of the sample.
        let share = u128::from(options.sample_bytes) * u128::from(bytes);
        let options = AnalyzeOptions {
            sample_bytes: u64::try_from(share / u128::from(original_bytes.max(1)))
                .unwrap_or(u64::MAX),
            ..*options
        };
        let (header_bytes, tensors) = tensors(source)?;
        gathered.add(source, files.len(), &tensors, &options, monitor)?;
        for (sum, bytes) in stored
            .iter_mut()
            .zip(expect::expect(source, &options, monitor)?)
        {
            *sum += bytes;
        }
        files.push(FileFacts {
            path: source.path.clone(),
            bytes,
            header_bytes,
            tensors: if header_bytes == 0 { 0 } else { tensors.len() },
            unread: if header_bytes == 0 {
                model::why_not(source)?.map(WhyNot::into_text)
            } else {
                None
            },
        });
        (monitor.progress)(bytes);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a length"
    )]
    let [fast, default, max] = stored.map(|bytes| Expected {
        stored_bytes: bytes.round() as u64,
        ratio: original_bytes as f64 / bytes.max(1.0),
    });
    Ok(gathered.finish(files, ExpectedLevels { fast, default, max }))
}

/// The files to analyze: of a directory, all models by name or contents.
fn sources(path: &Path, monitor: &Monitor<'_>) -> Result<Vec<SourceFile>> {
    if !path.is_dir() {
        let path = named_archive(path)?;
        let source = SourceFile::open(&path)?;
        if source.is_archive()? {
            return Err(Error::InvalidInput(format!(
                "{} is an archive; see `weightfs inspect`, or analyze the file it is mounted as",
                path.display()
            )));
        }
        return Ok(vec![source]);
    }
    let mut sources = Vec::new();
    let mut archives = 0;
    let found = walk(path)?;
    for failure in found.failures {
        (monitor.warn)(&failure.to_string());
    }
    for entry in found.entries {
        if !matches!(entry.kind, EntryKind::File) {
            continue;
        }
        let mut look = || {
            let source = SourceFile::open(&entry.from)?;
            if source.is_archive()? {
                archives += 1;
            } else if names::is_model_name(&entry.relative) || source.is_model()? {
                sources.push(source);
            }
            Ok::<_, Error>(())
        };
        if let Err(failure) = look() {
            (monitor.warn)(&format!("{failure}; left out"));
        }
    }
    if sources.is_empty() {
        let directory = path.display();
        return Err(Error::InvalidInput(match archives {
            0 => format!("{directory}: no model in this directory"),
            _ => format!(
                "{directory}: no model in this directory (archives are analyzed where they are mounted)"
            ),
        }));
    }
    Ok(sources)
}

/// The header's length and the tensors; of a file whose tensors are not known, all of it as one.
fn tensors(source: &SourceFile) -> Result<(u64, Vec<Tensor>)> {
    let known = model::read(source)?;
    Ok(known.map_or_else(
        || (0, vec![whole(source)]),
        |header| (header.end, header.tensors),
    ))
}

fn whole(source: &SourceFile) -> Tensor {
    let bytes = source.stamp.size;
    Tensor {
        name: "(all bytes)".into(),
        dtype: ElementType::Bytes.name().into(),
        element: ElementType::Bytes,
        shape: vec![bytes],
        range: 0..bytes,
    }
}
