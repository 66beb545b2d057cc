//! Packing anew what an archive stands for: to rest on nothing, or on something else.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::file::Entries;
use crate::job::archives::named_archive;
use crate::job::base_search::CACHE_BYTES;
use crate::job::conversion::Conversion;
use crate::job::monitor::Monitor;
use crate::job::output::{OutputFile, parent, refuse_source, remove_abandoned};
use crate::job::pack::pack_to;
use crate::job::pack_options::PackOptions;
use crate::job::removal::hold_open;
use crate::job::source_file::SourceFile;
use crate::job::totals::Totals;
use crate::model::ReadAt;

/// Makes a copy of an archive that rests on nothing.
///
/// # Errors
/// `MissingBase` if what it rests on is not there; as `pack`.
pub fn export(
    archive: &Path,
    to: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Conversion> {
    let options = &alone(options).fitting(monitor)?;
    remove_abandoned(to);
    let source = open(archive, options)?;
    refuse_lossy(&source)?;
    refuse_source(&source.path, to)?;
    (monitor.begin)(source.file_bytes());
    let output = OutputFile::create(to, options.force)?;
    let cannot = |e| Error::io(format!("cannot read {}", source.path.display()), e);
    // Whoever could not read the archive must not be able to read the copy.
    let mode = source.file.metadata().map_err(cannot)?.mode() & source.mode;
    let sync = |output: &OutputFile| output.sync(mode, Some(source.modified()));
    let totals = pack_to(&source, &output, parent(to), options, monitor, sync)?;
    output.publish()?;
    Ok(Conversion {
        path: to.to_path_buf(),
        totals,
        failures: Vec::new(),
    })
}

/// Packs an archive anew where it is, so that it rests on nothing.
///
/// # Errors
/// As `export`; the archive is as it was then.
pub fn detach(archive: &Path, options: &PackOptions, monitor: &Monitor<'_>) -> Result<Conversion> {
    let options = &alone(options).fitting(monitor)?;
    let archive = named_archive(archive)?;
    remove_abandoned(&archive);
    let source = open(&archive, options)?;
    let rests = source
        .archive()
        .is_some_and(|reader| reader.superblock().bases.is_some());
    if !rests {
        return Err(Error::InvalidInput(format!(
            "{} rests on nothing",
            archive.display()
        )));
    }
    (monitor.begin)(source.file_bytes());
    let totals = repack(&source, parent(&archive), options, monitor, |_| true)?;
    let totals = totals.unwrap_or_default();
    Ok(Conversion {
        path: archive,
        totals,
        failures: Vec::new(),
    })
}

/// Packs an archive anew where it is, with its owner, mode, times and extended attributes. `None` if what comes of it is not
/// wanted: the archive is as it was.
///
/// # Errors
/// As `pack_to`; the archive is as it was then.
pub(super) fn repack(
    source: &SourceFile,
    root: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
    is_wanted: impl FnOnce(&Totals) -> bool,
) -> Result<Option<Totals>> {
    refuse_lossy(source)?;
    hold_open(&source.path, &source.file)?;
    let cannot = |e| Error::io(format!("cannot read {}", source.path.display()), e);
    let meta = source.file.metadata().map_err(cannot)?;
    let modified = meta.modified().map_err(cannot)?;
    let output = OutputFile::create(&source.path, true)?;
    let totals = pack_to(source, &output, root, options, monitor, |output| {
        output.take_attributes_of(&source.file)?;
        output.sync(meta.mode(), Some(modified))
    })?;
    if !is_wanted(&totals) {
        return Ok(None);
    }
    output.publish()?;
    Ok(Some(totals))
}

/// The same options for what is to rest on nothing.
fn alone(options: &PackOptions) -> PackOptions {
    PackOptions {
        base: None,
        lossy: None,
        ..options.clone()
    }
}

/// Opens the file that an archive stands for.
fn open(archive: &Path, options: &PackOptions) -> Result<SourceFile> {
    let path = named_archive(archive)?;
    let entries = Entries::new(CACHE_BYTES, options.threads);
    SourceFile::open_archived(&path, &options.bases, &entries)
}

/// What is said of the errors of tensors would be lost.
fn refuse_lossy(source: &SourceFile) -> Result<()> {
    let is_lossy = source
        .archive()
        .is_some_and(|reader| reader.superblock().lossy.is_some());
    if is_lossy {
        return Err(Error::InvalidInput(format!(
            "{} is lossy, and stands for itself as it is",
            source.path.display()
        )));
    }
    Ok(())
}
