//! The arguments. What each means is said here once, for `--help`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::size;
use crate::codec;

/// Keep model weights compressed on disk; read them as ordinary .safetensors files.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(after_help = "Exit status: 0 done, 1 verify found damage, 2 error. \
Sizes take K, M, G or T (binary).")]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Pack(PackArgs),
    Unpack(UnpackArgs),
    Verify(VerifyArgs),
    Inspect(InspectArgs),
}

/// Compress a file into an archive, or a model directory into a directory of archives
///
/// The source is only read. The archive is read back from disk and compared with the source byte
/// for byte before it gets its name; if anything fails, nothing is left behind.
#[derive(Debug, Parser)]
pub(super) struct PackArgs {
    /// A file, or a directory: its *.safetensors files (by name or by contents) are packed, all
    /// else is copied
    pub(super) src: PathBuf,
    /// Where to write [default for a file: SRC.wfz beside it]
    #[arg(short = 'o', long = "output", value_name = "DST")]
    pub(super) dst: Option<PathBuf>,
    /// What to optimize for; any level can be mounted anywhere
    #[arg(long, value_enum, default_value_t)]
    pub(super) level: Level,
    /// Threads that encode [default: one a core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Bytes of the file in a block, the unit of random access: a power of two from 4K to 4M
    #[arg(long, value_name = "SIZE", default_value = "256K", value_parser = size::parse_u32)]
    pub(super) block_size: u32,
    /// Replace a destination that exists
    #[arg(long)]
    pub(super) force: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Restore the original file from an archive, or a model directory from a directory of archives
///
/// Every block is checked against its checksum and the whole file against its SHA-256.
#[derive(Debug, Parser)]
pub(super) struct UnpackArgs {
    /// An archive, or a directory: its *.wfz files are unpacked, all else is copied
    pub(super) src: PathBuf,
    /// Where to write [default for an archive: its name without .wfz]
    #[arg(short = 'o', long = "output", value_name = "DST")]
    pub(super) dst: Option<PathBuf>,
    /// Threads that decode [default: one a core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Replace a destination that exists
    #[arg(long)]
    pub(super) force: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Decode everything and check every checksum; write nothing
///
/// Exit status 1 if anything is damaged; each damage is listed with block, range and tensor.
#[derive(Debug, Parser)]
pub(super) struct VerifyArgs {
    /// Archives, or directories of archives
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Threads that decode [default: one a core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Show what an archive holds: tensors, codecs, ratio
#[derive(Debug, Parser)]
pub(super) struct InspectArgs {
    /// An archive
    pub(super) path: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Level {
    /// Packing speed first
    Fast,
    /// Balanced
    #[default]
    Default,
    /// Size first; packs slowly
    Max,
}

impl From<Level> for codec::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Fast => Self::Fast,
            Level::Default => Self::Default,
            Level::Max => Self::Max,
        }
    }
}
