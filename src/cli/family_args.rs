//! The arguments of commands on archives that rest on one another.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser};

use super::level::Level;
use crate::console::serving::threads;
use crate::job::BaseSearch;

/// Where bases are.
#[derive(Debug, Args)]
pub(super) struct BasesArgs {
    /// Look here as well for the bases that archives rest on, in all archives of this directory; may be given more than
    /// once
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    pub(super) bases: Vec<PathBuf>,
}

impl BasesArgs {
    pub(super) fn search(&self) -> BaseSearch {
        BaseSearch::beside(self.bases.clone())
    }
}

/// Show which archives of a directory rest on which, what that saves, and what is missing
///
/// Reads the tables of archives only. Exit status 1 if a base is missing. See docs/FAMILIES.md.
#[derive(Debug, Parser)]
pub(super) struct FamilyArgs {
    /// A directory with archives anywhere below it
    pub(super) dir: PathBuf,
    #[command(flatten)]
    pub(super) bases: BasesArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Store equal tensors of archives once: those that have tensors of others come to rest on them
///
/// Archives are packed anew where they are, read back and compared as by pack; what they rest on is kept in
/// DIR/.weightfs/bases. Tensors are equal by the hashes that archives have of them.
#[derive(Debug, Parser)]
pub(super) struct DedupArgs {
    /// A directory with archives anywhere below it
    pub(super) dir: PathBuf,
    /// Only tell what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// What to optimize for
    #[arg(long, value_enum, default_value_t)]
    pub(super) level: Level,
    /// Threads that encode [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(super) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(super) bases: BasesArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Remove bases from .weightfs/bases that no archive below rests on any more
///
/// Archives elsewhere that find these bases with --bases are not known of. Nothing is removed where an archive cannot be
/// read, or while something is packed.
#[derive(Debug, Parser)]
pub(super) struct GcArgs {
    /// A directory with archives anywhere below it
    pub(super) dir: PathBuf,
    /// Only tell what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Copy an archive so that the copy rests on nothing
#[derive(Debug, Parser)]
pub(super) struct ExportArgs {
    /// An archive
    pub(super) archive: PathBuf,
    /// The archive to write
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    pub(super) out: PathBuf,
    /// What to optimize for
    #[arg(long, value_enum, default_value_t)]
    pub(super) level: Level,
    /// Threads that encode [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(super) threads: Option<NonZeroUsize>,
    /// Replace a file that exists
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) bases: BasesArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}
