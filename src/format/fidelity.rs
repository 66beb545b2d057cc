//! How what reading an archive gives compares with what the archive was made from: of a block, and of each
//! tensor that was made lossy.

use std::fmt;

use super::field;
use crate::error::{Error, Result};

/// Bytes of the record of a tensor.
pub const FIDELITY_BYTES: usize = 80;

/// What decoded bytes are of the bytes they were made from.
///
/// Those are two things, and whoever stores a checksum or compares says of which of them: checksums of
/// blocks and the SHA-256 of an archive are of what reading gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fidelity {
    /// The very same bytes. Nothing but an option that asks for it makes something else.
    #[default]
    Exact,
    /// Numbers near those.
    Lossy,
}

/// What was asked for a tensor. The code is the one on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LossyMethod {
    /// A bound on the error.
    ErrorBound = 1,
    /// The same as a share of the range of the tensor's numbers.
    RelativeBound = 2,
    /// The same as a share of the root mean square of each row.
    RowBound = 3,
    /// The same as a share of each number.
    PointwiseBound = 4,
    /// Levels of 8 bits times the scale of a group.
    Int8 = 5,
    /// Levels of 4 bits times the scale of a group.
    Int4 = 6,
}

impl LossyMethod {
    const ALL: [Self; 6] = [
        Self::ErrorBound,
        Self::RelativeBound,
        Self::RowBound,
        Self::PointwiseBound,
        Self::Int8,
        Self::Int4,
    ];

    /// It with its number, or with the numbers of a group, as settings are written.
    pub fn setting(self, parameter: f64, group: u32) -> String {
        match self {
            Self::Int8 | Self::Int4 => format!("{}:{group}", self.name()),
            _ => {
                // With an exponent where that is shorter.
                let number = format!("{parameter:?}");
                format!("{}={}", self.name(), number.trim_end_matches(".0"))
            }
        }
    }

    /// The name, as the option is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorBound => "error-bound",
            Self::RelativeBound => "relative-bound",
            Self::RowBound => "row-bound",
            Self::PointwiseBound => "pointwise-bound",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }
}

/// What an archive says of a tensor that is not served as it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorFidelity {
    /// Where the tensor starts in the file.
    pub start: u64,
    /// Its numbers.
    pub elements: u64,
    /// What was asked for.
    pub method: LossyMethod,
    /// Numbers of a group; 0 if there are none.
    pub group: u32,
    /// The number that was asked for with it; 0 if there is none.
    pub parameter: f64,
    /// The bound in force, in the unit of the method; 0 if there is none.
    pub bound: f64,
    /// The greatest error of a number that is finite.
    pub greatest_error: f64,
    /// The mean of all absolute errors.
    pub mean_error: f64,
    /// The root of the mean square of all errors.
    pub root_mean_square_error: f64,
    /// Bytes that its blocks are stored in.
    pub stored_bytes: u64,
    /// Numbers that are served as they were.
    pub exact: u64,
}

/// Settings that a summary tells.
const MOST_SETTINGS: usize = 8;

/// What an archive says of all of its lossy tensors together.
#[derive(Debug, Clone, PartialEq)]
pub struct FidelitySummary {
    /// How many there are.
    pub tensors: u64,
    /// Their numbers.
    pub elements: u64,
    /// Bytes that these are stored in.
    pub stored_bytes: u64,
    /// What was asked for, as options are called, with the number that was asked for with it.
    pub settings: Vec<String>,
    /// The greatest error of all.
    pub greatest_error: f64,
    /// The root of the mean square of all errors.
    pub root_mean_square_error: f64,
}

impl FidelitySummary {
    /// Of some records; nothing if there are none.
    pub fn of(records: &[TensorFidelity]) -> Option<Self> {
        if records.is_empty() {
            return None;
        }
        let mut settings: Vec<String> = Vec::new();
        for record in records {
            let setting = record.method.setting(record.parameter, record.group);
            if settings.len() < MOST_SETTINGS && !settings.contains(&setting) {
                settings.push(setting);
                if settings.len() == MOST_SETTINGS {
                    settings.push("others".into());
                }
            }
        }
        let elements = records
            .iter()
            .fold(0u64, |sum, record| sum.saturating_add(record.elements));
        let squares = records.iter().map(|record| {
            let error = record.root_mean_square_error;
            error * error * record.elements as f64
        });
        Some(Self {
            tensors: records.len() as u64,
            elements,
            stored_bytes: records
                .iter()
                .fold(0u64, |sum, record| sum.saturating_add(record.stored_bytes)),
            settings,
            greatest_error: records
                .iter()
                .fold(0.0, |most: f64, record| most.max(record.greatest_error)),
            root_mean_square_error: (squares.sum::<f64>() / (elements as f64).max(1.0)).sqrt(),
        })
    }

    /// Bits that a number takes.
    pub fn bits(&self) -> f64 {
        self.stored_bytes as f64 * 8.0 / (self.elements as f64).max(1.0)
    }
}

impl fmt::Display for FidelitySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} tensors by {}, {:.3} bits a weight, greatest error {:.4e}, RMS error {:.4e}",
            self.tensors,
            self.settings.join(", "),
            self.bits(),
            self.greatest_error,
            self.root_mean_square_error
        )
    }
}

impl TensorFidelity {
    /// Appends the record.
    pub fn encode_to(&self, table: &mut Vec<u8>) {
        table.extend(self.start.to_le_bytes());
        table.extend(self.elements.to_le_bytes());
        table.extend([self.method as u8, 0, 0, 0]);
        table.extend(self.group.to_le_bytes());
        for number in [
            self.parameter,
            self.bound,
            self.greatest_error,
            self.mean_error,
            self.root_mean_square_error,
        ] {
            table.extend(number.to_le_bytes());
        }
        table.extend(self.stored_bytes.to_le_bytes());
        table.extend(self.exact.to_le_bytes());
    }

    /// Reads all records of a table.
    ///
    /// # Errors
    /// `Corrupt` if one is malformed, `Unsupported` for an unknown method.
    pub fn parse(table: &[u8]) -> Result<Vec<Self>> {
        let records = table.chunks(FIDELITY_BYTES).map(|record| {
            if record.len() < FIDELITY_BYTES || !field::is_zero(&record[17..20]) {
                return Err(Error::corrupt("the record of a lossy tensor is malformed"));
            }
            let method = LossyMethod::ALL
                .into_iter()
                .find(|&method| method as u8 == record[16])
                .ok_or_else(|| {
                    Error::unsupported(format!(
                        "unknown lossy method {}; a newer weightfs is needed to read this archive",
                        record[16]
                    ))
                })?;
            let number = |at| f64::from_bits(field::u64(record, at));
            Ok(Self {
                start: field::u64(record, 0),
                elements: field::u64(record, 8),
                method,
                group: field::u32(record, 20),
                parameter: number(24),
                bound: number(32),
                greatest_error: number(40),
                mean_error: number(48),
                root_mean_square_error: number(56),
                stored_bytes: field::u64(record, 64),
                exact: field::u64(record, 72),
            })
        });
        records.collect()
    }
}
