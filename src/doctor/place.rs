//! Where archives lie, SRC: how fast its disk is, and how fast the largest archive in it is decoded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::decode_speed::DecodeSpeed;
use super::found::Found;
use super::sample::{LevelSpeed, from_archive, stored_blocks};
use crate::archive::ArchiveReader;
use crate::block::BlockDecoder;
use crate::console::size::{per_second, ratio};
use crate::error::{Error, Result};
use crate::format::original_name;
use crate::job;
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
    /// A file that is no archive.
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
    pub(crate) disk: Found<Disk>,
}

/// An archive.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Packed {
    pub(crate) archive: PathBuf,
    pub(crate) original_bytes: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) ratio: f64,
    pub(crate) block_bytes: u32,
    pub(crate) is_lossy: bool,
    /// What most of it is made of.
    pub(crate) element: &'static str,
    /// What decoding one block takes of memory.
    pub(crate) decoding_bytes: u64,
    /// Blocks from all over it, as they are stored.
    pub(crate) decode: Found<DecodeSpeed>,
    /// Ratio of the numbers that `levels` are of, as they are stored.
    pub(crate) sample_ratio: Found<f64>,
    /// Numbers of it coded anew.
    pub(crate) levels: Found<Vec<LevelSpeed>>,
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
    /// `Io` if it is not there or cannot be read.
    pub(crate) fn gather(path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
        let meta = path.metadata().map_err(cannot)?;
        if meta.is_dir() {
            return Self::of_directory(path);
        }
        // That it can be read is no matter of the archive.
        fs::File::open(path).map_err(cannot)?;
        let packed = ArchiveReader::open(path).and_then(|reader| Packed::of(&reader, meta.len()));
        // As `mount` takes what is given it: by name first.
        let is_named = path.file_name().and_then(original_name).is_some();
        let kind = match packed {
            Err(Error::NotThisFormat(_)) => PlaceKind::File,
            _ if is_named => PlaceKind::Archive,
            _ => PlaceKind::File,
        };
        Ok(Self {
            path: path.to_path_buf(),
            kind,
            archives: usize::from(kind == PlaceKind::Archive),
            failures: Vec::new(),
            packed: packed.into(),
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
        let (packed, disk) = match largest {
            Some(archive) => {
                let packed = ArchiveReader::open(archive);
                let packed = packed.and_then(|reader| Packed::of(&reader, len(archive)));
                (packed.into(), disk_below(archive))
            }
            None => (
                Found::unknown("there is no archive in it"),
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
            disk,
        })
    }
}

impl Packed {
    fn of(reader: &ArchiveReader, stored_bytes: u64) -> Result<Self> {
        let superblock = reader.superblock();
        let is_lossy = superblock.lossy.is_some();
        let blocks = stored_blocks(reader);
        let decode = if blocks.lens.is_empty() {
            Found::unknown("the file is empty")
        } else {
            blocks.speed().into()
        };
        let sample = from_archive(reader);
        let (element, sample_ratio, levels) = match sample {
            Ok(Some(sample)) => {
                let levels = if is_lossy {
                    Found::unknown(
                        "the archive is lossy: coded anew, its numbers would be kept exactly",
                    )
                } else {
                    sample.levels().into()
                };
                let ratio = sample.ratio_as_stored.ok_or("the sample is of no archive");
                (sample.element.name(), ratio.into(), levels)
            }
            Ok(None) => {
                let empty = "the file is empty";
                ("nothing", Found::unknown(empty), Found::unknown(empty))
            }
            Err(error) => ("?", Found::unknown(&error), Found::unknown(&error)),
        };
        let longest = reader.geometry().extents().max_by_key(|extent| extent.len);
        let block_bytes = superblock.block_bytes;
        Ok(Self {
            archive: reader.path().to_path_buf(),
            original_bytes: superblock.original_bytes,
            stored_bytes,
            ratio: ratio(superblock.original_bytes, stored_bytes),
            block_bytes,
            is_lossy,
            element,
            decoding_bytes: longest.map_or(0, |extent| {
                BlockDecoder::bytes_for(extent.element, block_bytes as usize) as u64
            }),
            decode,
            sample_ratio,
            levels,
        })
    }
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
