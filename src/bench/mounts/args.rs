//! The arguments of `bench-mount` and of the processes it starts.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;

use super::workload::Workload;
use crate::console::serving::{ServingArgs, seconds};

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

/// More would leave no room for the tables.
const MAX_LABEL_CHARACTERS: usize = 16;

fn beside(text: &str) -> Result<Beside, String> {
    let (label, file) = text
        .split_once('=')
        .filter(|(label, file)| !label.is_empty() && !file.is_empty())
        .ok_or_else(|| format!("'{text}' is not of the form LABEL=FILE"))?;
    if [MOUNT, NULL, RAW].contains(&label) {
        return Err(format!("'{label}' is the label of something else"));
    }
    if label.chars().count() > MAX_LABEL_CHARACTERS {
        return Err(format!(
            "'{label}' is longer than {MAX_LABEL_CHARACTERS} characters"
        ));
    }
    Ok(Beside {
        label: label.to_owned(),
        file: file.into(),
    })
}
