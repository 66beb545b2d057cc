//! Analyzing: what a model's bytes are like, and what packing it would give, without writing anything.
//!
//! Statistics are of samples: pieces spread evenly over each tensor, each counted for as many elements
//! as it stands for. A file is analyzed whole if the sample is as large as that.
//!
//! Files, each importing only those before it: `options`; `counts`, `values`, `fields`, `ceiling`,
//! `redundancy`, `expect`; `facts`; `tally`; `gather`; `run`.

mod ceiling;
mod counts;
mod expect;
mod facts;
mod fields;
mod gather;
mod options;
mod redundancy;
mod run;
mod tally;
mod values;

pub use ceiling::Ceiling;
pub use counts::{BYTES, Entropies};
pub use expect::Expected;
pub use facts::{
    Analysis, DtypeFacts, ExpectedLevels, FileFacts, Frequent, NumberStatistics, Statistics,
    TensorFacts,
};
pub use fields::{FieldFacts, RecordStatistics};
pub use options::AnalyzeOptions;
pub use redundancy::Redundancy;
pub use run::analyze;
pub use values::Values;
