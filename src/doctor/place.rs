//! Where archives lie, SRC: how fast its disk is, and how fast the largest archive in it is decoded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::decode_speed::{DecodeSpeed, speeds};
use super::found::Found;
use super::sample::{Coding, LevelCoding, from_archive, stored_blocks};
use crate::archive::ArchiveReader;
use crate::block::BlockDecoder;
use crate::codec::Level;
use crate::console::size::{per_second, ratio};
use crate::error::{Error, Result};
use crate::format::original_name;
use crate::job;
use crate::job::source_file::SourceFile;
use crate::os::read_disk;

/// How long the disk is read.
const DISK_MOMENT: Duration = Duration::from_secs(1);
/// What is read of a disk in no time tells nothing of it.
const ENOUGH_BYTES: u64 = 1 << 20;

/// What SRC is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlaceKind {
    Directory,
    Archive,
    /// A file that is not named as an archive, which a mount does not take.
    File,
}

/// A place that is, or could be, mounted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) kind: PlaceKind,
    /// How many archives there are.
    pub(crate) archives: usize,
    /// What could not be looked at in it.
    pub(crate) failures: Vec<String>,
    /// The largest of them.
    pub(crate) packed: Found<Packed>,
    /// What is damaged in that one, as far as it was met.
    pub(crate) damage: Option<String>,
    pub(crate) disk: Found<Disk>,
}

/// An archive.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Packed {
    pub(crate) archive: PathBuf,
    pub(crate) original_bytes: u64,
    pub(crate) stored_bytes: u64,
    /// Unknown if its length is not the one that it was written with.
    pub(crate) ratio: Found<f64>,
    pub(crate) block_bytes: u32,
    pub(crate) is_lossy: bool,
    /// What most of it is made of.
    pub(crate) element: &'static str,
    /// What decoding one block takes of memory.
    pub(crate) decoding_bytes: u64,
    /// Blocks from all over it, as they are stored.
    pub(crate) decode: Found<DecodeSpeed>,
    /// Some numbers of it, as they are stored.
    pub(crate) as_stored: Found<Coding>,
    /// The same, coded anew at each level.
    pub(crate) levels: Found<Vec<LevelCoding>>,
}

/// A short read of a disk.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Disk {
    pub(crate) file: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) bytes_per_second: u64,
    /// Past the page cache; else through it, after what is read was dropped from it.
    pub(crate) is_direct: bool,
}

impl Place {
    /// Looks at a place.
    ///
    /// # Errors
    /// `Io` if it is not there or cannot be read, `InvalidInput` if it is neither a directory nor a regular file.
    pub(crate) fn gather(path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        let meta = path.metadata().map_err(cannot)?;
        if meta.is_dir() {
            return Self::of_directory(path);
        }
        // That it can be read is no matter of the archive.
        SourceFile::open(path)?;
        // As `mount` takes what is given it: by name.
        let real = path.canonicalize().map_err(cannot)?;
        let is_archive = real.file_name().and_then(original_name).is_some();
        let (packed, damage) = Packed::gather(path, meta.len());
        Ok(Self {
            path: path.to_path_buf(),
            kind: if is_archive {
                PlaceKind::Archive
            } else {
                PlaceKind::File
            },
            archives: usize::from(is_archive),
            failures: Vec::new(),
            // Any other file is no archive, and whole.
            damage: damage.filter(|_| is_archive),
            packed,
            disk: disk_below(path),
        })
    }

    fn of_directory(path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        fs::read_dir(path).map_err(cannot)?;
        let found = match job::archives_in(&[path.to_path_buf()]) {
            Err(Error::InvalidInput(_)) => job::FoundArchives::default(),
            found => found?,
        };
        let len = |path: &PathBuf| path.metadata().map_or(0, |meta| meta.len());
        let largest = found.archives.iter().max_by_key(|path| len(path));
        let ((packed, damage), disk) = match largest {
            Some(archive) => (Packed::gather(archive, len(archive)), disk_below(archive)),
            None => (
                (Found::unknown("there is no archive in it"), None),
                match largest_file(path).map_err(cannot)? {
                    Some(file) => disk_below(&file),
                    None => Found::unknown("there is no file in it to read"),
                },
            ),
        };
        Ok(Self {
            path: path.to_path_buf(),
            kind: PlaceKind::Directory,
            archives: found.archives.len(),
            failures: found.failures.iter().map(ToString::to_string).collect(),
            packed,
            damage,
            disk,
        })
    }
}

