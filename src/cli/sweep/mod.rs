//! `sweep`.
use crate::cli::args::SweepArgs;
use crate::console::Outcome;
use crate::error::Result;
pub(super) fn sweep(_: &SweepArgs) -> Result<Outcome> { Ok(Outcome::Done) }
