//! The arguments of `bench-mount` and of the processes it starts.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::console::serving::{ServingArgs, mount_threads, seconds};
use crate::console::size;

/// Measure how fast a mount gives files, beside the ceiling that FUSE sets and beside raw files
///
/// Mounts ARCHIVE and, beside it, a file of the same size that costs nothing to serve ("null"), and
/// reads both in turns as loaders of models do: nothing that goes through FUSE can be faster than null
/// on this machine. Mounts and processes are gone at the end. docs/BENCH.md says what exactly is
/// measured.
#[derive(Debug, Parser)]
pub(crate) struct BenchMountArgs {
    /// An archive
    pub(super) archive: PathBuf,
    /// The file it was made from, to be read as well
    #[arg(long, value_name = "FILE")]
    pub(super) raw: Option<PathBuf>,
    /// Any other file to be read as well, such as the same model on another compressed file system;
    /// may be given several times
    #[arg(long, value_name = "LABEL=FILE", value_parser = beside)]
    pub(super) beside: Vec<Beside>,
    /// How often everything is measured; medians count
    #[arg(long, value_name = "N", default_value = "5")]
    pub(super) rounds: NonZeroUsize,
    /// How long to read at random, at most
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub(super) seconds: f64,
    /// What to measure, separated by commas [default: everything]
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    pub(super) workloads: Vec<Workload>,
    /// Read everything from the disk: archive and raw file are dropped from memory before each run
    #[arg(long)]
    pub(super) storage: bool,
    #[command(flatten)]
    pub(super) serving: ServingArgs,
    /// Seconds without a byte after which a run is given up
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
    pub(super) patience: f64,
    /// Print one JSON object, with every single measurement, instead of tables
    #[arg(long)]
    pub(super) json: bool,
}

/// Serve a file that costs nothing; for `bench-mount`
#[derive(Debug, Parser)]
pub(crate) struct NullMountArgs {
    /// An existing directory
    pub(crate) mountpoint: PathBuf,
    /// Length of the file in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) size: u64,
    #[arg(long, value_name = "N", value_parser = mount_threads)]
    pub(crate) threads: NonZeroUsize,
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) readahead: u64,
    /// The process to end with
    #[arg(long, value_name = "PROCESS")]
    pub(crate) parent: u32,
}

/// Read a part of a file once a line comes on stdin; for `bench-mount`
#[derive(Debug, Parser)]
pub(crate) struct ReadStripeArgs {
    pub(super) file: PathBuf,
    #[arg(long, value_name = "OFFSET")]
    pub(super) start: u64,
    #[arg(long, value_name = "OFFSET")]
    pub(super) end: u64,
}

/// A file to be read beside the mount.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    pub(super) label: String,
    pub(super) file: PathBuf,
}

/// Names of targets that are always there.
pub(super) const MOUNT: &str = "weightfs";
pub(super) const NULL: &str = "null";
pub(super) const RAW: &str = "raw";

fn beside(text: &str) -> Result<Beside, String> {
    let (label, file) = text
        .split_once('=')
        .filter(|(label, file)| !label.is_empty() && !file.is_empty())
        .ok_or_else(|| format!("'{text}' is not of the form LABEL=FILE"))?;
    if [MOUNT, NULL, RAW].contains(&label) {
        return Err(format!("'{label}' is the label of something else"));
    }
    if label.chars().count() > 16 {
        return Err(format!("'{label}' is longer than 16 characters"));
    }
    Ok(Beside {
        label: label.to_owned(),
        file: file.into(),
    })
}

/// A way to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// read() from start to end, 1 MiB at a time
    Read,
    /// Map the file and copy it, 1 MiB at a time
    Mmap,
    /// The same, after madvise(WILLNEED) on all of it
    MmapWillneed,
    /// pread() of 4 KiB at random places
    #[value(name = "rand-4k")]
    Rand4k,
    /// pread() of 64 KiB at random places
    #[value(name = "rand-64k")]
    Rand64k,
    /// Copies of 4 KiB at random places of a map
    #[value(name = "rand-4k-mmap")]
    Rand4kMmap,
    /// 2 threads, each its own half of one descriptor
    #[value(name = "shared-2")]
    Shared2,
    /// 4 threads
    #[value(name = "shared-4")]
    Shared4,
    /// 16 threads
    #[value(name = "shared-16")]
    Shared16,
    /// 2 threads, each its own half with its own descriptor
    #[value(name = "own-2")]
    Own2,
    /// 4 threads
    #[value(name = "own-4")]
    Own4,
    /// 16 threads
    #[value(name = "own-16")]
    Own16,
    /// 4 processes, each its own quarter
    #[value(name = "processes-4")]
    Processes4,
}

/// What a workload does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Map { ask_for_all: bool },
    Random { bytes: usize },
    RandomMap { bytes: usize },
    Threads { count: u64, share: bool },
    Processes { count: u64 },
}

impl Workload {
    pub(super) const fn way(self) -> Way {
        match self {
            Self::Read => Way::Read,
            Self::Mmap => Way::Map { ask_for_all: false },
            Self::MmapWillneed => Way::Map { ask_for_all: true },
            Self::Rand4k => Way::Random { bytes: 4 << 10 },
            Self::Rand64k => Way::Random { bytes: 64 << 10 },
            Self::Rand4kMmap => Way::RandomMap { bytes: 4 << 10 },
            Self::Shared2 => shared(2),
            Self::Shared4 => shared(4),
            Self::Shared16 => shared(16),
            Self::Own2 => own(2),
            Self::Own4 => own(4),
            Self::Own16 => own(16),
            Self::Processes4 => Way::Processes { count: 4 },
        }
    }

    /// True if it reads at random, and all that counts is how long each read takes.
    pub(super) const fn is_random(self) -> bool {
        matches!(self.way(), Way::Random { .. } | Way::RandomMap { .. })
    }

    /// The name that `--workloads` knows.
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

const fn shared(count: u64) -> Way {
    Way::Threads { count, share: true }
}

const fn own(count: u64) -> Way {
    Way::Threads {
        count,
        share: false,
    }
}