impl Packed {
    /// An archive, and the first damage that was met in it.
    fn gather(archive: &Path, stored_bytes: u64) -> (Found<Self>, Option<String>) {
        let mut damage = None;
        let packed = ArchiveReader::open(archive).map(|reader| {
            Self::of(&reader, stored_bytes, &mut |error| {
                if error.is_damage() && damage.is_none() {
                    damage = Some(error.to_string());
                }
            })
        });
        if let Err(error) = &packed
            && error.is_damage()
        {
            damage = Some(error.to_string());
        }
        (packed.into(), damage)
    }

    fn of(reader: &ArchiveReader, stored_bytes: u64, failed: &mut dyn FnMut(&Error)) -> Self {
        let superblock = reader.superblock();
        let is_lossy = superblock.lossy.is_some();
        let length = reader.check_length().map_err(|e| e.at(reader.path()));
        let ratio = length.map(|()| ratio(superblock.original_bytes, stored_bytes));
        let decode = decode_speed(reader);
        let sample = from_archive(reader);
        let element = match &sample {
            Ok(Some(stored)) => stored.sample.element.name(),
            Ok(None) => "nothing",
            Err(_) => "?",
        };
        let levels: &[_] = if is_lossy { &[] } else { &Level::ALL };
        let codings = sample.and_then(|stored| {
            let stored = stored.ok_or_else(is_empty)?;
            stored.codings(levels)
        });
        for error in [
            ratio.as_ref().err(),
            decode.as_ref().err(),
            codings.as_ref().err(),
        ] {
            error.into_iter().for_each(&mut *failed);
        }
        let (as_stored, levels) = match codings {
            Ok((as_stored, _)) if is_lossy => (
                Found::Known(as_stored),
                Found::unknown(
                    "the archive is lossy: coded anew, its numbers would be kept exactly",
                ),
            ),
            Ok((as_stored, levels)) => (Found::Known(as_stored), Found::Known(levels)),
            Err(error) => (Found::unknown(&error), Found::unknown(&error)),
        };
        let longest = reader.geometry().extents().max_by_key(|extent| extent.len);
        let block_bytes = superblock.block_bytes;
        Self {
            archive: reader.path().to_path_buf(),
            original_bytes: superblock.original_bytes,
            stored_bytes,
            ratio: ratio.into(),
            block_bytes,
            is_lossy,
            element,
            decoding_bytes: longest.map_or(0, |extent| {
                BlockDecoder::bytes_for(extent.element, block_bytes as usize) as u64
            }),
            decode: decode.into(),
            as_stored,
            levels,
        }
    }
}

/// Of blocks from all over an archive.
fn decode_speed(reader: &ArchiveReader) -> Result<DecodeSpeed> {
    let blocks = stored_blocks(reader);
    if blocks.lens.is_empty() {
        return Err(is_empty());
    }
    speeds(&[blocks])?.pop().ok_or_else(is_empty)
}

fn is_empty() -> Error {
    Error::InvalidInput("the file is empty".into())
}

/// The longest file that lies directly in a directory.
fn largest_file(path: &Path) -> io::Result<Option<PathBuf>> {
    let files = fs::read_dir(path)?.flatten().filter_map(|entry| {
        let meta = entry.path().metadata().ok()?;
        meta.is_file().then(|| (meta.len(), entry.path()))
    });
    Ok(files.max_by_key(|(len, _)| *len).map(|(_, path)| path))
}

fn disk_below(file: &Path) -> Found<Disk> {
    let len = file.metadata().map_or(0, |meta| meta.len());
    if len < ENOUGH_BYTES {
        return Found::unknown(format!(
            "{} has {len} bytes, too few to measure a disk by",
            file.display()
        ));
    }
    match read_disk(file, DISK_MOMENT) {
        Ok(read) => Found::Known(Disk {
            file: file.to_path_buf(),
            bytes: read.bytes,
            seconds: read.time.as_secs_f64(),
            bytes_per_second: per_second(read.bytes, read.time),
            is_direct: read.is_direct,
        }),
        Err(error) => Found::unknown(format!("{}: {error}", file.display())),
    }
}
