//! The files that the demonstration is about: the model's own, their archives, and what the mount shows.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use super::reading::open;
use crate::error::{Error, Result};
use crate::format::original_name;
use crate::job;

/// The packed files of the model, three times.
pub(super) struct Files {
    pub(super) raw: Vec<PathBuf>,
    archives: Vec<PathBuf>,
    pub(super) mounted: Vec<PathBuf>,
    /// Of all, as they were.
    pub(super) bytes: u64,
}

impl Files {
    /// Those of a model that was packed into a directory, which is to be mounted.
    pub(super) fn of(model: &Path, packed: &Path, mountpoint: &Path) -> Result<Self> {
        let mut files = Self {
            raw: Vec::new(),
            archives: job::archives_in(&[packed.to_path_buf()])?.archives,
            mounted: Vec::new(),
            bytes: 0,
        };
        for archive in &files.archives {
            let relative = archive
                .strip_prefix(packed)
                .ok()
                .and_then(|relative| {
                    Some(relative.with_file_name(original_name(relative.file_name()?)?))
                })
                .ok_or_else(|| {
                    Error::InvalidInput(format!("{} is no archive", archive.display()))
                })?;
            let raw = if model.is_dir() {
                model.join(&relative)
            } else {
                model.to_path_buf()
            };
            files.bytes += raw
                .metadata()
                .map_err(|e| Error::io(format!("cannot read {}", raw.display()), e))?
                .size();
            files.raw.push(raw);
            files.mounted.push(mountpoint.join(relative));
        }
        Ok(files)
    }

    /// So that both the original and the archive come from the disk.
    pub(super) fn drop_cache(&self) -> Result<()> {
        for path in self.raw.iter().chain(&self.archives) {
            let file = open(path)?;
            // Pages that are not on the disk yet would stay.
            let _ = file.sync_all();
            fadvise(&file, 0, None, Advice::DontNeed)
                .map_err(|e| Error::io(format!("cannot drop {}", path.display()), e.into()))?;
        }
        Ok(())
    }
}
