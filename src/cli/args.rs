//! The arguments. What each means is said here once, for `--help`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::PossibleValue;
use clap::{Parser, Subcommand, ValueEnum};

use super::adopt_args::AdoptArgs;
use super::family_args::{BasesArgs, DedupArgs, ExportArgs, FamilyArgs, GcArgs};
use super::install_args::{CompletionsArgs, ManArgs};
use super::level::Level;
use super::lossy_args::{LossyArgs, Quantize};
use super::process_args::{AskArgs, GuardArgs, MountProcessArgs, NullMountArgs, PackBehindArgs};
#[cfg(feature = "comparison")]
use crate::bench::codecs::{BenchArgs, BenchOneArgs};
#[cfg(feature = "comparison")]
use crate::bench::mounts::{BenchMountArgs, ReadStripeArgs};
use crate::codec::Method;
use crate::console::serving::{ServingArgs, seconds, threads};
use crate::console::size;
use crate::daemon::parse_address;
use crate::fuse;
use crate::job::DEFAULT_GROUP;

/// Keep model weights compressed on disk; read them as ordinary .safetensors and .gguf files.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 done, 1 verify found damage, doctor what is in the way or family a missing base, 2 error. \
Sizes take K, M, G or T (binary)."
)]
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
    Analyze(AnalyzeArgs),
    Sweep(SweepArgs),
    Adopt(AdoptArgs),
    Mount(MountArgs),
    #[command(visible_alias = "unmount")]
    Umount(UmountArgs),
    Stats(StatsArgs),
    Doctor(DoctorArgs),
    Family(FamilyArgs),
    Dedup(DedupArgs),
    Gc(GcArgs),
    Export(ExportArgs),
    #[command(hide = true)]
    Ask(AskArgs),
    #[command(hide = true)]
    Guard(GuardArgs),
    #[command(hide = true)]
    NullMount(NullMountArgs),
    #[command(hide = true)]
    PackBehind(PackBehindArgs),
    Demo(DemoArgs),
    Man(ManArgs),
    Completions(CompletionsArgs),
    #[cfg(feature = "comparison")]
    Bench(BenchArgs),
    #[cfg(feature = "comparison")]
    #[command(hide = true)]
    BenchOne(BenchOneArgs),
    #[cfg(feature = "comparison")]
    BenchMount(BenchMountArgs),
    #[cfg(feature = "comparison")]
    #[command(hide = true)]
    ReadStripe(ReadStripeArgs),
}

