//! Lossy packing: which tensors of a model may be served as others than they are, how, and what that costs.
//!
//! Invariant: nothing is lossy that an option does not ask for. Who packs makes a plan first, encodes by it,
//! and compares what comes back with the source by it.

mod compare;
mod errors;
mod limit;
mod measure;
mod names;
mod options;
mod plan;
mod select;

pub(super) use compare::Comparer;
pub(super) use errors::Errors;
pub(super) use measure::{Measured, measure};
pub(super) use names::check_patterns;
pub use options::{Asked, DEFAULT_GROUP, Grid, LossyOptions, Rule, Setting};
pub use plan::{KeptTensor, LossyPlan, PlannedTensor};
pub(super) use plan::{TreatedBlock, plan};
