//! The rounds: each workload on each target, in turns, so that whatever else the machine does meets
//! all of them alike.

use std::fs::{self, File};
use std::path::Path;

use indicatif::ProgressBar;
use tempfile::TempDir;

use super::args::{BenchMountArgs, MOUNT, NULL, RAW, Workload};
use super::random::Shuffled;
use super::read::{Buffer, PIECE_BYTES, Reader, Seen};
use super::server::Serves;
use super::targets::{Target, drop_cached, negligible};
use super::watch::Watch;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::original_name;
use crate::fuse::MountOptions;
use crate::os::{cached_bytes, read_full_at};

/// Ranges in which the raw file is compared with what the mount shows.
const COMPARED_RANGES: u64 = 32;
const COMPARED_BYTES: usize = 64 << 10;

/// One run of one workload on one target.
pub(super) struct Measurement {
    pub(super) workload: Workload,
    pub(super) cold: bool,
    /// Its place among the targets.
    pub(super) target: usize,
    /// From 0.
    pub(super) round: usize,
    pub(super) seen: Seen,
    /// Bytes of the file that were in the page cache at the start.
    pub(super) cached_bytes: u64,
    /// Processor time of the server.
    pub(super) cpu_seconds: Option<f64>,
}

/// The targets and what was measured of them.
pub(super) struct Bench<'a> {
    args: &'a BenchMountArgs,
    options: &'a MountOptions,
    watch: &'a Watch<'a>,
    bar: ProgressBar,
    archive: File,
    /// The mount first, then null; before the directory, which they must have left when it goes.
    pub(super) targets: Vec<Target<'a>>,
    _directory: TempDir,
    pub(super) measurements: Vec<Measurement>,
    /// What could not be measured, and why.
    pub(super) notes: Vec<String>,
}