/// Compress a file into an archive, or a model directory into a directory of archives
///
/// The source is only read. The archive is read back from disk and compared with the source byte
/// for byte before it gets its name; if that fails, nothing is left behind. Of a directory, the rest is
/// packed then; what failed is listed, and the exit status is 2. See docs/PACKING.md.
#[derive(Debug, Parser)]
pub(super) struct PackArgs {
    /// A file, or a directory: its models (by name or by contents) are packed if they become smaller, other
    /// files of 1 MiB and more if they do by 2 % (in place, only those that hold weights or that --only
    /// names); all else is copied
    pub(super) src: PathBuf,
    /// Where to write [default for a file: SRC.wfz beside it]
    #[arg(short = 'o', long = "output", value_name = "DST")]
    pub(super) dst: Option<PathBuf>,
    /// What to optimize for; any level can be mounted anywhere
    #[arg(long, value_enum, default_value_t)]
    pub(super) level: Level,
    /// How to code blocks; any mount reads all of them
    #[arg(long, value_enum, default_value_t)]
    pub(super) codec: Method,
    /// Threads that encode; as many read back and compare meanwhile [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(super) threads: Option<NonZeroUsize>,
    /// Bytes of the file in a block, the unit of random access: a power of two from 4K to 4M
    /// [default: 256K; 512K at the levels fast and max, and beside a base, there 1M at max; 1M for general codecs]
    #[arg(long, value_name = "SIZE", value_parser = size::parse_u32)]
    pub(super) block_size: Option<u32>,
    /// Replace a destination that exists; with --replace, pack files too that are not complete, are no
    /// models, or are being written
    #[arg(long)]
    pub(super) force: bool,
    /// Let archives take the place of the files: each is removed once its archive is durable and
    /// every byte of it was compared. Owner, mode, times and extended attributes are kept. Run it
    /// again if it was stopped; `unpack --replace` undoes it
    #[arg(long, conflicts_with = "dst")]
    pub(super) replace: bool,
    /// With --replace and lossy packing: the files that are replaced are gone, and cannot be had back
    #[arg(long, requires = "replace")]
    pub(super) discard_original: bool,
    /// Only tell what would be done and what it would take, judged by a sample: of lossy packing for each
    /// tensor. With --replace, which files would be replaced
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Of a directory, pack only files whose name, or that of a link to them, matches (* stands for anything);
    /// with a slash in it, whose path below the directory does
    #[arg(long, value_name = "GLOB")]
    pub(super) only: Vec<String>,
    /// Of a directory, leave files as they are whose name or path matches
    #[arg(long, value_name = "GLOB")]
    pub(super) skip: Vec<String>,
    /// Let blocks rest on those of another model where that is smaller: a file, its archive, or a directory; or `auto` for
    /// what is most alike among the archives at the destination. The base is kept in .weightfs/bases there
    /// (docs/FAMILIES.md)
    #[arg(long, value_name = "BASE|auto", conflicts_with = "asked")]
    pub(super) base: Option<PathBuf>,
    /// Where the archive of a base cannot be linked into .weightfs/bases, keep a copy there
    #[arg(long, requires = "base")]
    pub(super) copy_base: bool,
    /// Pack the archive SRC anew where it is, so that it rests on nothing
    #[arg(long, conflicts_with_all = ["dst", "replace", "dry_run", "base", "asked", "report"])]
    pub(super) detach: bool,
    #[command(flatten)]
    pub(super) bases: BasesArgs,
    #[command(flatten)]
    pub(super) lossy: LossyArgs,
    /// Write into DIR what packing did to each tensor: inventory.csv, tensors.csv, run.json and a page with
    /// plots, index.html (docs/SWEEP.md)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["replace", "dry_run"], help_heading = "Options")]
    pub(super) report: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, help_heading = "Options")]
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
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(super) threads: Option<NonZeroUsize>,
    /// Replace a destination that exists
    #[arg(long)]
    pub(super) force: bool,
    /// Let the files take the place of the archives: each archive is removed once its file is
    /// durable and its SHA-256 was compared. Owner, mode, times and extended attributes are kept
    #[arg(long, conflicts_with_all = ["dst", "force"])]
    pub(super) replace: bool,
    /// Only tell what --replace would do
    #[arg(long, requires = "replace")]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) bases: BasesArgs,
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
    /// Compare the SHA-256 of each original file as well
    #[arg(long)]
    pub(super) deep: bool,
    #[command(flatten)]
    pub(super) bases: BasesArgs,
    /// Threads that decode [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
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
    #[command(flatten)]
    pub(super) bases: BasesArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Tell what a model's bytes are like and what packing it would give
///
/// Reads samples of a model, or of all of them in a directory, and writes nothing but the
/// report: entropies and most frequent values of each byte, values of floats, fields of quantized
/// weights, ceilings of simple coding, resemblance of layers, and the ratio to expect at each level.
/// See docs/ANALYZE.md.
#[derive(Debug, Parser)]
pub(super) struct AnalyzeArgs {
    /// A file, or a directory with models anywhere below it
    #[arg(value_name = "FILE_OR_DIR")]
    pub(super) path: PathBuf,
    /// Bytes to look at; the more, the surer
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size::parse)]
    pub(super) sample: u64,
    /// Tell as well what packing beside this model would give (pack --base)
    #[arg(long, value_name = "BASE")]
    pub(super) base: Option<PathBuf>,
    #[command(flatten)]
    pub(super) bases: BasesArgs,
    /// Write a report with plots, one self-contained file
    #[arg(long, value_name = "REPORT.html")]
    pub(super) html: Option<PathBuf>,
    /// Threads that count and encode [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(super) threads: Option<NonZeroUsize>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Pack a model with many lossy settings, one after the other, and tell what each costs
