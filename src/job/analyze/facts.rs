//! Findings about files, dtypes and tensors.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::ceiling::Ceiling;
use super::counts::Entropies;
use super::expect::Expected;
use super::fields::RecordStatistics;
use super::redundancy::Redundancy;
use super::values::Values;

/// Findings about all files together.
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
    /// Order-0 coding of each field on its own, over quantized tensors.
    pub by_field: Option<Ceiling>,
    /// The ratio of all files if their quantized tensors were coded so, and all else left as it is. `None` if
    /// there are no quantized tensors.
    pub by_field_whole: Option<f64>,
    /// Resemblance of neighbouring layers.
    pub redundancy: Option<Redundancy>,
    /// At each level.
    pub expected: ExpectedLevels,
}

/// Expected archives, one for each level.
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
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Length of the header, of a safetensors file with its length field; 0 if it has none.
    pub header_bytes: u64,
    /// Number of tensors.
    pub tensors: usize,
    /// Why it, which starts as a model, is read as none.
    pub unread: Option<String>,
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
    /// How often each value of each byte occurs, lowest byte first, as shares. None of records, whose fields
    /// have their own.
    pub histograms: Vec<Vec<f64>>,
    /// The most frequent values of each byte, lowest byte first. None of records.
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

/// Statistics of a set of elements.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Statistics {
    /// Of numbers, or of bytes that nothing is known of.
    Numbers(Box<NumberStatistics>),
    /// Of quantized weights.
    Records(RecordStatistics),
}

/// Statistics of numbers.
#[derive(Debug, Clone, Serialize)]
pub struct NumberStatistics {
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

impl Statistics {
    /// Of numbers.
    pub fn numbers(&self) -> Option<&NumberStatistics> {
        match self {
            Self::Numbers(numbers) => Some(numbers),
            Self::Records(_) => None,
        }
    }

    /// Of records.
    pub const fn records(&self) -> Option<&RecordStatistics> {
        match self {
            Self::Numbers(_) => None,
            Self::Records(records) => Some(records),
        }
    }

    /// Best ratio if whole values are coded, of records fields; 1 if nothing was looked at.
    pub fn best_ratio(&self) -> f64 {
        match self {
            Self::Numbers(numbers) if numbers.sampled > 0 => numbers.joint,
            Self::Records(records) if records.sampled > 0 => records.by_field,
            _ => 1.0,
        }
    }
}

/// JSON has no bytes: those of a name that are no UTF-8 are lost, as everywhere in JSON.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
