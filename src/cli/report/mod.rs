//! What packing did to each tensor, as files: tables, plots, and the parameters of the run.

mod plots;
mod rows;
mod run;
mod summary;
mod sums;
mod write;

pub(super) use rows::{TensorRow, tensor_rows};
pub(super) use run::Run;
pub(super) use summary::error;
pub(super) use sums::Sums;
pub(super) use write::{prepare, write_report};
