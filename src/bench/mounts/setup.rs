//! What is set up for all rounds: the archive, its mount, null, and the files beside them.

use std::fs::{self, File};

use tempfile::TempDir;

use super::args::{BenchMountArgs, MOUNT, NULL, RAW};
use super::reader::PIECE_BYTES;
use super::server::Serves;
use super::targets::Target;
use super::watch::Watch;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::original_name;
use crate::fuse::MountOptions;

/// The targets, and how they are made.
pub(super) struct Setup<'a> {
    pub(super) args: &'a BenchMountArgs,
    pub(super) options: &'a MountOptions,
    pub(super) watch: &'a Watch<'a>,
    pub(super) archive: File,
    /// The mount first, then null; before the directory, which they must have left when it goes.
    pub(super) targets: Vec<Target<'a>>,
    _directory: TempDir,
}

impl<'a> Setup<'a> {
    /// Mounts both.
    ///
    /// # Errors
    /// `InvalidInput` if there is nothing to measure, or if a mount does not work.
    pub(super) fn new(
        args: &'a BenchMountArgs,
        options: &'a MountOptions,
        watch: &'a Watch<'a>,
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
        let setup = Self {
            args,
            options,
            watch,
            archive,
            targets,
            _directory: directory,
        };
        setup.check_sizes()?;
        Ok(setup)
    }

    /// # Errors
    /// `InvalidInput` for what is read in no time.
    fn check_sizes(&self) -> Result<()> {
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
        Ok(())
    }

    /// # Errors
    /// That of opening it, with what its server knows of it.
    pub(super) fn open(&self, target: &Target<'a>) -> Result<File> {
        let path = target.present_path()?;
        File::open(path).map_err(|e| {
            self.explain(
                target,
                Error::io(format!("cannot open {}", path.display()), e),
            )
        })
    }

    /// An error of reading, with what the server knows of it.
    pub(super) fn explain(&self, target: &Target<'a>, error: Error) -> Error {
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

    /// Bytes of the archive.
    pub(super) fn stored_bytes(&self) -> Option<u64> {
        fs::metadata(&self.args.archive).ok().map(|meta| meta.len())
    }
}
