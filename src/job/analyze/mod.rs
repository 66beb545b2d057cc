//! Analyzing: what a model's bytes are like, and what packing it would give, without writing anything.
//!
//! Statistics are of samples: pieces spread evenly over each tensor, each counted for as many elements
//! as it stands for. A file is analyzed whole if the sample is as large as that.

mod ceiling;
mod counts;
mod expect;
mod gather;
mod redundancy;
mod values;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use ceiling::Ceiling;
pub use counts::{BYTES, Entropies};
pub use expect::Expected;
pub use redundancy::Redundancy;
pub use values::Values;

use super::Monitor;
use super::pack::{is_archive, is_model_name};
use super::source_file::SourceFile;
use super::walk::{self, Kind};
use crate::error::{Error, Result};
use crate::format::ElementType;
use crate::model::extents;
use crate::model::safetensors::Tensor;
use gather::Gathered;

/// How to analyze.
#[derive(Debug, Clone, Copy)]
pub struct AnalyzeOptions {
    /// Bytes to look at, about.
    pub sample_bytes: u64,
    /// Threads that count and encode.
    pub threads: NonZeroUsize,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    /// The files.
    pub files: Vec<FileFacts>,
    /// Their bytes.
    pub original_bytes: u64,
    /// Elements of all tensors.
    pub parameters: u64,
    /// Bytes that statistics were made of.
    pub sampled_bytes: u64,
    /// By dtype, the one with most bytes first.
    pub dtypes: Vec<DtypeFacts>,
    /// By place; of a file with very many, the largest.
    pub tensors: Vec<TensorFacts>,
    /// Order-0 coding of each byte on its own, over tensors of floats.
    pub byte_marginal: Option<Ceiling>,
    /// Order-0 coding of whole values.
    pub joint: Option<Ceiling>,
    /// Resemblance of neighbouring layers.
    pub redundancy: Option<Redundancy>,
    /// At each level.
    pub expected: ExpectedLevels,
}

/// What each level is expected to give.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names of the levels")]
pub struct ExpectedLevels {
    pub fast: Expected,
    pub default: Expected,
    pub max: Expected,
}

/// A file as a whole.
#[derive(Debug, Clone, Serialize)]
pub struct FileFacts {
    /// Its name.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Length of the safetensors header with its length field; 0 if it has none.
    pub header_bytes: u64,
    /// Number of tensors.
    pub tensors: usize,
}

/// All tensors of one dtype.
#[derive(Debug, Clone, Serialize)]
pub struct DtypeFacts {
    /// As the header spells it.
    pub dtype: String,
    /// Number of tensors.
    pub tensors: usize,
    /// Number of elements.
    pub parameters: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entropies, ceilings, values.
    pub statistics: Statistics,
    /// How often each value of each byte occurs, lowest byte first, as shares.
    pub histograms: Vec<Vec<f64>>,
    /// The most frequent values of each byte, lowest byte first.
    pub frequent: Vec<Vec<Frequent>>,
}

/// A value of a byte that occurs often.
#[derive(Debug, Clone, Serialize)]
pub struct Frequent {
    /// The value.
    pub value: u8,
    /// Its share.
    pub share: f64,
    /// What it says, for highest bytes of floats: sign and magnitude.
    pub meaning: Option<String>,
}

/// One tensor.
#[derive(Debug, Clone, Serialize)]
pub struct TensorFacts {
    /// Which of the files it is in.
    pub file: usize,
    /// Its name.
    pub name: String,
    /// As the header spells it.
    pub dtype: String,
    /// Elements in each dimension.
    pub shape: Vec<u64>,
    /// Its bytes.
    pub bytes: u64,
    /// The number of its layer, if its name has one.
    pub layer: Option<u32>,
    /// Its name with a star in place of that number.
    pub role: String,
    /// Entropies, ceilings, values.
    pub statistics: Statistics,
}

/// What is said of a set of elements.
#[derive(Debug, Clone, Serialize)]
pub struct Statistics {
    /// Elements that were looked at.
    pub sampled: u64,
    /// Bits a value.
    pub entropy: Entropies,
    /// Best ratio if each byte is coded on its own.
    pub byte_marginal: f64,
    /// Best ratio if whole values are coded.
    pub joint: f64,
    /// Floats only.
    pub values: Option<Values>,
}

/// Analyzes a file, or the safetensors files of a directory.
///
/// # Errors
/// `InvalidInput` if there is nothing to analyze, or an archive; `Io` if the system refuses;
/// `Interrupted`.
pub fn analyze(path: &Path, options: &AnalyzeOptions, monitor: &Monitor<'_>) -> Result<Analysis> {
    let sources = sources(path)?;
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

/// The files to analyze.
fn sources(path: &Path) -> Result<Vec<SourceFile>> {
    let paths = if path.is_dir() {
        let entries = walk::walk(path)?.into_iter();
        let files = entries.filter(|entry| matches!(entry.kind, Kind::File));
        files
            .map(|entry| entry.from)
            .filter(|path| is_model_name(path))
            .collect()
    } else {
        vec![path.to_path_buf()]
    };
    if paths.is_empty() {
        return Err(Error::InvalidInput(format!(
            "{}: no .safetensors file in this directory",
            path.display()
        )));
    }
    paths
        .iter()
        .map(|path| {
            let source = SourceFile::open(path)?;
            if is_archive(&source)? {
                return Err(Error::InvalidInput(format!(
                    "{} is an archive; see `weightfs inspect`, or analyze the file it is mounted as",
                    path.display()
                )));
            }
            Ok(source)
        })
        .collect()
}

/// The header's length and the tensors; of a file that is not safetensors, all of it as one.
fn tensors(source: &SourceFile) -> Result<(u64, Vec<Tensor>)> {
    let bytes = source.stamp.size;
    let found = extents::tensors(&source.file, bytes).map_err(|e| e.at(&source.path))?;
    Ok(found.unwrap_or_else(|| {
        let whole = Tensor {
            name: "(all bytes)".into(),
            dtype: ElementType::Bytes.name().into(),
            shape: vec![bytes],
            range: 0..bytes,
        };
        (0, vec![whole])
    }))
}
