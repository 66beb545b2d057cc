//! The jobs of the command line on files and directories: pack, unpack, verify, inspect,
//! analyze.
//!
//! Invariant: each file that is made appears whole and checked, or not at all, and so does a
//! directory that was not there before; a source is only read. Knows nothing of arguments, terminals
//! or mounts.
//!
//! Files, each importing only those before it:
//!
//! - `monitor`, `totals`: what goes in and out of every job;
//! - `pipeline`, `attributes`, `source_file`, `walk`, `archives`, `output`: threads, and files to read
//!   and to make;
//! - `blocks`, `read_back`, `survey`, `directory_plan`: the halves of jobs;
//! - `pack`, `unpack`, `inspect`, `verify`, `replace`, `analyze`: the jobs.

mod analyze;
mod archives;
mod attributes;
mod blocks;
mod directory_plan;
mod fitting;
mod inspect;
mod monitor;
mod output;
mod pack;
mod pipeline;
mod read_back;
mod replace;
pub(crate) mod source_file;
mod survey;
mod totals;
mod unpack;
mod verify;
mod walk;

pub use analyze::{
    Analysis, AnalyzeOptions, BYTES, Ceiling, DtypeFacts, Entropies, Expected, ExpectedLevels,
    FileFacts, Frequent, Redundancy, Statistics, TensorFacts, Values, analyze,
};
pub use archives::archives_in;
pub use inspect::{Inspection, PlaneTotal, TensorTotal, inspect};
pub use monitor::Monitor;
pub use pack::{PackOptions, pack, pack_file};
pub use replace::{
    Replacement, archives_to_make, originals_to_make, replace_by_archives, replace_by_originals,
};
pub use totals::Totals;
pub use unpack::{UnpackOptions, unpack, unpack_file};
pub use verify::{Verification, VerifyOptions, is_damage, verify};