impl<'a> Bench<'a> {
    /// Mounts both, and checks that the files fit together.
    ///
    /// # Errors
    /// `InvalidInput` if they do not, or if a mount does not work.
    pub(super) fn new(
        args: &'a BenchMountArgs,
        options: &'a MountOptions,
        watch: &'a Watch<'a>,
        bar: ProgressBar,
    ) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot open {}", args.archive.display()), e);
        // Not kept: what is mapped cannot be dropped from the page cache.
        let bytes = ArchiveReader::open(&args.archive)?
            .superblock()
            .original_bytes;
        let path = args.archive.canonicalize().map_err(cannot)?;
        let Some(name) = path.file_name().and_then(original_name) else {
            return Err(Error::InvalidInput(format!(
                "{} has no name that ends in .wfz, so that it cannot be mounted",
                args.archive.display()
            )));
        };
        let name = name.into();
        let archive = File::open(&path).map_err(cannot)?;
        // First, since it needs no mount to fail.
        let mut files = Vec::new();
        if let Some(raw) = &args.raw {
            files.push(Target::file(RAW, raw)?);
        }
        for beside in &args.beside {
            files.push(Target::file(&beside.label, &beside.file)?);
        }
        let directory = TempDir::with_prefix("weightfs-bench-mount-")
            .map_err(|e| Error::io("cannot make a temporary directory", e))?;
        let serves = Serves::Archive { path, name };
        let mut mount = Target::mount(MOUNT, bytes, serves, directory.path().join(MOUNT));
        watch.during("mounting", || mount.begin_anew(options, watch))?;
        let serves = Serves::Null { bytes };
        let mut null = Target::mount(NULL, bytes, serves, directory.path().join(NULL));
        watch.during("mounting", || null.begin_anew(options, watch))?;
        let mut targets = vec![mount, null];
        targets.extend(files);
        let bench = Self {
            args,
            options,
            watch,
            bar,
            archive,
            targets,
            _directory: directory,
            measurements: Vec::new(),
            notes: Vec::new(),
        };
        bench.check()?;
        Ok(bench)
    }

    fn check(&self) -> Result<()> {
        if let Some(small) = self
            .targets
            .iter()
            .find(|target| target.bytes < PIECE_BYTES as u64)
        {
            return Err(Error::InvalidInput(format!(
                "{} is smaller than 1 MiB, too small to measure anything",
                match small.path() {
                    Some(path) if !small.is_mount() => path.display().to_string(),
                    _ => format!("the file of {}", self.args.archive.display()),
                }
            )));
        }
        match &self.args.raw {
            Some(raw) => self.watch.during("comparing", || self.compare(raw)),
            None => Ok(()),
        }
    }

    /// # Errors
    /// `InvalidInput` if the raw file is not what the archive was made from, as far as a few ranges of
    /// it tell.
    fn compare(&self, raw: &Path) -> Result<()> {
        let mount = &self.targets[0];
        let differs = |how: String| {
            Err(Error::InvalidInput(format!(
                "{} is not what {} was made from: {how}",
                raw.display(),
                self.args.archive.display()
            )))
        };
        let cannot = |e| Error::io(format!("cannot read {}", raw.display()), e);
        let raw_file = File::open(raw).map_err(cannot)?;
        let raw_bytes = raw_file.metadata().map_err(cannot)?.len();
        if raw_bytes != mount.bytes {
            return differs(format!("{raw_bytes} bytes instead of {}", mount.bytes));
        }
        let mounted = self.open(mount)?;
        let in_mount = |e| self.explain(mount, Error::io("cannot read the file in it", e));
        let ranges = Shuffled::new(raw_bytes.div_ceil(COMPARED_BYTES as u64), 0);
        let mut bytes = [(); 2].map(|()| vec![0; COMPARED_BYTES]);
        // The first and the last are where files of one kind differ most.
        for place in [0, ranges.count - 1]
            .into_iter()
            .chain((0..ranges.count.min(COMPARED_RANGES)).map(|index| ranges.at(index)))
        {
            self.watch.beat()?;
            let at = place * COMPARED_BYTES as u64;
            let [ours, theirs] = &mut bytes;
            let read = [
                read_full_at(&mounted, ours, at).map_err(in_mount)?,
                read_full_at(&raw_file, theirs, at).map_err(cannot)?,
            ];
            if ours[..read[0]] != theirs[..read[1]] {
                return differs(format!("bytes differ behind offset {at}"));
            }
        }
        Ok(())
    }

    fn open(&self, target: &Target<'a>) -> Result<File> {
        let path = target.path().ok_or_else(not_mounted)?;
        File::open(path).map_err(|e| {
            self.explain(
                target,
                Error::io(format!("cannot open {}", path.display()), e),
            )
        })
    }

    /// An error of reading, with what the server knows of it.
    fn explain(&self, target: &Target<'a>, error: Error) -> Error {
        let Some(server) = target.server() else {
            return error;
        };
        if matches!(error, Error::Interrupted) {
            return error;
        }
        let words = server.words().map(|words| format!(" ({words})"));
        Error::InvalidInput(format!(
            "the mount of {}: {error}{}",
            match target.name.as_str() {
                NULL => "null".to_owned(),
                _ => self.args.archive.display().to_string(),
            },
            words.unwrap_or_default()
        ))
    }

    /// Runs all rounds, and ends the mounts.
    ///
    /// # Errors
    /// `Io` or `InvalidInput` if something cannot be read, `Interrupted`.
    pub(super) fn run(&mut self, workloads: &[Workload]) -> Result<()> {
        let count = self.targets.len();
        let rounds = self.args.rounds.get();
        self.bar
            .set_length((rounds * workloads.len() * count) as u64);
        for round in 0..rounds {
            for &workload in workloads {
                // Nobody is always the first, nor always behind the same.
                for target in (0..count).map(|at| (at + round) % count) {
                    self.bar.set_message(format!(
                        "round {}: {}, {}",
                        round + 1,
                        workload.name(),
                        self.targets[target].name
                    ));
                    self.measure(round, workload, target)?;
                    self.bar.inc(1);
                }
            }
        }
        for target in &mut self.targets {
            target.end();
        }
        Ok(())
    }

    fn measure(&mut self, round: usize, workload: Workload, target: usize) -> Result<()> {
        // The raw file has no archive in memory to come from: cold, it comes from the disk.
        if self.args.storage || self.targets[target].name != RAW {
            let what = format!("{}, {}", self.targets[target].name, workload.name());
            let opened = self.watch.during(&what, || {
                self.targets[target].begin_anew(self.options, self.watch)?;
                self.open_cold(&self.targets[target])
            })?;
            self.measure_opened(opened, true, round, workload, target)?;
        }
        if !self.args.storage && !workload.is_random() {
            let opened = self.open_warm(&self.targets[target])?;
            self.measure_opened(opened, false, round, workload, target)?;
        }
        Ok(())
    }

    fn measure_opened(
        &mut self,
        opened: Opened,
        cold: bool,
        round: usize,
        workload: Workload,
        at: usize,
    ) -> Result<()> {
        let (file, cached_bytes) = match opened {
            Opened::Ready(file, cached_bytes) => (file, cached_bytes),
            Opened::Not(why) => {
                let note = format!("{}: {why}", self.targets[at].name);
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                return Ok(());
            }
        };
        let target = &self.targets[at];
        let reader = Reader {
            path: target.path().ok_or_else(not_mounted)?,
            file: &file,
            bytes: target.bytes,
            watch: self.watch,
        };
        let cpu_seconds = || target.server().and_then(|server| server.cpu_seconds());
        let before = cpu_seconds();
        let what = format!("{}, {}", target.name, workload.name());
        let seen = self.watch.during(&what, || {
            reader
                .run(workload.way(), self.args.seconds, round as u64)
                .map_err(|error| self.explain(target, error))
        })?;
        let cpu_seconds = cpu_seconds()
            .zip(before)
            .map(|(after, before)| after - before);
        self.measurements.push(Measurement {
            workload,
            cold,
            target: at,
            round,
            seen,
            cached_bytes,
            cpu_seconds,
        });
        Ok(())
    }

    /// Opens a file of which nothing is in the page cache. What an archive's mount decodes from is
    /// there, unless all is to come from the disk.
    fn open_cold(&self, target: &Target<'a>) -> Result<Opened> {
        let file = self.open(target)?;
        let cannot = |e| Error::io(format!("cannot drop {} from memory", target.name), e);
        let stays = |what: &str, left: u64| {
            format!(
                "{what} {:.1} MB stay in the page cache, which another process may use; \
                 nothing was measured cold",
                mega(left)
            )
        };
        if target.name == MOUNT {
            if self.args.storage {
                // After opening: by then the mount has read the tables, which it keeps mapped.
                let left = drop_cached(&self.archive).map_err(cannot)?;
                if left > negligible(self.archive.metadata().map_err(cannot)?.len()) {
                    return Ok(Opened::Not(stays("of the archive,", left)));
                }
            } else {
                self.read_through(&self.archive, &self.args.archive)?;
            }
        }
        let left = drop_cached(&file).map_err(cannot)?;
        Ok(if left > negligible(target.bytes) {
            Opened::Not(stays("of the file,", left))
        } else {
            Opened::Ready(file, left)
        })
    }

    /// Opens a file all of which is in the page cache.
    fn open_warm(&self, target: &Target<'a>) -> Result<Opened> {
        let file = self.open(target)?;
        let path = target.path().ok_or_else(not_mounted)?;
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        let enough = target.bytes - negligible(target.bytes);
        // Whatever the kernel tells: of files of others it tells nothing.
        self.watch.during("reading once", || {
            self.read_through(&file, path)
                .map_err(|error| self.explain(target, error))
        })?;
        let cached = cached_bytes(&file).map_err(cannot)?;
        Ok(if cached < enough {
            Opened::Not("the page cache does not hold all of it; nothing was measured warm".into())
        } else {
            Opened::Ready(file, cached)
        })
    }

    fn read_through(&self, file: &File, path: &Path) -> Result<()> {
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        let reader = Reader {
            path,
            file,
            bytes: file.metadata().map_err(cannot)?.len(),
            watch: self.watch,
        };
        reader.read_range(0..reader.bytes, &mut Buffer::new(PIECE_BYTES), || {})
    }

    /// Bytes of the archive.
    pub(super) fn stored_bytes(&self) -> Option<u64> {
        fs::metadata(&self.args.archive).ok().map(|meta| meta.len())
    }
}

enum Opened {
    /// With so many bytes in the page cache.
    Ready(File, u64),
    /// The page cache is not as it should be.
    Not(String),
}

fn not_mounted() -> Error {
    Error::InvalidInput("a mount is gone".into())
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
pub(super) fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
