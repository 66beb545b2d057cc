//! The jobs of the command line on files and directories: pack, unpack, verify, inspect,
//! analyze.
//!
//! Invariant: each file that is made appears whole and checked, or not at all, and so does a
//! directory that was not there before; a source is only read. Single files of a
//! directory may fail; the rest is done, and they are told. Knows nothing of arguments, terminals
//! or mounts.
//!
//! Files, each importing only those before it:
//!
//! - `attributes`, `output`, `pipeline`, `source_file`: threads, and files to read and to make;
//! - `monitor`, `totals`, `conversion`: what goes in and out of every job;
//! - `links`, `walk`, `archives`, `condition`: what there is in a directory, and what is wrong with it;
//! - `globs`, `file_filter`: files by name; `typing`, `layout`: what bytes of any file are;
//! - `read_back`, `survey`, `directory_plan`, `fitting`, `blocks`: the halves of jobs, and how much they may use;
//! - `expected`, `worth`: what packing will take, and whether it pays;
//! - `inspect`, `verify`, `unpack`, `pack`, `preview`, `outlay`, `analyze`, `removal`, `stand_in`, `replace`, `behind`:
//!   the jobs;
//! - `forecast`: what replacing a whole directory will take.

mod analyze;
mod archives;
mod base_search;
mod behind;
mod blocks;
mod condition;
mod conversion;
mod directory_plan;
mod encode_worker;
mod expected;
mod file_filter;
mod fitting;
mod forecast;
mod globs;
mod inspect;
mod kin;
mod layout;
mod links;
mod lossy;
mod lossy_target;
mod monitor;
mod outlay;
mod output;
mod pack;
mod pack_options;
mod pipeline;
mod preview;
mod read_back;
mod removal;
mod replace;
pub(crate) mod source_file;
mod stand_in;
mod store;
mod survey;
mod tensor_hasher;
mod totals;
mod typing;
mod unpack;
mod verify;
mod walk;
mod worth;

pub use analyze::{
    Analysis, AnalyzeOptions, BYTES, Ceiling, DtypeFacts, Entropies, Expected, ExpectedLevels,
    FieldFacts, FileFacts, Frequent, NumberStatistics, RecordStatistics, Redundancy, Statistics,
    TensorFacts, Values, analyze,
};
pub use base_search::BaseSearch;
pub use behind::{Behind, pack_behind};
pub use conversion::Conversion;
pub use expected::{ExpectedBytes, whole as whole_bytes};
pub use file_filter::FileFilter;
pub use forecast::{Exchange, forecast, free_bytes, needed_bytes, needed_to_unpack};
pub use inspect::{Inspection, PlaneTotal, TensorTotal, inspect};
pub use kin::{BaseAsked, OpenedBases};
pub use lossy::{
    Asked, DEFAULT_GROUP, Grid, KeptTensor, LossyOptions, LossyPlan, PlannedTensor, Rule, Setting,
};
pub use monitor::Monitor;
pub use outlay::{FileOutlay, ModelFiles, TensorOutlay, model_files, outlay};
pub use pack::{pack, pack_file};
pub use pack_options::PackOptions;
pub use preview::{Preview, Previews, preview};
pub use replace::{
    Replacement, Replacements, archives_to_make, originals_to_make, replace_by_archives,
    replace_by_originals,
};
pub use store::{
    Collected, Dedup, DedupOptions, Pin, Relation, Relations, Rest, dedup, detach, export, gc,
    relations,
};
pub use totals::Totals;
pub use unpack::{UnpackOptions, unpack, unpack_file};
pub use verify::{FoundArchives, Verification, VerifyOptions, archives_in, verify};
