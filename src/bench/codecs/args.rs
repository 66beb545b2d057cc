//! The arguments of `bench`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Compare all codecs, and general compressors, on one file: size, speed, memory
///
/// Each contender encodes FILE and decodes the result, which must be FILE again, in processes of its
/// own. FILE is only read, and what is written is removed. A star marks what nothing else beats in
/// both ratio and decoding speed. docs/BENCH.md says what exactly is measured.
#[derive(Debug, Parser)]
pub(crate) struct BenchArgs {
    /// The file to compress
    pub(super) file: PathBuf,
    /// Who competes, separated by commas: archive codecs with a level (weights:max, lz4:fast) or
    /// without levels (split-huffman), compressed streams (gzip-6, xz-9, zstd-19), fields of quantized
    /// weights as streams of their own (streams-zstd-19), names alone for all their levels (weights,
    /// xz), or all [default: all that are of use; for files over 200 MB what encodes at about 20 MB/s a
    /// core]
    #[arg(long, value_name = "LIST")]
    pub(super) codecs: Option<String>,
    /// Compare beside this model, plain or packed: archives that rest on it (beside:max), and its bytes XORed with
    /// those of FILE, as published (xor-zstd-3)
    #[arg(long, value_name = "BASE")]
    pub(super) base: Option<PathBuf>,
    /// How often each decodes; the median counts
    #[arg(long, value_name = "N", default_value = "3")]
    pub(super) rounds: NonZeroUsize,
    /// Threads of the measurements on all threads [default: one a core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Where to keep what is being measured; needs about the size of FILE [default: TMPDIR]
    #[arg(long, value_name = "DIR")]
    pub(super) tmp: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// Print comma-separated values with a header line instead of a table
    #[arg(long, conflicts_with = "json")]
    pub(super) csv: bool,
    /// Also draw ratio against decoding speed, into this file
    #[arg(long, value_name = "OUT.svg")]
    pub(super) plot: Option<PathBuf>,
}

/// One measurement of `bench`, in a process of its own; prints one JSON line
#[derive(Debug, Parser)]
pub(crate) struct BenchOneArgs {
    #[arg(value_enum)]
    pub(super) work: BenchWork,
    /// The name of one contender
    pub(super) contender: String,
    /// What to read
    pub(super) from: PathBuf,
    /// What to write
    #[arg(required_if_eq("work", "encode"))]
    pub(super) to: Option<PathBuf>,
    #[arg(long, value_name = "N")]
    pub(super) threads: NonZeroUsize,
    #[arg(long, value_name = "BASE")]
    pub(super) base: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchWork {
    Encode,
    Decode,
}
