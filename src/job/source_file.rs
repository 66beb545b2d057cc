//! A file that a job reads, and that must not change meanwhile.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::base_search::BaseSearch;
use crate::archive::{ArchiveReader, Base};
use crate::error::{Error, Result};
use crate::file::{Entries, Entry};
use crate::format::{BlockSpan, SUPERBLOCK_BYTES, Superblock, TensorHash};
use crate::model::{self, ReadAt, names};
use crate::os::{FileStamp, read_full_at, system_time};

/// Bytes that are read at a time where all are.
const READ_BYTES: usize = 1 << 20;

/// A regular file, open for reading.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Its state when it was opened.
    pub(crate) stamp: FileStamp,
    /// Its mode, type and all.
    pub(crate) mode: u32,
    /// Bytes that it takes on the disk, if it takes less than it is long: for holes in it, or since its file system
    /// compresses it.
    pub(super) disk_bytes: u64,
    /// Its modification time: seconds and nanoseconds since the epoch.
    pub(crate) mtime: (i64, u32),
    /// What is read, if it is the file that an archive stands for: all but `file` and `stamp` is of that then.
    archived: Option<Entry>,
}

impl SourceFile {
    /// # Errors
    /// `InvalidInput` if it is no regular file, `Io` if the system refuses.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        // Before opening: opening a FIFO would wait for a writer.
        if !fs::metadata(path).map_err(cannot)?.is_file() {
            return Err(not_regular(path));
        }
        Self::of_open(File::open(path).map_err(cannot)?, path)
    }

    /// One that is open for reading; errors name it by its path.
    ///
    /// # Errors
    /// As `open`.
    pub(super) fn of_open(file: File, path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        let meta = file.metadata().map_err(cannot)?;
        if !meta.is_file() {
            return Err(not_regular(path));
        }
        if meta.len() == 0 && read_full_at(&file, &mut [0], 0).map_err(cannot)? > 0 {
            return Err(Error::InvalidInput(format!(
                "{} says that it is empty and is not, as files of /proc do; copy it first",
                path.display()
            )));
        }
        Ok(Self {
            path: path.to_path_buf(),
            stamp: FileStamp::from_metadata(&meta),
            mode: meta.mode(),
            disk_bytes: match meta.blocks().saturating_mul(512) {
                // Some file systems do not tell.
                0 => meta.len(),
                disk => disk.min(meta.len()),
            },
            mtime: (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or(0)),
            file,
            archived: None,
        })
    }

    /// The file that an archive stands for, through the cache of `entries`.
    ///
    /// # Errors
    /// As `open` and `BaseSearch::open`.
    pub(crate) fn open_archived(
        archive: &Path,
        bases: &BaseSearch,
        entries: &Entries,
    ) -> Result<Self> {
        let source = Self::open(archive)?;
        let reader = bases.open_from(ArchiveReader::from_file(&source.file, archive)?, entries)?;
        let superblock = *reader.superblock();
        Ok(Self {
            mode: superblock.mode,
            disk_bytes: superblock.original_bytes,
            mtime: (superblock.mtime_seconds, superblock.mtime_nanoseconds),
            archived: Some(entries.entry(reader)),
            ..source
        })
    }

    /// The hashes of its tensors, if they are known without reading them.
    pub(super) fn known_hashes(&self) -> Vec<TensorHash> {
        let hashes = self.archive().map(ArchiveReader::tensor_hashes);
        // Without them tensors are found by their names.
        hashes.and_then(Result::ok).unwrap_or_default()
    }

    /// The archive that is read, if it is one.
    pub(crate) fn archive(&self) -> Option<&ArchiveReader> {
        self.archived.as_ref().map(Entry::archive)
    }

    /// The same open file as it is now: it may have lost its name, or got others.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub(super) fn as_it_is_now(&self) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot read {}", self.path.display()), e);
        Ok(Self {
            path: self.path.clone(),
            file: self.file.try_clone().map_err(cannot)?,
            stamp: FileStamp::of(&self.file).map_err(cannot)?,
            archived: None,
            ..*self
        })
    }

    /// Whether it is the very file of another one, or known to have the same bytes.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let file = |one: &Self| (one.stamp.dev, one.stamp.ino);
        let known = |one: &Self| one.sha_if_known();
        file(self) == file(other) || known(self).is_some() && known(self) == known(other)
    }

    /// # Errors
    /// As `check_unchanged`; new names and permissions, or that it has lost its name, are no change.
    pub(super) fn check_contents_unchanged(&self) -> Result<()> {
        let now = FileStamp::of(&self.file)
            .map_err(|e| Error::io(format!("cannot read {}", self.path.display()), e))?;
        if (now.size, now.mtime_ns) == (self.stamp.size, self.stamp.mtime_ns) {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    /// SHA-256 of its bytes, if that is known without reading them.
    pub(super) fn sha_if_known(&self) -> Option<[u8; 32]> {
        self.archive().map(|archive| archive.superblock().sha256)
    }

    /// SHA-256 of its bytes: known of an archive, computed of others.
    ///
    /// # Errors
    /// As `ReadAt::read_at`; that of `check`, which is asked now and then.
    pub(super) fn sha256(&self, check: impl Fn() -> Result<()>) -> Result<[u8; 32]> {
        if let Some(known) = self.sha_if_known() {
            return Ok(known);
        }
        let mut sha256 = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut at = 0;
        loop {
            check()?;
            let read = self.read_up_to(&mut buffer, at)?;
            if read == 0 {
                break;
            }
            sha256.update(&buffer[..read]);
            at += read as u64;
        }
        self.check_unchanged()?;
        Ok(sha256.finalize().into())
    }

    pub(crate) fn modified(&self) -> SystemTime {
        system_time(self.mtime.0, self.mtime.1)
    }

    /// Reads at `offset` until the buffer is full or the file ends.
    pub(crate) fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        if let Some(entry) = &self.archived {
            let left = usize::try_from(entry.bytes().saturating_sub(offset)).unwrap_or(usize::MAX);
            let len = buffer.len().min(left);
            entry.read_at(&mut buffer[..len], offset)?;
            return Ok(len);
        }
        read_full_at(&self.file, buffer, offset)
            .map_err(|e| Error::io(format!("cannot read {}", self.path.display()), e))
    }

    /// Reads a block into a buffer.
    ///
    /// # Errors
    /// As `ReadAt::read_at`.
    pub(crate) fn read_block(&self, span: &BlockSpan, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.resize(span.buffer_bytes(), 0);
        self.read_at(buffer, span.range.start)
    }

    /// True for an archive, also a damaged one or one of a newer version.
    pub(crate) fn is_archive(&self) -> Result<bool> {
        let mut first = [0; SUPERBLOCK_BYTES];
        let read = self.read_up_to(&mut first, 0)?;
        let parsed = Superblock::parse(&first);
        Ok(read == first.len() && !matches!(parsed, Err(Error::NotThisFormat(_))))
    }

    /// # Errors
    /// `InvalidInput` if it is an archive.
    pub(super) fn refuse_archive(&self) -> Result<()> {
        if self.is_archive()? {
            return Err(Error::InvalidInput(format!(
                "{} is a weightfs archive already",
                self.path.display()
            )));
        }
        Ok(())
    }

    /// Whether it is a model, by its name or by what it holds, and packing gains by that.
    pub(super) fn is_model(&self) -> Result<bool> {
        Ok(names::is_model_name(&self.path) || model::recognize(self)?.is_some())
    }

    /// # Errors
    /// `Environment` if somebody has written to it since it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let now = FileStamp::of(&self.file)
            .map_err(|e| Error::io(format!("cannot read {}", self.path.display()), e))?;
        // Somebody may have written behind its end without a new time yet.
        if now == self.stamp && self.read_up_to(&mut [0], self.file_bytes())? == 0 {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    pub(crate) fn changed(&self) -> Error {
        Error::Environment(format!(
            "{} changed while it was read; try again when nobody writes to it",
            self.path.display()
        ))
    }
}

fn not_regular(path: &Path) -> Error {
    Error::InvalidInput(format!("{} is not a regular file", path.display()))
}

impl ReadAt for SourceFile {
    /// Its length when it was opened.
    fn file_bytes(&self) -> u64 {
        self.archived.as_ref().map_or(self.stamp.size, Entry::bytes)
    }

    /// # Errors
    /// `Io` if the system refuses, `Environment` if the file has become shorter.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if self.read_up_to(buffer, offset)? < buffer.len() {
            return Err(self.changed());
        }
        Ok(())
    }
}

impl Base for SourceFile {
    fn with(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if let Some(entry) = &self.archived {
            return entry.with(range, read);
        }
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let mut buffer = vec![0; len];
        self.read_at(&mut buffer, range.start)?;
        read(&buffer)
    }

    fn will_need(&self, range: &Range<u64>) {
        if let Some(entry) = &self.archived {
            entry.will_need(range);
        }
    }
}
