//! Arguments of processes that the program starts itself; users need none of them.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;

use super::level::Level;
use crate::console::serving::mount_threads;
use crate::console::size;

/// How a mount is run by another program, above all by `mount.weightfs`.
#[derive(Debug, Parser)]
pub(super) struct MountProcessArgs {
    /// Leave the terminal and the messages' reader once the mount answers
    #[arg(long, hide = true)]
    pub(super) background: bool,
    /// Where messages go from then on
    #[arg(long, hide = true, requires = "background", value_name = "PATH")]
    pub(super) log_file: Option<PathBuf>,
    /// Let nobody run programs from the mount
    #[arg(long, hide = true)]
    pub(super) no_exec: bool,
    /// What the table of mounts names as the source
    #[arg(long, hide = true, value_name = "NAME")]
    pub(super) source_name: Option<OsString>,
    /// End when this process does, which is the one that started the mount
    #[arg(long, hide = true, value_name = "PROCESS")]
    pub(super) parent: Option<u32>,
}

/// Ask a mount for an answer
#[derive(Debug, Parser)]
pub(super) struct AskArgs {
    /// Where it is mounted
    pub(super) mountpoint: PathBuf,
}

/// Stand by a mount
#[derive(Debug, Parser)]
pub(super) struct GuardArgs {
    /// The device number of the mount
    pub(super) device: String,
    /// The process that serves it
    #[arg(long, value_name = "PID")]
    pub(super) parent: u32,
}

/// Pack the file on stdin when all else is idle, for a mount that shows it
#[derive(Debug, Parser)]
pub(super) struct PackBehindArgs {
    /// What the file is called
    pub(super) from: PathBuf,
    /// Where to write
    pub(super) to: PathBuf,
    /// What to optimize for
    #[arg(long, value_enum, default_value_t)]
    pub(super) level: Level,
    /// The process that serves the mount, to end with
    #[arg(long, value_name = "PID")]
    pub(super) parent: u32,
}

/// Serve a file that costs nothing; to be measured
#[derive(Debug, Parser)]
pub(super) struct NullMountArgs {
    /// An existing directory
    pub(super) mountpoint: PathBuf,
    /// Length of the file in bytes
    #[arg(long, value_name = "BYTES")]
    pub(super) size: u64,
    #[arg(long, value_name = "N", value_parser = mount_threads)]
    pub(super) threads: NonZeroUsize,
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(super) readahead: u64,
    /// The process to end with
    #[arg(long, value_name = "PROCESS")]
    pub(super) parent: u32,
}
