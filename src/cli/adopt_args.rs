//! The arguments of `adopt`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;

use super::level::Level;
use crate::console::serving::threads;

/// Pack a directory of models where it is, and keep it mounted over itself, so that programs find every file as before
///
/// DIR is a Hugging Face hub cache, an Ollama store or any directory. Says what packing is expected to save, packs in place as
/// `pack --replace` does, then writes a unit of systemd that mounts DIR over itself, enables and starts it: a user's own unit,
/// or the system's if root adopts. Run it again if it was stopped, or for what has come since. See docs/ADOPTING.md.
#[derive(Debug, Parser)]
pub(super) struct AdoptArgs {
    /// The directory
    pub(super) dir: PathBuf,
    /// What to optimize for; any level can be mounted anywhere
    #[arg(long, value_enum, default_value_t)]
    pub(super) level: Level,
    /// Threads that encode, or decode for --undo [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(super) threads: Option<NonZeroUsize>,
    /// Only tell what would be done, with the unit that would be written
    #[arg(long)]
    pub(super) dry_run: bool,
    /// The way back: unmount, unpack everything in place, remove the unit. Archives that were there before are unpacked as
    /// well. Run it again if it was stopped
    #[arg(long)]
    pub(super) undo: bool,
    /// Leave units alone; tells the command that mounts instead. With --undo, a unit that is there stays, and must not mount
    /// DIR again meanwhile
    #[arg(long)]
    pub(super) no_unit: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}