///
/// Each setting is packed as `pack` would, compared with the source, and thrown away again, so DIR needs room for one
/// set of archives. DIR/sweep.csv gets a row for each tensor and setting, DIR/index.html plots size against error.
/// Settings that are in DIR/sweep.csv already are not packed again: run it again if it was stopped, or with more
/// settings. See docs/SWEEP.md.
#[derive(Debug, Parser)]
pub(super) struct SweepArgs {
    /// A file, or a directory of them
    pub(super) model: PathBuf,
    /// Where to write; made if it is not there
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Bounds on the error of each number, such as 1e-4,1e-3
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) error_bounds: Vec<f64>,
    /// The same as shares of the range of each tensor's numbers
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) relative_bounds: Vec<f64>,
    /// The same as shares of the root mean square of each row
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) row_bounds: Vec<f64>,
    /// The same as shares of each number
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) pointwise_bounds: Vec<f64>,
    /// Levels of 8 or 4 bits times the scale of a group, such as int8,int4
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_enum)]
    pub(super) quantize: Vec<Quantize>,
    /// Numbers of a row that share a scale
    #[arg(long, value_name = "N", default_value_t = DEFAULT_GROUP, requires = "quantize")]
    pub(super) group: u32,
    /// What to optimize for
    #[arg(long, value_enum, default_value_t)]
    pub(super) level: Level,
    /// Threads that encode [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(super) threads: Option<NonZeroUsize>,
    /// Keep the archives, in DIR/archives
    #[arg(long)]
    pub(super) keep: bool,
    /// Show where quality falls: a table of variants with columns name, bits and kl_mean or cosine_mean, as
    /// benches/evaluate_models.py writes it
    #[arg(long, value_name = "FILE.csv")]
    pub(super) evaluation: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Show a directory of archives as ordinary files
///
/// Every NAME.wfz appears as NAME, every other file, directory and link as it is. If both NAME and
/// NAME.wfz exist, both appear as they are. The mount is read-only unless --writable is given; archives that are added or
/// replaced in SRC are seen within a second, and files that are open keep what they opened.
///
/// Stays in the foreground, prints "ready: MOUNTPOINT" once the mount answers (and tells systemd,
/// if that started it), and ends on SIGINT, SIGTERM, SIGHUP or when it is unmounted. A mount point that a
/// killed weightfs left behind is recovered.
#[derive(Debug, Parser)]
pub(super) struct MountArgs {
    /// A directory with archives anywhere below it, or one archive
    pub(super) src: PathBuf,
    /// An existing directory; may be SRC itself
    pub(super) mountpoint: PathBuf,
    #[command(flatten)]
    pub(super) serving: ServingArgs,
    /// When to push decoded data into the kernel's page cache ahead of sequential readers. auto: ahead of
    /// those that go on and on where the kernel reads less than 1M ahead, and elsewhere where a reader is
    /// about to jump
    #[arg(long, value_enum, default_value_t)]
    pub(super) push: Push,
    /// Let files be written, made, renamed and removed by way of the mount, as far as permissions of SRC allow
    /// (docs/WRITING.md). What is written to a file of an archive makes it an ordinary one again
    #[arg(long)]
    pub(super) writable: bool,
    /// Let other users read, as far as permissions and access lists of the source, and of the directories
    /// above it, allow (for users other than root, user_allow_other must be set in /etc/fuse.conf)
    #[arg(long)]
    pub(super) allow_other: bool,
    /// Have all inode numbers fit 32 bits, for 32-bit programs without large-file support
    #[arg(long)]
    pub(super) inode32: bool,
    /// Let nobody read files of archives that are lossy (pack --error-bound and the like): opening one is an
    /// error
    #[arg(long)]
    pub(super) refuse_lossy: bool,
    #[command(flatten)]
    pub(super) bases: BasesArgs,
    /// Seconds that names may be remembered before SRC is looked at again
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(super) ttl: f64,
    /// Serve statistics for Prometheus at http://ADDR:PORT/metrics; a PORT alone is for this machine
    /// alone (127.0.0.1), and port 0 any that is free, which is logged [default: nowhere]
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address)]
    pub(super) metrics: Option<SocketAddr>,
    /// Pack models that are written to the mount once they have been left alone for a while, behind whoever reads
    /// them: by what they hold, from 1 MiB on, at this level
    #[arg(long, value_enum, value_name = "LEVEL", num_args = 0..=1, require_equals = true,
          default_missing_value = "default", requires = "writable")]
    pub(super) pack: Option<Level>,
    /// Seconds that nobody must have written to a file before it is packed
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds, requires = "pack")]
    pub(super) pack_after: f64,
    #[command(flatten)]
    pub(super) process: MountProcessArgs,
}

/// Unmount what `weightfs mount` mounted; its process then ends
#[derive(Debug, Parser)]
pub(super) struct UmountArgs {
    /// Where it is mounted
    pub(super) mountpoint: PathBuf,
    /// Free the mount point even if files are open; their readers can finish
    #[arg(long)]
    pub(super) lazy: bool,
    /// Break the connection first, for a mount that does not answer any more: readers get an error. No
    /// mount is no error then
    #[arg(long, conflicts_with = "lazy")]
    pub(super) abort: bool,
}

/// Tell what a mount has done so far: bytes and sizes of reads, cache, decoding, memory
///
/// Each file that is an archive tells of itself by extended attributes, which are read by name:
/// getfattr -n user.weightfs.ratio MOUNTPOINT/FILE (and .original_sha256, .codec, .archive, .fidelity, .source_sha256)
#[derive(Debug, Parser)]
pub(super) struct StatsArgs {
    /// Where it is mounted
    pub(super) mountpoint: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Tell whether mounting works here, what a load will be limited by, and what to change
///
/// Looks at the device, the helper, the kernel (by a mount for a moment), the processor, memory, and, where one is
/// named, at a source of archives (its disk and how fast it decodes) or at a mount (what its readers have been doing).
/// Measures for a few seconds and changes nothing. Exit status 1 if something is in the way of mounting. docs/DOCTOR.md
/// tells what each line means.
#[derive(Debug, Parser)]
pub(super) struct DoctorArgs {
    /// A directory of archives, an archive, or where one is mounted
    #[arg(value_name = "SRC|MOUNTPOINT")]
    pub(super) path: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Try everything on one model: pack, mount, read back, compare, measure, clean up
///
/// Works in a temporary directory (of TMPDIR) and leaves nothing behind. A model given with --model
/// is only read.
#[derive(Debug, Parser)]
pub(super) struct DemoArgs {
    /// A file or directory of your own instead of a model made up for the occasion
    #[arg(long, value_name = "FILE_OR_DIR")]
    pub(super) model: Option<PathBuf>,
    /// What to optimize for
    #[arg(long, value_enum, default_value_t)]
    pub(super) level: Level,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Push {
    #[default]
    Auto,
    Always,
    Never,
}

impl From<Push> for fuse::Push {
    fn from(push: Push) -> Self {
        match push {
            Push::Auto => Self::Auto,
            Push::Always => Self::Always,
            Push::Never => Self::Never,
        }
    }
}

impl ValueEnum for Method {
    /// Those that this build can pack by.
    fn value_variants<'a>() -> &'a [Self] {
        static OFFERED: LazyLock<Vec<Method>> = LazyLock::new(|| Method::offered().collect());
        &OFFERED
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.help()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn methods_are_chosen_by_name_and_those_left_out_are_refused() {
        Args::command().debug_assert();
        let parse = |codec| Args::try_parse_from(["weightfs", "pack", "x", "--codec", codec]);
        for method in Method::ALL {
            match parse(method.name()) {
                Ok(args) => {
                    assert!(method.is_built());
                    let Command::Pack(args) = args.command else {
                        panic!("another command");
                    };
                    assert_eq!(args.codec, method);
                }
                Err(error) => {
                    assert!(!method.is_built());
                    assert!(error.to_string().contains("possible values: weights, zstd"));
                }
            }
        }
        assert!(parse("zip").is_err());
    }
}
